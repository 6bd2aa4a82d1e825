//! Steps 1 and 2 of an incremental stage: which inputs and outputs a change can affect at all.
//!
//! Cost follows the change: the differing nodes of the layers' trees, and for each changed partition the look-ups in
//! the reverse read index that its layer calls for.

use std::collections::{BTreeMap, BTreeSet};

use deltic_compiler::Task;
use deltic_store::Entry;

use crate::state::{Reader, State};
use crate::view::View;
use crate::{Element, Error, Result};

/// Where a run has to look.
#[derive(Debug, Default)]
pub(crate) struct Affected {
    /// Inputs to give to front-ends, or that are gone.
    pub(crate) inputs: BTreeMap<Element, Dirty>,
    /// Outputs whose back-end read something that changed.
    pub(crate) outputs: BTreeSet<Element>,
}

/// An affected input.
#[derive(Debug)]
pub(crate) struct Dirty {
    /// Whether the base was made from it, in whatever content.
    pub(crate) existed: bool,
    /// What it is now; `None` when it is gone.
    pub(crate) now: Option<Entry>,
    /// Whether it is here only because of something it read.
    pub(crate) through_reads: bool,
}

/// Finds what the changes between the base's inputs and today's can affect.
pub(crate) fn affected(task: &Task, view: &View, state: &State) -> Result<Affected> {
    let mut affected = Affected::default();
    let mut readers: BTreeSet<Reader> = BTreeSet::new();
    for (layer, name, run_layer) in view.iter().filter(|(_, _, layer)| layer.has_changed()) {
        let is_input = task.inputs().contains(name);
        let watch = state.watch(layer)?;
        if !is_input && watch.is_idle() {
            continue;
        }
        for change in run_layer.changes()? {
            let came_or_went = change.old.is_none() || change.new.is_none();
            if !watch.is_idle() {
                state.readers_of(&watch, &change.key, came_or_went, |reader| {
                    readers.insert(reader);
                })?;
            }
            if is_input {
                let dirty = Dirty { existed: change.old.is_some(), now: change.new.clone(), through_reads: false };
                affected.inputs.insert(Element::new(layer, change.key.clone()), dirty);
            }
        }
    }
    for reader in readers {
        match reader {
            Reader::Back(output) => {
                affected.outputs.insert(output);
            }
            Reader::Front(input) if affected.inputs.contains_key(&input) => {}
            Reader::Front(input) => {
                let now = Some(present(task, view, &input)?);
                affected.inputs.insert(input, Dirty { existed: true, now, through_reads: true });
            }
        }
    }
    Ok(affected)
}

/// An input that did not change and so must be there.
pub(crate) fn present(task: &Task, view: &View, input: &Element) -> Result<Entry> {
    let found = view.now(input.layer).map(|tree| tree.get(&input.name)).transpose()?.flatten();
    found.ok_or_else(|| Error::State {
        task: task.id().clone(),
        message: format!("it knows input {}, which does not exist", view.show(input)),
    })
}
