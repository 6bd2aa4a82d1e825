//! The input and the result of a stage.

use deltic_compiler::{Pattern, Task};
use deltic_store::{Draft, Tree};

use crate::checkpoint::resume::StageCheckpoint;
use crate::engine::Engine;
use crate::error::failure::Quarantined;
use crate::input::view::View;
use crate::key::{LayerIndex, TaskKey};
use crate::report::Counts;
use crate::report::observe::Observer;
use crate::report::stop::Stop;
use crate::stage::checks::Checks;
use crate::state::base_tables::BaseTables;
use crate::state::tables::State;
use crate::state::tree_writer::Writers;
use crate::{Error, Result};

/// The input of a stage.
pub(crate) struct Stage<'a> {
    pub(crate) task: &'a Task,
    pub(crate) view: &'a View,
    /// The output layers as published, by number.
    pub(crate) published: &'a [Tree],
    /// The state that the stage goes on from; empty tables for a full stage.
    pub(crate) state: State,
    /// The state in the base, also for a full stage; none if its tables have no meaning for the task.
    pub(crate) before: Option<BaseTables>,
    pub(crate) full: bool,
    pub(crate) draft: &'a Draft,
    pub(crate) engine: &'a dyn Engine,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a Stop,
    /// Where it records its results for a later run, if it does.
    pub(crate) checkpoint: Option<StageCheckpoint<'a>>,
    pub(crate) checks: Checks<'a>,
}

/// The result of a stage.
pub(crate) struct StageResult {
    /// The output layers, by number.
    pub(crate) outputs: Vec<Tree>,
    pub(crate) state: State,
    pub(crate) counts: Counts,
    /// The partitions in quarantine after the stage.
    pub(crate) quarantined: Vec<Quarantined>,
}

impl Stage<'_> {
    /// Whether it runs over ranges: a full stage does whose front-ends run input by input.
    pub(crate) fn is_in_ranges(&self) -> bool {
        let by_input = matches!(self.task.pattern(), Pattern::Direct { .. } | Pattern::Group(_));
        self.full && by_input && self.engine.ranges() > 1
    }

    /// How trees are written: in parts if the stage runs over ranges.
    pub(crate) fn writers(&self) -> Writers<'_> {
        Writers { draft: self.draft, in_parts: self.is_in_ranges() }
    }

    /// Whether the stage compiles a sample, and not what changed.
    pub(crate) fn is_sampled(&self) -> bool {
        self.checks.sample.is_some()
    }

    /// The layers that are compiled, by number.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (LayerIndex, &Tree)> + Clone {
        let inputs = self.view.iter().filter(|(_, name, _)| self.task.inputs().contains(name));
        inputs.map(|(number, _, layer)| (number, layer.now()))
    }

    pub(crate) fn is_group(&self) -> bool {
        matches!(self.task.pattern(), Pattern::Group(_))
    }

    /// Whether the state has edges: the outputs of each input, with the digest of what it emits to them.
    pub(crate) fn keeps_edges(&self) -> bool {
        matches!(self.task.pattern(), Pattern::Group(_) | Pattern::IncrementalDep(_))
    }

    /// The most bytes of what one input emits to one output that a memo keeps; none if the task has no memo.
    pub(crate) fn memo_limit(&self) -> Option<u32> {
        self.task.memo_limit().filter(|_| self.is_group())
    }

    /// The bytes of memory that each set of affected keys may take.
    pub(crate) fn set_memory(&self) -> usize {
        self.engine.row_memory() / 8
    }

    /// Decodes a key that the stage itself or its state encoded.
    pub(crate) fn decode<S>(&self, encoded: &[u8]) -> Result<TaskKey<S>> {
        TaskKey::decode(self.task.id(), encoded)
    }

    pub(crate) fn broken(&self, message: String) -> Error {
        Error::state(self.task.id(), message)
    }
}
