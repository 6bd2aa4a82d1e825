//! A task's stage as a worker runs it: reads payloads, calls user code, hashes and stores the results.
//!
//! `fronts` and `backs` are the two halves of a stage; this file has what both need, and how an engine calls them.
//!
//! User code may fail or panic. Both become a failure with task, phase and partition. A failure of a front- or back-end is
//! a result of its batch, so that the stage goes on.

mod backs;
mod fronts;

pub(crate) use fronts::pieces;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use deltic_compiler::{Context, DirectStage, OutKey, Outputs, Pattern, Task};
use deltic_core::{Key, Layer, Payload};
use deltic_store::{Draft, Entry, Tree, entry_len, read_entry};

use crate::engine::{Fetch, Item, Kernel, MapBatch, Reduced};
use crate::error::contract;
use crate::error::panics::catch_panic;
use crate::input::view::View;
use crate::key::{EncodedKey, InputKey, InputSide, LayerIndex, OutputKey, TaskKey};
use crate::report::observe::{Event, Observer, Silent};
use crate::report::stop::Stop;
use crate::sort::rows::{Row, RowStream, Rows};
use crate::{Error, Failure, Phase, Result};

/// The kernel of one task in one run.
pub(crate) struct TaskKernel<'a> {
    pub(crate) task: &'a Task,
    pub(crate) view: &'a View,
    /// The output layers as published, by number.
    pub(crate) published: &'a [Tree],
    pub(crate) draft: &'a Draft,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a Stop,
    /// Set when the stage has failed.
    pub(crate) failed: Stop,
    pub(crate) held: Held,
    /// Whether results are stored in the draft. Otherwise an entry contains its payload, which serves comparisons only.
    pub(crate) keeps: bool,
}

/// The outputs that are held back.
#[derive(Default)]
pub(crate) struct Held {
    /// Checked for each group and almost never true, so it saves the lock.
    any: AtomicBool,
    outs: RwLock<BTreeSet<EncodedKey>>,
}

impl<'a> TaskKernel<'a> {
    /// A second kernel, whose results are compared with those of this one: it stores nothing, has no observer, and nothing
    /// counts as published.
    pub(crate) fn to_compare(&self, view: &'a View) -> TaskKernel<'a> {
        let (task, draft, stop, failed) = (self.task, self.draft, self.stop, self.failed.clone());
        let held = Held::default();
        TaskKernel { task, view, published: &[], draft, observer: &Silent, stop, failed, held, keeps: false }
    }
}

impl TaskKernel<'_> {
    /// Holds outputs back: their back-ends do not run from now on.
    pub(crate) fn hold(&self, outs: impl IntoIterator<Item = EncodedKey>) {
        let mut held = self.held.outs.write().unwrap_or_else(PoisonError::into_inner);
        held.extend(outs);
        self.held.any.store(!held.is_empty(), Ordering::Release);
    }

    /// Whether any output is held back.
    pub(crate) fn holds_any(&self) -> bool {
        self.held.any.load(Ordering::Acquire)
    }

    /// Whether an output is held back.
    pub(crate) fn is_held(&self, out: &[u8]) -> bool {
        let Held { any, outs } = &self.held;
        any.load(Ordering::Acquire) && outs.read().unwrap_or_else(PoisonError::into_inner).contains(out)
    }

    /// The outputs that a direct task maps an input to, whether the input exists or not.
    pub(crate) fn outputs_of(&self, stage: &dyn DirectStage, input: &InputKey) -> Result<Vec<OutputKey>> {
        let key = self.key(input, Phase::MapKey)?;
        let named = self.guard(Phase::MapKey, &key, Some(&key), || {
            let mut out = Outputs::new(self.task.outputs());
            stage.map_key(&key, &mut out);
            out.into_keys()
        })?;
        Ok(named.into_iter().map(|(layer, name)| OutputKey::new(LayerIndex(layer), name.to_bytes())).collect())
    }

