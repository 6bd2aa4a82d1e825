//! The layers and the state of tasks in the base, under the names that they have there.
//!
//! A layer is one of the catalog's layers, or a table of the state if its task has it as a private one. If a task makes a
//! layer private or public, or gets another id, it reads everything under the old name and writes it under the new one.

use std::collections::BTreeSet;

use deltic_compiler::Task;
use deltic_core::{Layer, LayerId, TaskId};
use deltic_store::{Draft, Snapshot, TaskRecord, Tree};

use crate::report::Orphan;
use crate::state::fingerprint;
use crate::state::quarantined;
use crate::state::tables::{State, table_name};

/// The version that a run starts from.
#[derive(Clone, Copy)]
pub(crate) struct Base<'a>(pub(crate) &'a Snapshot);

impl<'a> Base<'a> {
    /// The record of a task: under its id, or under the first of its earlier ids that has one.
    pub(crate) fn task(self, task: &Task) -> Option<&'a TaskRecord> {
        let find = |id: &TaskId| self.0.record().tasks.iter().find(|record| record.id == *id);
        std::iter::once(task.id()).chain(task.earlier_ids()).find_map(find)
    }

    /// A layer that a task writes; `None` if there is none, or it has another scheme.
    pub(crate) fn layer(self, layer: &Layer) -> Option<Tree> {
        if let Some(settings) = self.0.layer_settings(&layer.id) {
            return self.0.tree(&layer.id).filter(|_| settings.scheme == layer.scheme);
        }
        let keeper = self.0.record().tasks.iter().find(|record| fingerprint::keeps_private(record, layer))?;
        self.0.state_table(&private_table(&keeper.id, &layer.id))
    }

    /// A layer that a task writes, in a draft; empty if [`Base::layer`] has none.
    pub(crate) fn published(self, layer: &Layer, draft: &Draft) -> Tree {
        self.layer(layer).map_or_else(|| draft.empty_tree(), |tree| draft.adopt(&tree))
    }

    /// A layer that a task publishes and that was dropped.
    pub(crate) fn dropped(self, task: &Task) -> Option<&LayerId> {
        let mut public = task.outputs().iter().filter(|layer| !task.is_private(&layer.id));
        public.find(|layer| self.layer(layer).is_none()).map(|layer| &layer.id)
    }

    /// The state of a task, under its present id.
    pub(crate) fn state(self, task: &Task, draft: &Draft) -> State {
        let known = self.task(task).map_or(task.id(), |record| &record.id);
        State::load(known, self.0, draft).renamed(task.id())
    }

    /// The number of partitions of a task in quarantine.
    pub(crate) fn in_quarantine(self, task: &Task) -> u64 {
        let known = self.task(task).map_or(task.id(), |record| &record.id);
        self.0.state_table(&table_name(known, quarantined::TABLE)).map_or(0, |table| table.count())
    }

    /// Layers and state of tasks that are no longer registered.
    pub(crate) fn orphans(self, tasks: &[Task]) -> Vec<Orphan> {
        let written: BTreeSet<&LayerId> = tasks.iter().flat_map(Task::outputs).map(|layer| &layer.id).collect();
        let known: BTreeSet<&TaskId> =
            tasks.iter().filter_map(|task| self.task(task)).map(|record| &record.id).collect();
        let layers = self.0.layers().map(|layer| &layer.id).filter(|layer| !written.contains(layer));
        let gone = self.0.record().tasks.iter().map(|record| &record.id).filter(|task| !known.contains(task));
        let layers = layers.map(|layer| Orphan::Layer(layer.clone()));
        layers.chain(gone.map(|task| Orphan::State(task.clone()))).collect()
    }
}

/// The name of the state's table that holds a private layer.
pub(crate) fn private_table(task: &TaskId, layer: &LayerId) -> String {
    table_name(task, &format!("layer/{layer}"))
}
