//! Steps 1 and 2 of an incremental stage: which inputs and outputs a change can affect at all.
//!
//! Cost follows the change: the differing nodes of the layers' trees, and for each changed partition the look-ups in
//! the reverse read index that its layer calls for. Changed partitions are streamed from the difference of two trees;
//! what is held in memory is who read them.

use std::collections::BTreeSet;

use deltic_compiler::Task;
use deltic_store::{Change, Entry};

use crate::state::{Reader, State};
use crate::view::{RunLayer, View};
use crate::{Element, Error, Result};

/// Who read something that changed.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    /// Inputs whose front-end did. Some of them may have changed themselves.
    pub(crate) inputs: BTreeSet<Element>,
    /// Outputs whose back-end did.
    pub(crate) outputs: BTreeSet<Element>,
}

/// An affected input.
#[derive(Debug)]
pub(crate) struct Dirty {
    /// Which.
    pub(crate) element: Element,
    /// Whether the base was made from it, in whatever content.
    pub(crate) existed: bool,
    /// What it is now; `None` when it is gone.
    pub(crate) now: Option<Entry>,
    /// Whether it is here only because of something it read.
    pub(crate) through_reads: bool,
}

/// Finds everybody who looked at something that is not what it was.
pub(crate) fn readers(view: &View, state: &State) -> Result<Readers> {
    let mut readers = Readers::default();
    if state.readers.is_empty() {
        return Ok(readers);
    }
    for (number, _, layer) in view.iter().filter(|(_, _, layer)| layer.has_changed()) {
        let watch = state.watch(number)?;
        if watch.is_idle() {
            continue;
        }
        for change in layer.changes() {
            let change = change?;
            let came_or_went = change.old.is_none() || change.new.is_none();
            state.readers_of(&watch, &change.key, came_or_went, |reader| {
                match reader {
                    Reader::Front(input) => readers.inputs.insert(input),
                    Reader::Back(output) => readers.outputs.insert(output),
                };
            })?;
        }
    }
    Ok(readers)
}

/// The inputs that changed, came or went, and those that read something that did: in order.
pub(crate) fn dirty_inputs<'a>(
    task: &'a Task,
    view: &'a View,
    readers: &'a BTreeSet<Element>,
) -> impl Iterator<Item = Result<Dirty>> + 'a {
    let inputs = view.iter().filter(|(_, name, _)| task.inputs().contains(name));
    inputs.flat_map(move |(number, _, layer)| dirty_in_layer(task, view, number, layer, readers))
}

fn dirty_in_layer<'a>(
    task: &'a Task,
    view: &'a View,
    number: u16,
    layer: &'a RunLayer,
    readers: &'a BTreeSet<Element>,
) -> impl Iterator<Item = Result<Dirty>> + 'a {
    let mut changes = layer.changes().peekable();
    let mut readers = readers.iter().filter(move |reader| reader.layer == number).peekable();
    std::iter::from_fn(move || {
        let reader_is_next = match (readers.peek(), changes.peek()) {
            (Some(reader), Some(Ok(change))) => reader.name < change.key,
            (Some(_), None) => true,
            _ => false,
        };
        if reader_is_next {
            let element = readers.next()?.clone();
            let now = present(task, view, &element);
            return Some(now.map(|now| Dirty { element, existed: true, now: Some(now), through_reads: true }));
        }
        let change = changes.next()?;
        Some(change.map(|Change { key, old, new }| {
            readers.next_if(|reader| reader.name == key);
            Dirty { element: Element::new(number, key), existed: old.is_some(), now: new, through_reads: false }
        }))
    })
}

/// An input that did not change and so must be there.
pub(crate) fn present(task: &Task, view: &View, input: &Element) -> Result<Entry> {
    let found = view.now(input.layer).map(|tree| tree.get(&input.name)).transpose()?.flatten();
    found.ok_or_else(|| Error::State {
        task: task.id().clone(),
        message: format!("it knows input {}, which does not exist", view.show(input)),
    })
}
