//! The inputs and outputs that a change can affect, before anything runs.
//!
//! An input is dirty for one of three reasons: it changed itself, its front-end read something that changed, or it was in
//! quarantine. An output is affected from here if its back-end read something that changed, or if it was in quarantine;
//! the outputs to which dirty inputs emit are found when front-ends have run.
//!
//! Cost follows the change: the differing nodes of the layers' trees, and for each changed partition the look-ups in the
//! table `readers` that its layer needs. Changed partitions are streamed from the difference of two trees and looked up
//! many at a time; sets of readers that exceed their memory go to a file.

use std::collections::VecDeque;

use deltic_compiler::{Lookup as _, Task, part_digest};
use deltic_core::NameBytes;
use deltic_store::{Change, Entry};

use crate::error::panics::catch_panic;
use crate::input::filter::filtered;
use crate::input::view::{RunLayer, View};
use crate::key::{InputKey, LayerIndex};
use crate::report::Counts;
use crate::sort::key_set::{KeySet, KeySorter, Walk};
use crate::sort::marks::Marks;
use crate::sort::read_ahead::{TOGETHER, read_ahead};
use crate::state::reads::{PartNow, Reader};
use crate::state::tables::State;
use crate::{Error, Result};

/// Counts the outputs that are affected only because their back-end read something that changed, and those that were in
/// quarantine.
pub(crate) fn count_marks(outputs: &KeySet, counts: &mut Counts) -> Result<()> {
    let mut walk = outputs.walk();
    while let Some((_, marks)) = walk.peek()? {
        // Equal and not contained: an output that is affected for another reason too would be compiled without the read.
        counts.through_reads += u64::from(marks == Marks::READ);
        counts.retried += u64::from(marks.contains(Marks::RETRIED));
        walk.advance()?;
    }
    Ok(())
}

/// A dirty input.
#[derive(Debug)]
pub(crate) struct Dirty {
    /// The input.
    pub(crate) key: InputKey,
    /// Whether it existed when the base was made, with any content.
    pub(crate) existed: bool,
    /// Its entry now; `None` if it was removed.
    pub(crate) now: Option<Entry>,
    /// Whether it did not change itself: it is dirty because of a read or the quarantine.
    pub(crate) through_reads: bool,
    /// Whether it was in quarantine.
    pub(crate) retried: bool,
}

/// Finds what is affected without a change of its own: readers of something that changed, and the partitions in
/// quarantine. Returns inputs, some of which may have changed too, and adds outputs to `outputs`.
pub(crate) fn readers(view: &View, state: &State, memory: usize, outputs: &mut KeySorter) -> Result<KeySet> {
    let mut inputs = KeySorter::new(memory);
    state.retry(&mut inputs, outputs)?;
    if state.readers.is_empty() {
        return inputs.finish();
    }
    // All readable layers, and not only the inputs: a compiler reads reference layers too, and other partitions of its inputs.
    for (number, _, layer) in view.iter().filter(|(_, _, layer)| layer.has_changed()) {
        let watch = state.watch(number)?;
        // Most layers are read as inputs only: without this each of their changes would cost look-ups that find nothing.
        if watch.is_idle() {
            continue;
        }
        let mut changes = layer.changes();
        loop {
            let some: Vec<(NameBytes, bool)> = changes
                .by_ref()
                .take(TOGETHER)
                .map(|change| change.map(|Change { key, before, after }| (key, before.is_none() || after.is_none())))
                .collect::<Result<_>>()?;
            if some.is_empty() {
                break;
            }
            let parts_now = |layer, name: &NameBytes, projection: &str| parts_now(view, layer, name, projection);
            state.readers_of(&watch, &some, &parts_now, |reader| match reader {
                Reader::Front(input) => inputs.add(&input.to_bytes(), Marks::empty()),
                Reader::Back(output) => outputs.add(&output.to_bytes(), Marks::READ),
            })?;
        }
    }
    inputs.finish()
}

/// The current parts of a partition, by projection. If user code fails here, the readers of the part are affected: they run
/// again and meet the failure themselves, and may handle it. Only an error of the store is an error here.
fn parts_now<'a>(view: &'a View, layer: LayerIndex, name: &NameBytes, projection: &str) -> Result<PartNow<'a>> {
    let parts = unless_it_fails(view, || {
        let meta = view.meta(layer.0, name)?;
        view.projections().parts(projection, meta.as_ref(), || {
            Ok(view.read(layer.0, name)?.map(|(_, payload)| payload).unwrap_or_default())
        })
    })?;
    Ok(Box::new(move |argument| match &parts {
        Some(parts) => unless_it_fails(view, || Ok(part_digest(parts.part(argument)?.as_deref()))),
        None => Ok(None),
    }))
}

/// The result of a projection's code; none if it fails or panics.
fn unless_it_fails<T>(view: &View, code: impl FnOnce() -> deltic_compiler::Result<T>) -> Result<Option<T>> {
    let ran = catch_panic(code);
    // First the store: a part that could not be read must end the run, and not count as a part that changed.
    view.check()?;
    Ok(ran.ok().and_then(deltic_compiler::Result::ok))
}

