//! The inputs of a version, as its record names them: each at the version that was read then.
//!
//! The version of an earlier run, or the output itself before, is recorded like any other input. An input that was absent is
//! not recorded. Its layers are empty then, if its binding is one that may be absent.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltic_compiler::Task;
use deltic_core::{CatalogId, Layer, LayerId, LayerRef};
use deltic_store::{Catalog, Dependency, ErrorKind, Snapshot, Tree};

use crate::input::view::RunLayer;
use crate::run::base::Base;
use crate::run::job::At;
use crate::run::resolve::ResolvedInput;
use crate::run::scheduler::Layers;
use crate::{Error, Result};

/// The inputs of a version.
pub(crate) struct Recorded<'a> {
    version: &'a Snapshot,
    /// Those that the version records, by the id under which they were read.
    pub(crate) inputs: BTreeMap<CatalogId, Snapshot>,
}

/// The catalogs in which an input may be found, each with its URL, the most likely one first.
pub(crate) type Places = Vec<(String, deltic_store::Result<Catalog>)>;

impl<'a> Recorded<'a> {
    /// Opens the wanted inputs at their recorded versions. Cost: the requests of opening each, and a search for a version with
    /// the same digest if the recorded one is not there.
    pub(crate) fn open(
        version: &'a Snapshot,
        is_wanted: impl Fn(&CatalogId) -> bool,
        places: impl Fn(&Dependency) -> Places,
    ) -> Result<Recorded<'a>> {
        let mut inputs = BTreeMap::new();
        for known in version.record().dependencies.iter().filter(|known| known.direct) {
            if let Some(id) = known.catalog.as_ref().filter(|id| is_wanted(id)) {
                // Tasks may read private layers of the output itself, which its digest does not cover: no search there.
                inputs.insert(id.clone(), open(id, known, places(known), known.uuid != version.uuid())?);
            }
        }
        Ok(Recorded { version, inputs })
    }

    /// Inputs that were opened already.
    pub(crate) fn of(version: &'a Snapshot, inputs: BTreeMap<CatalogId, Snapshot>) -> Recorded<'a> {
        Recorded { version, inputs }
    }

    /// The layers of the inputs that tasks read; `bound` is what ids are bound to now. With `compared`, each counts as
    /// unchanged.
    pub(crate) fn layers<'t>(
        &self,
        tasks: &[&Task],
        bound: &dyn Fn(&CatalogId) -> Option<&'t At>,
        empty: &Tree,
        compared: bool,
    ) -> Result<Layers> {
        let mut layers = Layers::new();
        for layer in tasks.iter().flat_map(|task| task.readable()) {
            let Some(id) = &layer.catalog else { continue };
            if layers.contains_key(&layer) {
                continue;
            }
            let (settings, tree) = self.layer(tasks, id, &layer, bound(id))?;
            let tree = tree.unwrap_or_else(|| empty.clone());
            let run_layer = RunLayer::new(settings, compared.then(|| tree.clone()), tree);
            layers.insert(layer, Arc::new(run_layer));
        }
        Ok(layers)
    }

    /// The inputs with these layers, for a run from scratch.
    pub(crate) fn resolved(&self, layers: Layers) -> BTreeMap<CatalogId, ResolvedInput> {
        let mut by_input: BTreeMap<CatalogId, BTreeMap<LayerId, Arc<RunLayer>>> = BTreeMap::new();
        for id in self.inputs.keys() {
            by_input.insert(id.clone(), BTreeMap::new());
        }
        for (layer, run_layer) in layers {
            if let Some(id) = layer.catalog {
                by_input.entry(id).or_default().insert(layer.layer, run_layer);
            }
        }
        let resolved = |(id, layers): (CatalogId, _)| {
            let now = self.inputs.get(&id).cloned();
            let is_feedback = now.as_ref().is_some_and(|now| self.is_feedback(now));
            (id, ResolvedInput::anew(now, is_feedback, layers))
        };
        by_input.into_iter().map(resolved).collect()
    }

    /// Whether an input is the catalog itself, at an earlier version.
    fn is_feedback(&self, input: &Snapshot) -> bool {
        input.uuid() == self.version.uuid()
    }

    fn layer(
        &self,
        tasks: &[&Task],
        id: &CatalogId,
        layer: &LayerRef,
        bound: Option<&At>,
    ) -> Result<(Layer, Option<Tree>)> {
        let LayerRef { layer: name, .. } = layer;
        let written = || tasks.iter().flat_map(|task| task.outputs()).find(|output| output.id == *name).cloned();
        let settings_in = |id: &CatalogId| self.inputs.get(id).and_then(|input| input.layer_settings(name).cloned());
        let may_lack = match bound {
            Some(At::Feedback) => written(),
            Some(At::RunsAgo { of, .. }) => settings_in(of),
            Some(At::Latest | At::Version(_)) | None => None,
        };
        match self.inputs.get(id) {
            Some(input) if self.is_feedback(input) => {
                let settings = settings_in(id).or_else(written).ok_or_else(|| self.lacks(layer))?;
                let tree = Base(input).layer(&settings);
                Ok((settings, tree))
            }
            Some(input) => {
                let settings = settings_in(id).or(may_lack).ok_or_else(|| self.lacks(layer))?;
                Ok((settings, input.tree(name)))
            }
            None => may_lack.map(|settings| (settings, None)).ok_or_else(|| {
                Error::refused(format!(
                    "version {} was not made from a catalog `{id}`, of which `{layer}` is read: there is nothing to go by",
                    self.version.version()
                ))
            }),
        }
    }

    fn lacks(&self, layer: &LayerRef) -> Error {
        let version = self.version.version();
        Error::refused(format!("version {version} was made from a catalog that has no layer `{layer}`"))
    }
}