    /// The key of an output.
    pub(crate) fn out_key(&self, out: &OutputKey) -> Result<OutKey> {
        let layers: &[Layer] = self.task.outputs();
        let layer = layers.get(out.layer.place());
        let layer = layer.ok_or_else(|| {
            self.broken(&format!("an output of layer number {}, which the task does not have", out.layer))
        })?;
        let name = layer.name_from_bytes(&out.name).map_err(|error| self.broken(&error.to_string()))?;
        Ok(OutKey { layer: layer.id.clone(), name })
    }

    fn key(&self, input: &InputKey, phase: Phase) -> Result<Key> {
        self.view.key(input).map_err(|error| self.failed(phase, format!("{:?}", input.name), None, &error.into()))
    }

    fn failed(&self, phase: Phase, key: String, input: Option<&Key>, source: &anyhow::Error) -> Error {
        let failure = Failure::new(self.task.id(), phase, key, input, source);
        self.observer.event(&Event::Failed { failure: &failure });
        failure.into()
    }

    /// Lets user code read together what a batch will need, if that saves round trips. A failure of user code is ignored: it
    /// fails again where it needs the data. An error of the store is returned.
    fn read_ahead(&self, code: impl FnOnce(&Context<'_>) -> anyhow::Result<()>) -> Result<()> {
        if self.is_remote() {
            let (context, task) = (Context::new(self.view), self.task.id());
            self.observer.event(&Event::ReadAhead { task });
            let _ = catch_panic(|| code(&context));
            self.observer.event(&Event::Returned { task });
        }
        self.view.check()
    }

    /// Calls user code, unless the run was stopped. An error or a panic becomes a failure with its place. If the store failed
    /// meanwhile, its error is returned, whatever the code made of it.
    fn guard<T>(
        &self,
        phase: Phase,
        key: &dyn ToString,
        input: Option<&Key>,
        code: impl FnOnce() -> anyhow::Result<T>,
    ) -> Result<T> {
        let code = || self.go_on().map_err(anyhow::Error::from).and_then(|()| code());
        let result = catch_panic(code).unwrap_or_else(|panicked| Err(anyhow::Error::msg(panicked)));
        if phase != Phase::MapKey {
            self.observer.event(&Event::Returned { task: self.task.id() });
        }
        self.view.check()?;
        // An error of the driver in a call that user code made is not a failure of user code.
        result.map_err(|source| match source.downcast::<Error>() {
            Ok(error) => error,
            Err(source) => self.failed(phase, key.to_string(), input, &source),
        })
    }

    /// Begins to read the payloads of entries that lie in different layers, few requests for each layer.
    fn begin(&self, wanted: &[(LayerIndex, &Entry)]) -> Result<Fetch> {
        let mut layers: Vec<LayerIndex> = wanted.iter().map(|(layer, _)| *layer).collect();
        layers.sort_unstable();
        layers.dedup();
        let begin = |layer| {
            let places: Vec<usize> = (0..wanted.len()).filter(|index| wanted[*index].0 == layer).collect();
            let entries: Vec<Entry> = places.iter().map(|index| wanted[*index].1.clone()).collect();
            let tree = self.view.now(layer).ok_or_else(|| {
                self.broken(&format!("an input of layer number {layer}, which the task does not have"))
            })?;
            Ok((places, tree.begin_read_all(entries)?))
        };
        let begun = layers.into_iter().map(begin).collect::<Result<_>>()?;
        let bytes = wanted.iter().map(|(_, entry)| entry.meta.len).sum();
        Ok(Fetch { begun: Some(begun), ready: None, bytes })
    }

    /// The payloads of entries. They are read now, unless they were begun.
    fn payloads(&self, wanted: &[(LayerIndex, &Entry)], fetch: Fetch) -> Result<Vec<Payload>> {
        match fetch.wait()? {
            Some(payloads) => Ok(payloads),
            None => Ok(self.begin(wanted)?.wait()?.unwrap_or_default()),
        }
    }

    /// A key that a row holds.
    fn decode<S>(&self, encoded: &[u8]) -> Result<TaskKey<S>> {
        TaskKey::decode(self.task.id(), encoded)
    }

    /// The input's entry in a row of a direct task.
    fn input_of(&self, value: &[u8]) -> Result<Entry> {
        read_entry(value).ok_or_else(|| self.broken("a row without its input"))
    }

    fn broken(&self, message: &str) -> Error {
        Error::state(self.task.id(), message)
    }

    pub(crate) fn two_producers(&self, output: &OutKey, one: &InputKey, other: &InputKey) -> Error {
        let (first, second) = if one < other { (one, other) } else { (other, one) };
        let (first, second) = (self.view.show(first), self.view.show(second));
        contract::two_producers(self.task.id(), output.to_string(), &first, &second)
    }
}

impl Kernel for TaskKernel<'_> {
    fn is_remote(&self) -> bool {
        self.view.iter().any(|(_, _, layer)| layer.now().is_remote())
    }