/// The dirty inputs, in order: a merge of the changes of each input layer with the readers.
pub(crate) struct DirtyInputs<'a> {
    task: &'a Task,
    view: &'a View,
    /// The input layers that are not begun, by number.
    layers: VecDeque<(LayerIndex, &'a RunLayer)>,
    current: Option<Changes<'a>>,
    readers: Walk<'a>,
    ready: VecDeque<Dirty>,
}

/// What changed in one layer.
struct Changes<'a> {
    layer: LayerIndex,
    changes: std::iter::Peekable<Box<dyn Iterator<Item = Result<Change>> + 'a>>,
}

impl<'a> DirtyInputs<'a> {
    /// `readers` are the inputs that [`readers`] returned.
    pub(crate) fn new(task: &'a Task, view: &'a View, readers: &'a KeySet) -> DirtyInputs<'a> {
        let inputs = view.iter().filter(|(_, name, _)| task.inputs().contains(name));
        let layers = inputs.map(|(number, _, layer)| (number, layer)).collect();
        DirtyInputs { task, view, layers, current: None, readers: readers.walk(), ready: VecDeque::new() }
    }

    /// The next dirty input. Of one that did not change itself the entry is not looked up yet, so that [`fill`] can look up many
    /// together.
    ///
    /// An input that is among both the changes and the readers must come once, as changed, or its front-end would run
    /// twice and its rows count twice.
    ///
    /// [`fill`]: DirtyInputs::fill
    fn found(&mut self) -> Result<Option<Dirty>> {
        loop {
            let Some(Changes { layer, changes }) = &mut self.current else {
                let Some((layer, run_layer)) = self.layers.pop_front() else { return Ok(None) };
                let changes = run_layer.changes();
                let key = move |change: &Change| InputKey::new(layer, change.key.clone());
                let changes: Box<dyn Iterator<Item = _>> = Box::new(filtered(self.task, self.view, changes, key));
                self.current = Some(Changes { layer, changes: changes.peekable() });
                continue;
            };
            let layer = *layer;
            let reader = self.readers.peek()?.and_then(|(mut bytes, marks)| Some((InputKey::read(&mut bytes)?, marks)));
            // Readers are sorted by layer first, like the layers here, so one of another layer belongs to a later one.
            let reader = reader.filter(|(reader, _)| reader.layer == layer);
            let reader_is_next = match (&reader, changes.peek()) {
                (Some((reader, _)), Some(Ok(change))) => reader.name < change.key,
                (Some(_), None) => true,
                _ => false,
            };
            let retried = reader.as_ref().is_some_and(|(_, marks)| marks.contains(Marks::RETRIED));
            if let (Some((key, _)), true) = (&reader, reader_is_next) {
                self.readers.advance()?;
                let key = key.clone();
                return Ok(Some(Dirty { key, existed: true, now: None, through_reads: true, retried }));
            }
            let Some(change) = changes.next() else {
                self.current = None;
                continue;
            };
            let Change { key: name, before, after } = change?;
            let retried = match reader {
                Some((reader, _)) if reader.name == name => {
                    self.readers.advance()?;
                    retried
                }
                _ => false,
            };
            let key = InputKey::new(layer, name);
            return Ok(Some(Dirty { key, existed: before.is_some(), now: after, through_reads: false, retried }));
        }
    }

    fn fill(&mut self) -> Result<()> {
        let mut readers = Vec::new();
        while self.ready.len() < TOGETHER
            && let Some(dirty) = self.found()?
        {
            if dirty.through_reads {
                readers.push(dirty.key.clone());
            }
            self.ready.push_back(dirty);
        }
        let mut present = present(self.task, self.view, &readers)?.into_iter();
        for dirty in self.ready.iter_mut().filter(|dirty| dirty.through_reads) {
            dirty.now = present.next();
        }
        Ok(())
    }
}

impl Iterator for DirtyInputs<'_> {
    type Item = Result<Dirty>;

    fn next(&mut self) -> Option<Result<Dirty>> {
        if self.ready.is_empty()
            && let Err(error) = self.fill()
        {
            // The place in the merge is lost: the stream ends here instead of passing inputs over.
            self.layers.clear();
            self.current = None;
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }
}

/// The entries of inputs that did not change, in order, looked up together. Such an input must exist; if it does not, the
/// state does not fit the layers.
pub(crate) fn present(task: &Task, view: &View, inputs: &[InputKey]) -> Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(inputs.len());
    for of_layer in inputs.chunk_by(|a, b| a.layer == b.layer) {
        let tree = of_layer.first().and_then(|input| view.now(input.layer));
        if let Some(tree) = tree {
            read_ahead(tree, &of_layer.iter().map(|input| &*input.name).collect::<Vec<_>>())?;
        }
        for input in of_layer {
            let entry = tree.map(|tree| tree.get(&input.name)).transpose()?.flatten();
            entries.push(entry.ok_or_else(|| {
                Error::state(task.id(), format!("it knows input {}, which does not exist", view.show(input)))
            })?);
        }
    }
    Ok(entries)
}