/// Opens a recorded version in one of some places. If its number has another content now, and `searched`, a version with
/// the recorded digest is used.
fn open(id: &CatalogId, known: &Dependency, places: Places, searched: bool) -> Result<Snapshot> {
    let Dependency { uuid, version, digest, .. } = known;
    let (mut found, mut failed) = (Vec::new(), None);
    for (place, catalog) in places {
        let equal = |catalog: &Catalog| if searched { catalog.with_digest(digest, *version) } else { Ok(None) };
        let opened = catalog.and_then(|catalog| match catalog.snapshot(*version) {
            Ok(snapshot) if snapshot.uuid() != *uuid || snapshot.digest() == *digest => Ok(snapshot),
            Ok(snapshot) => Ok(equal(&catalog)?.unwrap_or(snapshot)),
            Err(error) if matches!(error.kind(), ErrorKind::Expired | ErrorKind::NotFound) => {
                let equal = catalog.latest().and_then(|latest| match latest.uuid() == *uuid {
                    true => equal(&catalog),
                    false => Ok(None),
                });
                equal?.ok_or(error)
            }
            Err(error) => Err(error),
        });
        match opened {
            Ok(snapshot) if snapshot.uuid() != *uuid => {
                found.push(format!("{place} is another catalog now, {}, and not {uuid}", snapshot.uuid()));
            }
            Ok(snapshot) if snapshot.digest() != *digest => found.push(format!(
                "version {version} at {place} has digest {}, and not {}",
                snapshot.digest().short(),
                digest.short()
            )),
            Ok(snapshot) => return Ok(snapshot),
            Err(error) if matches!(error.kind(), ErrorKind::Expired) => {
                found.push(format!("retention removed it: {error}"));
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound) => {
                found.push(format!("it is not there: {error}"));
            }
            // It may be found in another place.
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    if found.is_empty() {
        found.push("no catalog is bound to this id".to_owned());
    }
    // Two places can be one.
    found.dedup();
    let message = format!("version {version} of input `{id}` can not be read: {}", found.join("; "));
    Err(Error::refused(message))
}
