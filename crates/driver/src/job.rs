//! What a run is asked to do, and its inputs once they are found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deltic_compiler::Task;
use deltic_core::{CatalogId, LayerId, LayerRef, RunId, Timestamp, Version};
use deltic_store::{Catalog, ErrorKind, Snapshot, Tree};

use crate::engine::Engine;
use crate::observe::Observer;
use crate::state::{TABLES, table_name};
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

/// Opens everything at its version, all catalogs at once. Cost: three requests a catalog and one more for an input that
/// moved; on a remote store two round trips, and two more when an input moved, in which the roots that the run will
/// look at are read too.
pub(crate) fn resolve(job: &Job<'_>) -> Result<Resolved> {
    let mut wanted: BTreeMap<CatalogId, BTreeSet<LayerId>> = BTreeMap::new();
    for LayerRef { catalog, layer } in job.tasks.iter().flat_map(Task::readable) {
        if let Some(catalog) = catalog {
            wanted.entry(catalog).or_default().insert(layer);
        }
    }
    let mut catalogs = vec![(&job.output, None)];
    for id in wanted.keys() {
        let input = job.inputs.get(id).ok_or_else(|| Error::Setup(format!("no catalog `{id}` is configured")))?;
        catalogs.push((&input.catalog, input.version));
    }
    let mut found = Catalog::snapshots(&catalogs, &[]).into_iter();
    let missing = || Error::Setup("a catalog was not opened".to_owned());
    let base = found.next().ok_or_else(missing)??;
    if let Some(expected) = job.options.expect_base.filter(|expected| *expected != base.version()) {
        return Err(Error::BaseMoved { expected, found: base.version() });
    }
    let mut inputs = Vec::with_capacity(wanted.len());
    for ((id, layers), now) in wanted.into_iter().zip(found) {
        let now = now?;
        let known = base.record().dependencies.iter().find(|known| known.direct && known.catalog.as_ref() == Some(&id));
        let from = known.filter(|known| known.uuid == now.uuid()).map(|known| known.version);
        inputs.push(Input { id, layers, now, from });
    }

    let moved: Vec<&Input> = inputs.iter().filter(|input| input.moved_from().is_some()).collect();
    let earlier: Vec<_> = moved.iter().filter_map(|input| Some((input.now.catalog(), input.moved_from()))).collect();
    let mut befores = Catalog::snapshots(&earlier, &roots(job, &base, &moved)).into_iter();
    let mut opened = Vec::with_capacity(inputs.len());
    for input in inputs {
        let before = match (input.from, input.moved_from()) {
            (None, _) => None,
            (Some(_), None) => Some(input.now.clone()),
            (Some(_), Some(_)) => match befores.next().ok_or_else(missing)? {
                Ok(before) => Some(before),
                // The version has been removed: what changed can not be told, and tasks that read it run in full.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Expired) => None,
                Err(error) => return Err(error.into()),
            },
        };
        opened.push((input, before));
    }
    read_earlier_roots(&opened);
    let resolved = opened.into_iter().map(|(input, before)| {
        let layers = input.run_layers(before.as_ref())?;
        Ok((input.id, ResolvedInput { now: input.now, from: input.from, layers }))
    });
    Ok(Resolved { inputs: resolved.collect::<Result<_>>()?, base })
}

/// An input catalog while it is being opened.
struct Input {
    id: CatalogId,
    /// The layers that tasks read.
    layers: BTreeSet<LayerId>,
    now: Snapshot,
    from: Option<Version>,
}

/// The trees whose roots the tasks that read a moved input will look at: these inputs, and the tasks' outputs and state.
fn roots(job: &Job<'_>, base: &Snapshot, moved: &[&Input]) -> Vec<Tree> {
    let mut roots: Vec<Tree> =
        moved.iter().flat_map(|input| input.layers.iter().filter_map(|layer| input.now.tree(layer))).collect();
    let reads = |task: &Task| {
        let readable = task.readable();
        moved.iter().any(|input| readable.iter().any(|layer| layer.catalog.as_ref() == Some(&input.id)))
    };
    for task in job.tasks.iter().filter(|task| reads(task)) {
        roots.extend(task.outputs().iter().filter_map(|layer| base.tree(&layer.id)));
        roots.extend(TABLES.iter().filter_map(|table| base.state_table(&table_name(task.id(), table))));
    }
    roots
}

/// Reads the roots of layers that changed as they were: those as they are have been read.
fn read_earlier_roots(inputs: &[(Input, Option<Snapshot>)]) {
    let roots = inputs.iter().flat_map(|(input, before)| {
        let changed =
            input.layers.iter().filter_map(|layer| Some((before.as_ref()?.tree(layer)?, input.now.tree(layer)?)));
        changed.filter(|(before, now)| before.digest() != now.digest()).map(|(before, _)| before)
    });
    // One by itself is read as soon as it is needed.
    let roots: Vec<Tree> = roots.collect();
    if roots.len() > 1 {
        Catalog::snapshots(&[], &roots);
    }
}

impl Input {
    /// The version that the base was made from, where that is another one than now.
    fn moved_from(&self) -> Option<Version> {
        self.from.filter(|from| *from != self.now.version())
    }

    fn run_layers(&self, before: Option<&Snapshot>) -> Result<BTreeMap<LayerId, Arc<RunLayer>>> {
        let Input { id, now, .. } = self;
        let mut layers = BTreeMap::new();
        for layer in &self.layers {
            let (Some(settings), Some(tree)) = (now.layer_settings(layer), now.tree(layer)) else {
                let known: Vec<String> = now.layers().map(|layer| format!("`{}`", layer.id)).collect();
                return Err(Error::Setup(format!(
                    "catalog `{id}` has no layer `{layer}` at version {}: it has {}",
                    now.version(),
                    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                )));
            };
            let before = before.and_then(|before| before.tree(layer));
            layers.insert(layer.clone(), Arc::new(RunLayer::new(settings.clone(), before, tree)));
        }
        Ok(layers)
    }
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("inputs", &self.inputs).field("options", &self.options).finish_non_exhaustive()
    }
}
