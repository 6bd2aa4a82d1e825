//! The one executor: runs a task's stage in full or from what changed.
//!
//! The steps, as the design numbers them: changed inputs and readers of changes (1, 2: [`affected`](crate::affected)),
//! front-ends and early cut-off (3), affected outputs (4), their other contributors (5), back-ends and the comparison
//! with what is published (6), new state (7: [`settle`](crate::settle)). [`incremental`](crate::incremental) takes all
//! of them; a full stage is the same with an empty base, every input and no step 5.
//!
//! Everything goes through in order, so state and layers are written as they come and a stage holds no more than the
//! engine does.

use deltic_compiler::{Pattern, Task};
use deltic_core::Digest;
use deltic_store::{Draft, KeyRange, Tree};

use crate::affected::readers;
use crate::base_tables::BaseTables;
use crate::checks::Checks;
use crate::elements::{Elements, Sorter, Writer};
use crate::engine::{Engine, Item, StageSession};
use crate::kernel::{Held, TaskKernel};
use crate::observe::Observer;
use crate::report::Counts;
use crate::resume::{Resuming, StageProgress};
use crate::settle::Settling;
use crate::state::State;
use crate::stop::Stop;
use crate::subjects::subjects;
use crate::twice::Twice;
use crate::view::View;
use crate::{Element, Error, Quarantined, Result, incremental, user_graph, whole};

/// What a stage works with.
pub(crate) struct Stage<'a> {
    pub(crate) task: &'a Task,
    pub(crate) view: &'a View,
    /// The output layers as published, by number.
    pub(crate) published: &'a [Tree],
    /// What the task remembers; empty tables for a full run.
    pub(crate) state: State,
    /// What it remembered in the base, which a full run does not go on from; none where that says nothing to it.
    pub(crate) before: Option<BaseTables>,
    pub(crate) full: bool,
    pub(crate) draft: &'a Draft,
    pub(crate) engine: &'a dyn Engine,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a Stop,
    /// Where it keeps what it has done, if it does.
    pub(crate) progress: Option<StageProgress<'a>>,
    pub(crate) checks: Checks<'a>,
}

/// What a stage made.
pub(crate) struct StageResult {
    /// The output layers, by number.
    pub(crate) outputs: Vec<Tree>,
    pub(crate) state: State,
    pub(crate) counts: Counts,
    /// What is in quarantine now.
    pub(crate) quarantined: Vec<Quarantined>,
}

impl Stage<'_> {
    pub(crate) fn run(self) -> Result<StageResult> {
        let kernel = TaskKernel {
            task: self.task,
            view: self.view,
            published: self.published,
            draft: self.draft,
            observer: self.observer,
            held: Held::default(),
            stop: self.stop,
            failed: Stop::new(),
            keeps: true,
        };
        let Checks { twice, shuffled, .. } = self.checks;
        let forgetful = twice.map(|_| self.view.forgetful(self.task.projections()));
        let second = forgetful.as_ref().map(|view| kernel.to_compare(view));
        let twice = twice.zip(second.as_ref());
        let twice = twice.map(|(offenders, second)| Twice { first: &kernel, second, offenders, shuffled });
        let resuming = Resuming::new(&kernel, self.progress.as_ref());
        let session = match &twice {
            Some(twice) => self.engine.stage(twice),
            None => self.engine.stage(&resuming),
        };
        let mut result = self.run_in(&kernel, twice.as_ref(), session)?;
        resuming.count(&mut result.counts);
        Ok(result)
    }

    fn run_in<'s>(
        &'s self,
        kernel: &'s TaskKernel<'s>,
        twice: Option<&Twice<'_>>,
        session: Box<dyn StageSession + 's>,
    ) -> Result<StageResult> {
        match self.task.pattern() {
            Pattern::Dep(dep) => whole::dep(self, kernel, twice, dep.as_ref(), session),
            Pattern::Global(global) => whole::global(self, kernel, twice, global.as_ref()),
            Pattern::Graph(graph) => user_graph::run(self, kernel, twice, graph.as_ref(), session),
            _ if self.full => self.full(kernel, session),
            _ => incremental::run(self, kernel, session),
        }
    }

    fn full<'s>(&'s self, kernel: &'s TaskKernel<'s>, mut session: Box<dyn StageSession + 's>) -> Result<StageResult> {
        let mut settling = Settling::new(self, kernel);
        let mut items = self.inputs().flat_map(|(layer, tree)| {
            tree.scan(KeyRange::all()).map(move |found| {
                let (name, entry) = found?;
                Ok(Item { element: Element::new(layer, name), entry })
            })
        });
        let mut items = subjects(self.task, self.view, &mut items, |item: &Item| item.element.clone());
        session.map(&mut items, &mut |mapped| {
            settling.counts.inputs += 1;
            settling.front_ran(&mapped, false)?;
            Ok(())
        })?;
        let mut held = Writer::new(self.set_memory());
        settling.hold_back(None)?.iter().try_for_each(|out| held.push(out, 0))?;
        let held = held.finish()?;
        let mut settling = settling.with_held(&held);
        session.reduce(None, &mut settling)?;
        settling.finish()
    }

    /// Whether a sample is compiled, and not what changed.
    pub(crate) fn is_sampled(&self) -> bool {
        self.checks.sample.is_some()
    }

    /// What a change affects through reads, or whatever a sample takes: returns inputs, and adds outputs to `outputs`.
    pub(crate) fn affected(&self, kernel: &TaskKernel<'_>, outputs: &mut Sorter) -> Result<Elements> {
        match self.checks.sample {
            Some(sample) => sample.affected(self, kernel, outputs),
            None => readers(self.view, &self.state, self.set_memory(), outputs),
        }
    }

    /// The layers that are compiled, by number.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (u16, &Tree)> {
        let inputs = self.view.iter().filter(|(_, name, _)| self.task.inputs().contains(name));
        inputs.map(|(number, _, layer)| (number, layer.now()))
    }

    pub(crate) fn is_group(&self) -> bool {
        matches!(self.task.pattern(), Pattern::Group(_))
    }

    /// Whether it is kept which outputs each input goes into, and what is said to them.
    pub(crate) fn keeps_edges(&self) -> bool {
        matches!(self.task.pattern(), Pattern::Group(_) | Pattern::Graph(_))
    }

    /// Up to how many bytes of what one input says to one output are remembered, if any are.
    pub(crate) fn memo_limit(&self) -> Option<u32> {
        self.task.memo_limit().filter(|_| self.is_group())
    }

    /// What each set of affected partitions may hold in memory.
    pub(crate) fn set_memory(&self) -> usize {
        self.engine.row_memory() / 8
    }

    /// Reads an element that the stage itself or its state wrote.
    pub(crate) fn element(&self, mut bytes: &[u8]) -> Result<Element> {
        Element::read(&mut bytes).ok_or_else(|| self.broken("a key that is cut short".to_owned()))
    }

    pub(crate) fn broken(&self, message: String) -> Error {
        Error::State { task: self.task.id().clone(), message }
    }
}

/// The digest of an edge, if there is one to this output.
pub(crate) fn find<'a>(edges: &'a [(Element, Digest)], out: &Element) -> Option<&'a Digest> {
    edges.binary_search_by(|(known, _)| known.cmp(out)).ok().map(|index| &edges[index].1)
}