    fn go_on(&self) -> Result<()> {
        if self.stop.is_requested() {
            return Err(Error::stopped(self.draft.base().version()));
        }
        match self.failed.is_requested() {
            true => Err(Error::internal("given up, because another part of the stage has failed")),
            false => Ok(()),
        }
    }

    fn give_up(&self) {
        self.failed.request();
    }

    fn begin_map(&self, items: &[Item]) -> Result<Fetch> {
        match self.task.pattern() {
            // Needs keys alone.
            Pattern::Direct { .. } | Pattern::Dep(_) | Pattern::Global(_) | Pattern::IncrementalDep(_) => {
                Ok(Fetch::default())
            }
            Pattern::Group(_) => self.begin(&wanted_of(items)),
        }
    }

    fn begin_reduce(&self, rows: &Rows) -> Result<Fetch> {
        match self.task.pattern() {
            Pattern::Direct { .. } | Pattern::IncrementalDep(_) => {
                let items =
                    rows.iter().map(|row| Ok((self.decode::<InputSide>(row.item)?.layer, self.input_of(row.value)?)));
                let items = items.collect::<Result<Vec<_>>>()?;
                self.begin(&items.iter().map(|(layer, entry)| (*layer, entry)).collect::<Vec<_>>())
            }
            // The values are in the rows.
            Pattern::Group(_) | Pattern::Dep(_) | Pattern::Global(_) => Ok(Fetch::default()),
        }
    }

    fn weight(&self, row: Row<'_>) -> u64 {
        match self.task.pattern() {
            Pattern::Direct { .. } | Pattern::IncrementalDep(_) => entry_len(row.value),
            Pattern::Group(_) | Pattern::Dep(_) | Pattern::Global(_) => 0,
        }
    }

    fn map(&self, items: Vec<Item>, fetch: Fetch) -> Result<MapBatch> {
        match self.task.pattern() {
            Pattern::Direct { stage, .. } => self.map_direct(stage.as_ref(), items),
            Pattern::Group(stage) => self.map_group(stage.as_ref(), items, fetch),
            // Their code runs over the whole input instead.
            Pattern::Dep(_) | Pattern::Global(_) | Pattern::IncrementalDep(_) => Ok(MapBatch::default()),
        }
    }

    fn reduce(&self, rows: &mut dyn RowStream, fetch: Fetch) -> Result<Vec<Reduced>> {
        self.read_published(rows)?;
        match self.task.pattern() {
            Pattern::Direct { stage, one_producer } => self.reduce_direct(stage.as_ref(), *one_producer, rows, fetch),
            Pattern::Group(stage) => self.reduce_groups(stage.as_ref(), rows),
            Pattern::Dep(stage) => self.reduce_groups(stage.as_ref(), rows),
            Pattern::IncrementalDep(stage) => self.reduce_direct(stage.as_ref(), false, rows, fetch),
            Pattern::Global(_) => Ok(Vec::new()),
        }
    }
}

fn wanted_of(items: &[Item]) -> Vec<(LayerIndex, &Entry)> {
    items.iter().map(|item| (item.key.layer, &item.entry)).collect()
}
