//! Layers in a run, as they were in the base and as they are now, and the view of one task on them.

use std::sync::{Arc, OnceLock};

use deltic_compiler::{Lookup, Projection, Projections};
use deltic_core::{Key, Layer, LayerRef, Meta, NameBytes, Payload};
use deltic_store::{Change, KeyRange, Tree};

use crate::input::payloads::{PayloadCache, PayloadScan};
use crate::key::{InputKey, LayerIndex};
use crate::sort::read_ahead::read_ahead;
use crate::{Error, ErrorKind, Result};

/// The number of partitions of a layer that changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Those that were added, changed or removed.
    pub(crate) all: u64,
    /// Of these, those that were removed.
    pub(crate) deleted: u64,
}

/// A layer in a run.
pub(crate) struct RunLayer {
    settings: Layer,
    /// The layer when the base was made; `None` if that is not known.
    before: Option<Tree>,
    /// Why it is not known, if a person should know.
    why: Option<String>,
    now: Tree,
    /// The number of partitions that changed, once they were walked to the end.
    counted: OnceLock<Changed>,
}

impl RunLayer {
    pub(crate) fn new(settings: Layer, before: Option<Tree>, now: Tree) -> RunLayer {
        RunLayer { settings, before, why: None, now, counted: OnceLock::new() }
    }

    /// The same, with the reason why its content in the base is not known, if it is not.
    pub(crate) fn because(self, why: Option<String>) -> RunLayer {
        RunLayer { why, ..self }
    }

    pub(crate) fn settings(&self) -> &Layer {
        &self.settings
    }

    pub(crate) fn now(&self) -> &Tree {
        &self.now
    }

    /// Whether its content in the base is known, so that changes are too.
    pub(crate) fn is_comparable(&self) -> bool {
        self.before.is_some()
    }

    /// Why it is not known.
    pub(crate) fn why(&self) -> Option<&str> {
        self.why.as_deref().filter(|_| !self.is_comparable())
    }

    /// Whether the content differs from that in the base, or may.
    pub(crate) fn has_changed(&self) -> bool {
        self.before.as_ref().is_none_or(|before| before.digest() != self.now.digest())
    }

    /// The partitions that changed since the base, in order; none if that is not known. Cost: the differing nodes, which stay
    /// cached.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Result<Change>> + '_ {
        let diff = self.before.as_ref().filter(|_| self.has_changed()).map(|before| before.diff(&self.now));
        let mut diff = diff.into_iter().flatten();
        let mut count = Changed::default();
        std::iter::from_fn(move || {
            let next = diff.next();
            match &next {
                Some(Ok(change)) => {
                    count.all += 1;
                    count.deleted += u64::from(change.after.is_none());
                }
                Some(Err(_)) => {}
                // Only a walk to the end has counted all.
                None => drop(self.counted.set(count)),
            }
            Some(next?.map_err(crate::Error::from))
        })
    }

    /// The number of partitions that changed, if they were walked, or if none did.
    pub(crate) fn known_changes(&self) -> Option<Changed> {
        if self.is_comparable() && !self.has_changed() { Some(Changed::default()) } else { self.counted.get().copied() }
    }
}

/// The readable layers of a task, numbered as [`Task::readable`](deltic_compiler::Task::readable) lists them.
pub(crate) struct View {
    names: Vec<(LayerRef, Layer)>,
    layers: Vec<Arc<RunLayer>>,
    projections: Projections,
    payloads: PayloadCache,
    /// The first error of the store in a read of user code.
    failed: OnceLock<deltic_store::Error>,
}

impl View {
    /// A view of these layers, in this order, for a task with these projections.
    pub(crate) fn new(
        layers: impl IntoIterator<Item = (LayerRef, Arc<RunLayer>)>,
        projections: Vec<Projection>,
    ) -> View {
        let (mut names, mut all) = (Vec::new(), Vec::new());
        for (name, layer) in layers {
            names.push((name, layer.settings().clone()));
            all.push(layer);
        }
        let projections = Projections::new(projections, Projections::CACHE_BYTES);
        View { names, layers: all, projections, payloads: PayloadCache::default(), failed: OnceLock::new() }
    }

    /// The same view with empty caches, for the same task.
    pub(crate) fn without_caches(&self, projections: Vec<Projection>) -> View {
        View::new(self.names.iter().map(|(name, _)| name.clone()).zip(self.layers.iter().cloned()), projections)
    }

