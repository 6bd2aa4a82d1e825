//! What a run is asked to do, and its inputs once they are found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deltic_compiler::Task;
use deltic_core::{CatalogId, LayerId, LayerRef, RunId, Timestamp, Version};
use deltic_store::{Catalog, ErrorKind, Snapshot};

use crate::engine::Engine;
use crate::observe::Observer;
use crate::view::RunLayer;
use crate::{Error, Result};

/// Everything a run works with.
pub struct Job<'a> {
    /// The input catalogs by symbolic id, each at a version or at its latest.
    pub inputs: BTreeMap<CatalogId, JobInput>,
    /// The catalog that is written.
    pub output: Catalog,
    /// The tasks.
    pub tasks: &'a [Task],
    /// Where kernels run.
    pub engine: &'a dyn Engine,
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// How to run.
    pub options: Options,
}

/// An input catalog of a run.
#[derive(Debug, Clone)]
pub struct JobInput {
    /// The catalog.
    pub catalog: Catalog,
    /// The version to read; `None` is the latest.
    pub version: Option<Version>,
}

/// How to run. Nothing here is part of a fingerprint, but `code`.
#[derive(Debug, Clone)]
pub struct Options {
    /// The identity of the code of tasks that state no version of their own.
    pub code: String,
    /// The run's id: random, never used twice.
    pub run: RunId,
    /// When the run started; recorded, never decided by.
    pub started: Timestamp,
    /// `false` makes every task full.
    pub incremental: bool,
    /// The version that the output catalog must be at; anything else is an error before work begins.
    pub expect_base: Option<Version>,
    /// The id that no task may write, because the catalog's state goes under it.
    pub state_layer: LayerId,
    /// A text recorded with the version.
    pub note: String,
}

/// A job whose catalogs were opened at their versions.
pub(crate) struct Resolved {
    pub(crate) base: Snapshot,
    pub(crate) inputs: BTreeMap<CatalogId, ResolvedInput>,
}

pub(crate) struct ResolvedInput {
    pub(crate) now: Snapshot,
    /// The version that the base was made from, if it was made from this very catalog.
    pub(crate) from: Option<Version>,
    /// The layers that tasks read.
    pub(crate) layers: BTreeMap<LayerId, Arc<RunLayer>>,
}

/// Opens everything at its version. Cost: three requests a catalog, and one more for an input that moved.
pub(crate) fn resolve(job: &Job<'_>) -> Result<Resolved> {
    let base = job.output.latest()?;
    if let Some(expected) = job.options.expect_base.filter(|expected| *expected != base.version()) {
        return Err(Error::BaseMoved { expected, found: base.version() });
    }
    let mut wanted: BTreeMap<CatalogId, BTreeSet<LayerId>> = BTreeMap::new();
    for LayerRef { catalog, layer } in job.tasks.iter().flat_map(Task::readable) {
        if let Some(catalog) = catalog {
            wanted.entry(catalog).or_default().insert(layer);
        }
    }
    let mut inputs = BTreeMap::new();
    for (id, layers) in wanted {
        let input = job.inputs.get(&id).ok_or_else(|| Error::Setup(format!("no catalog `{id}` is configured")))?;
        inputs.insert(id.clone(), resolve_input(&id, input, &layers, &base)?);
    }
    Ok(Resolved { base, inputs })
}

fn resolve_input(
    id: &CatalogId,
    input: &JobInput,
    wanted: &BTreeSet<LayerId>,
    base: &Snapshot,
) -> Result<ResolvedInput> {
    let now = match input.version {
        Some(version) => input.catalog.snapshot(version)?,
        None => input.catalog.latest()?,
    };
    let known = base.record().dependencies.iter().find(|known| known.direct && known.catalog.as_ref() == Some(id));
    let from = known.filter(|known| known.uuid == now.uuid()).map(|known| known.version);
    let before = match from {
        Some(version) if version == now.version() => Some(now.clone()),
        Some(version) => match input.catalog.snapshot(version) {
            Ok(before) => Some(before),
            // The version has been removed: what changed can not be told, and tasks that read it run in full.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Expired) => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    let mut layers = BTreeMap::new();
    for layer in wanted {
        let (Some(settings), Some(tree)) = (now.layer_settings(layer), now.tree(layer)) else {
            let known: Vec<String> = now.layers().map(|layer| format!("`{}`", layer.id)).collect();
            return Err(Error::Setup(format!(
                "catalog `{id}` has no layer `{layer}` at version {}: it has {}",
                now.version(),
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            )));
        };
        let before = before.as_ref().and_then(|before| before.tree(layer));
        layers.insert(layer.clone(), Arc::new(RunLayer::new(settings.clone(), before, tree)));
    }
    Ok(ResolvedInput { now, from, layers })
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("inputs", &self.inputs).field("options", &self.options).finish_non_exhaustive()
    }
}