    /// Passes a result on to user code. An error of the store is recorded, because user code may ignore it.
    pub(crate) fn answer<T>(&self, found: Result<T>) -> deltic_compiler::Result<T> {
        if let Err(error) = &found
            && let ErrorKind::Store(error) = error.kind()
        {
            // The first is kept.
            let _ = self.failed.set(error.clone());
        }
        Ok(found?)
    }

    /// The first error of the store that user code got. After it no result of user code is valid.
    pub(crate) fn check(&self) -> Result<()> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone().into()))
    }

    /// The layers by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LayerIndex, &LayerRef, &RunLayer)> + Clone {
        let layers = LayerIndex::all().zip(&self.names).zip(&self.layers);
        layers.map(|((number, (name, _)), layer)| (number, name, layer.as_ref()))
    }

    /// A layer's tree as it is now.
    pub(crate) fn now(&self, layer: LayerIndex) -> Option<&Tree> {
        self.layers.get(layer.place()).map(|layer| layer.now())
    }

    /// The number of a layer.
    pub(crate) fn number(&self, wanted: &LayerRef) -> Option<LayerIndex> {
        self.iter().find(|(_, name, _)| *name == wanted).map(|(number, _, _)| number)
    }

    /// The key of an input, with its layer by name.
    pub(crate) fn key(&self, input: &InputKey) -> deltic_core::Result<Key> {
        let Some((layer, settings)) = self.names.get(input.layer.place()) else {
            return Err(deltic_core::Error::new(format!("no layer has number {}", input.layer)));
        };
        Ok(Key { layer: layer.clone(), name: settings.name_from_bytes(&input.name)? })
    }

    /// The text of an input, for messages.
    pub(crate) fn show(&self, input: &InputKey) -> String {
        self.key(input).map_or_else(|error| error.to_string(), |key| key.to_string())
    }
}

impl Lookup for View {
    fn layers(&self) -> &[(LayerRef, Layer)] {
        &self.names
    }

    fn read(&self, layer: u16, name: &[u8]) -> deltic_compiler::Result<Option<(Meta, Payload)>> {
        let tree = self.layers[usize::from(layer)].now();
        let read = || {
            let Some(entry) = tree.get(name)? else { return Ok(None) };
            let payload = self.payloads.read(tree, &entry, || self.check())?;
            Ok(Some((entry.meta, payload)))
        };
        self.answer(read())
    }

    fn read_ahead(&self, layer: u16, names: &[NameBytes]) -> deltic_compiler::Result<Vec<(NameBytes, Meta, Payload)>> {
        let tree = self.layers[usize::from(layer)].now();
        if !tree.is_remote() {
            return Ok(Vec::new());
        }
        self.answer(read_ahead(tree, names).and_then(|()| self.payloads.read_ahead(tree, names)))
    }

    fn meta(&self, layer: u16, name: &[u8]) -> deltic_compiler::Result<Option<Meta>> {
        let found = self.layers[usize::from(layer)].now().get(name).map_err(Error::from);
        Ok(self.answer(found)?.map(|entry| entry.meta))
    }

    fn list(&self, layer: u16, prefix: &[u8]) -> deltic_compiler::Result<Vec<(NameBytes, Meta)>> {
        let found = self.layers[usize::from(layer)].now().scan(KeyRange::prefix(prefix));
        found
            .map(|found| {
                let (name, entry) = self.answer(found.map_err(Error::from))?;
                Ok((name, entry.meta))
            })
            .collect()
    }

    fn scan(&self, layer: u16) -> Box<dyn Iterator<Item = deltic_compiler::Result<(NameBytes, Meta)>> + '_> {
        let found = self.layers[usize::from(layer)].now().scan(KeyRange::all());
        Box::new(found.map(|found| {
            let (name, entry) = self.answer(found.map_err(Error::from))?;
            Ok((name, entry.meta))
        }))
    }

    fn scan_payloads(
        &self,
        layer: u16,
    ) -> Box<dyn Iterator<Item = deltic_compiler::Result<(NameBytes, Meta, Payload)>> + '_> {
        Box::new(PayloadScan::new(self.layers[usize::from(layer)].now()).map(|found| self.answer(found)))
    }

    fn projections(&self) -> &Projections {
        &self.projections
    }
}
