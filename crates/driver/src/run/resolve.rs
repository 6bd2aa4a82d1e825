//! Opens the catalogs of a job, each at the version that the run reads and at the one that the base was made from.
//!
//! What an input was before is taken from the record of the base, whatever the job states about it: a job may skip versions
//! or go back, and only the record states what the outputs were compiled from. An input can be absent at a version: there
//! were not as many runs yet, or the output has no such layer. Then its layers are empty, and that is known and not missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deltic_compiler::Task;
use deltic_core::{CatalogId, Layer, LayerId, LayerRef, Version};
use deltic_store::{Catalog, Dependency, Draft, DraftOptions, Snapshot, Tree};

use crate::input::view::RunLayer;
use crate::report::InputReport;
use crate::run::base::Base;
use crate::run::before::{InputBefore, as_read};
use crate::run::job::{At, Job, Processing};
use crate::run::notes::{contradiction, mixed_versions, two_histories};
use crate::state::tables::{TABLES, table_name};
use crate::{Error, Result};

/// A job with its catalogs opened.
pub(crate) struct Resolved {
    pub(crate) base: Snapshot,
    pub(crate) inputs: BTreeMap<CatalogId, ResolvedInput>,
    /// Statements about inputs that are not true, and inputs that have another history than when the base was made.
    pub(crate) notes: Vec<String>,
}

pub(crate) struct ResolvedInput {
    /// The version that is read; `None` if there is nothing to read yet.
    now: Option<Snapshot>,
    /// The version that the base was made from, if it was made from this catalog.
    from: Option<Version>,
    is_feedback: bool,
    is_reprocessed: bool,
    /// The layers that tasks read.
    pub(crate) layers: BTreeMap<LayerId, Arc<RunLayer>>,
}

/// Opens all catalogs at their versions. They are opened together, in two steps: first the versions to be read, because
/// only these and the base show which other versions are needed.
///
/// Cost: three requests for each catalog, and one more for an input that moved; on a remote store two round trips, and two
/// more if an input moved, in which the roots that the run will need are read too. An input as of an earlier run takes one
/// more request, and one for each run between. An input whose recorded number has another content now takes up to 64 more,
/// all at once. Errors: a version of [`Processing`] that never existed, and errors of the store.
pub(crate) fn resolve(job: &Job<'_>) -> Result<Resolved> {
    let wanted = wanted(job)?;
    let mut catalogs = vec![(&job.output, None)];
    for id in wanted.keys() {
        match job.inputs.get(id).map(|input| (&input.catalog, &input.at)) {
            None => return Err(Error::setup(format!("no catalog `{id}` is configured"))),
            Some((_, At::Feedback)) => {}
            Some((catalog, At::Version(version))) => catalogs.push((catalog, Some(*version))),
            Some((catalog, At::Latest | At::RunsAgo { .. })) => catalogs.push((catalog, None)),
        }
    }
    let mut found = Catalog::snapshots(&catalogs, &[]).into_iter();
    let missing = || Error::setup("a catalog was not opened".to_owned());
    let base = found.next().ok_or_else(missing)??;
    if let Some(expected) = job.options.expect_base.filter(|expected| *expected != base.version()) {
        return Err(Error::base_moved(expected, base.version()));
    }
    let mut inputs = Vec::with_capacity(wanted.len());
    for (id, layers) in wanted {
        let at = job.inputs.get(&id).map_or(&At::Latest, |input| &input.at);
        let opened = match at {
            At::Feedback => base.clone(),
            _ => found.next().ok_or_else(missing)??,
        };
        let input = Input::new(id, layers, at, opened, &base)?;
        // Before anything else is opened, as it is an error of the job.
        if let Some(Processing::Changes { since }) = job.inputs.get(&input.id).map(|input| input.processing) {
            input.check_since(since)?;
        }
        inputs.push(input);
    }

    let moved: Vec<&Input> = inputs.iter().filter(|input| input.has_moved()).collect();
    let earlier: Vec<_> =
        moved.iter().filter_map(|input| Some((input.opened.catalog(), Some(input.to_open()?)))).collect();
    let mut befores = Catalog::snapshots(&earlier, &roots(job, Base(&base), &moved)).into_iter();
    let mut opened = Vec::with_capacity(inputs.len());
    for input in inputs {
        let found = input.to_open().map(|_| befores.next().ok_or_else(missing)).transpose()?;
        let before = input.before(base.version(), found)?;
        opened.push((input, before));
    }
    read_earlier_roots(&opened);
    let mut resolved = Resolved { base, inputs: BTreeMap::new(), notes: Vec::new() };
    for (input, before) in opened {
        let layers = input.run_layers(job, before.as_ref())?;
        let Input { id, at, now, from, .. } = input;
        let is_feedback = *at == At::Feedback;
        let has_changed = layers.values().any(|layer| layer.has_changed());
        let (from, since) = (from.map(|from| from.version), before.as_ref().map(|before| before.version));
        let (before, note) = before.map_or((None, None), |before| (before.snapshot, before.note));
        // Each version of the output is a new one of this input. If the layers that tasks read did not change, the old one is
        // recorded again, or each run would make a version because the last one did.
        let now = if is_feedback && !has_changed { before.or(now) } else { now };
        let processing = job.inputs.get(&id).map_or(Processing::Unspecified, |input| input.processing);
        let is_reprocessed = processing == Processing::Reprocess;
        resolved.notes.extend(note);
        resolved.notes.extend(contradiction(&id, processing, since, &layers, resolved.base.version()));
        resolved.inputs.insert(id, ResolvedInput { now, from, is_feedback, is_reprocessed, layers });
    }
    let read = resolved.inputs.iter().filter(|(_, input)| !input.is_feedback);
    let read: Vec<_> = read.filter_map(|(id, input)| Some((id, input.now.as_ref()?))).collect();
    // A job that binds an id to an earlier run's version intends to mix versions.
    let is_meant = |id: &CatalogId| matches!(job.inputs.get(id).map(|input| &input.at), Some(At::RunsAgo { .. }));
    let as_they_are: Vec<_> = read.iter().copied().filter(|(id, _)| !is_meant(id)).collect();
    let mixed = mixed_versions(&as_they_are);
    let odd: Vec<String> = two_histories(&read).into_iter().chain(mixed).collect();
    if job.options.compatible && !odd.is_empty() {
        return Err(Error::refused(odd.join("; ")));
    }
    resolved.notes.extend(odd);
    Ok(resolved)
}

/// The layers that tasks read, by catalog. Catalogs without one are there to be recorded for later runs.
fn wanted(job: &Job<'_>) -> Result<BTreeMap<CatalogId, BTreeSet<LayerId>>> {
    let mut wanted: BTreeMap<CatalogId, BTreeSet<LayerId>> = BTreeMap::new();
    for LayerRef { catalog, layer } in job.tasks.iter().flat_map(Task::readable) {
        if let Some(catalog) = catalog {
            wanted.entry(catalog).or_default().insert(layer);
        }
    }
    for id in wanted.keys().cloned().collect::<Vec<_>>() {
        let Some(At::RunsAgo { of, runs }) = job.inputs.get(&id).map(|input| &input.at) else { continue };
        if *runs == 0 {
            return Err(Error::setup(format!("catalog `{id}` is `{of}` 0 runs ago, which is this run: at least 1")));
        }
        match job.inputs.get(of).map(|input| &input.at) {
            // It is opened although no task may read it: a later run finds in this version's record what this run had under it.
            Some(At::Latest | At::Version(_)) => drop(wanted.entry(of.clone()).or_default()),
            Some(At::RunsAgo { .. } | At::Feedback) => {
                let message =
                    format!("catalog `{id}` is `{of}` some runs ago, and that is not at a version of its own");
                return Err(Error::setup(message));
            }
            None => {
                let message = format!("catalog `{id}` is `{of}` some runs ago, and no catalog `{of}` is configured");
                return Err(Error::setup(message));
            }
        }
    }
    Ok(wanted)
}

/// What a version records for an input id.
fn recorded<'a>(version: &'a Snapshot, id: &CatalogId) -> Option<&'a Dependency> {
    version.record().dependencies.iter().find(|known| known.direct && known.catalog.as_ref() == Some(id))
}

/// What an earlier run read under an id. Cost: a request for each run beyond the last.
fn runs_ago(base: &Snapshot, of: &CatalogId, runs: u64) -> Result<Option<Dependency>> {
    let mut run = base.clone();
    for _ in 1..runs {
        let Some(before) = run.parent()? else { return Ok(None) };
        run = before;
    }
    Ok(recorded(&run, of).cloned())
}

/// An input catalog while it is being opened.
struct Input<'a> {
    id: CatalogId,
    /// The layers that tasks read.
    layers: BTreeSet<LayerId>,
    at: &'a At,
    /// The catalog at the version that layer settings are taken from if `now` does not have them.
    opened: Snapshot,
    now: Option<Snapshot>,
    /// What the base was made from, if it was made from this catalog.
    from: Option<Dependency>,
    /// Whether the base was made without this input, or while it was absent.
    is_new: bool,
    /// Whether the id was bound to another catalog when the base was made.
    was_another: bool,
}

impl<'a> Input<'a> {
    fn new(
        id: CatalogId,
        layers: BTreeSet<LayerId>,
        at: &'a At,
        opened: Snapshot,
        base: &Snapshot,
    ) -> Result<Input<'a>> {
        let known = recorded(base, &id);
        // Version numbers of another catalog that had this id mean nothing in this one.
        let from = known.filter(|known| known.uuid == opened.uuid()).cloned();
        let now = match at {
            At::RunsAgo { of, runs } => match runs_ago(base, of, *runs)?.filter(|known| known.uuid == opened.uuid()) {
                Some(known) => Some(as_read(&id, of, &known, &opened)?),
                None => None,
            },
            At::Latest | At::Version(_) | At::Feedback => Some(opened.clone()),
        };
        let (is_new, was_another) = (known.is_none(), known.is_some() && from.is_none());
        Ok(Input { id, layers, at, opened, now, from, is_new, was_another })
    }

    /// Refuses a statement about changes since a version that never existed. Cost: a request if that version is later than
    /// the one that is read, and this may not be the latest.
    fn check_since(&self, since: Version) -> Result<()> {
        let is_recorded = self.from.as_ref().is_some_and(|from| from.version == since);
        if since <= self.opened.version() || is_recorded {
            return Ok(());
        }
        let latest = match self.at {
            At::Version(_) => self.opened.catalog().latest()?.version(),
            At::Latest | At::RunsAgo { .. } | At::Feedback => self.opened.version(),
        };
        if since <= latest {
            return Ok(());
        }
        Err(Error::setup(format!(
            "`{}` can not have changed since version {since}, which never existed: {} has versions 0 to {latest}",
            self.id,
            self.opened.catalog().url()
        )))
    }

    /// Whether the base was made from another content than is read now. Equal digests mean equal layers. But tasks may read
    /// private layers of the output itself, which its digest does not cover, so there the version has to be equal too.
    fn has_moved(&self) -> bool {
        let is_as_it_was = |from: &Dependency| {
            let now = self.now.as_ref().filter(|now| now.digest() == from.digest);
            now.is_some_and(|now| now.version() == from.version || *self.at != At::Feedback)
        };
        self.from.as_ref().is_some_and(|from| !is_as_it_was(from))
    }

    /// The version that has to be opened to know the input before, if it is not the one that is read.
    fn to_open(&self) -> Option<Version> {
        let from = self.from.as_ref().filter(|_| self.has_moved())?;
        self.now.as_ref().is_none_or(|now| from.version != now.version()).then_some(from.version)
    }

    /// The input when the base was made, given what was found under the number to open; `None` if the base was not made from
    /// this catalog.
    fn before(&self, base: Version, found: Option<deltic_store::Result<Snapshot>>) -> Result<Option<InputBefore>> {
        let Some(from) = &self.from else { return Ok(None) };
        let before = match (found, &self.now) {
            (found, Some(now)) if self.has_moved() => {
                let found = found.unwrap_or_else(|| Ok(now.clone()));
                InputBefore::of(&self.id, from, base, self.opened.catalog(), found, *self.at != At::Feedback)?
            }
            (Some(found), None) => InputBefore::of(&self.id, from, base, self.opened.catalog(), found, true)?,
            _ => InputBefore::unchanged(from, self.now.clone()),
        };
        Ok(Some(before))
    }

    fn run_layers(&self, job: &Job<'_>, before: Option<&InputBefore>) -> Result<BTreeMap<LayerId, Arc<RunLayer>>> {
        // An empty tree needs a draft, to which nothing is written.
        let empty = || Draft::begin(&self.opened, job.options.run, DraftOptions::default()).empty_tree();
        let why = match before {
            Some(before) => before.why.clone(),
            None => {
                self.was_another.then(|| format!("the output was made from another catalog under the id `{}`", self.id))
            }
        };
        let before = before.and_then(|before| before.snapshot.as_ref());
        let mut layers = BTreeMap::new();
        for layer in &self.layers {
            let settings = self.settings(job, layer)?;
            let tree = |snapshot: Option<&Snapshot>| match self.at {
                At::Feedback => snapshot.and_then(|snapshot| Base(snapshot).layer(&settings)),
                _ => snapshot.and_then(|snapshot| snapshot.tree(layer)),
            };
            let (before, now) = match self.at {
                At::Latest | At::Version(_) => (tree(before), tree(self.now.as_ref())),
                // If the base records no version of it, the input was absent, and tasks found empty layers. An unknown content
                // would make them run in full.
                At::RunsAgo { .. } | At::Feedback => {
                    let is_known = before.is_some() || self.is_new;
                    let before = tree(before).or_else(|| is_known.then(empty));
                    (before, tree(self.now.as_ref()))
                }
            };
            let now = now.unwrap_or_else(empty);
            layers.insert(layer.clone(), Arc::new(RunLayer::new(settings, before, now).because(why.clone())));
        }
        Ok(layers)
    }

    /// The settings of a layer at the version that is read; if it may be missing there, those of the catalog or of a task.
    fn settings(&self, job: &Job<'_>, layer: &LayerId) -> Result<Layer> {
        let of = |snapshot: &Snapshot| snapshot.layer_settings(layer).cloned();
        let found = self.now.as_ref().and_then(of).or_else(|| match self.at {
            At::Latest | At::Version(_) => None,
            At::RunsAgo { .. } => of(&self.opened),
            At::Feedback => job.tasks.iter().flat_map(Task::outputs).find(|output| output.id == *layer).cloned(),
        });
        found.ok_or_else(|| {
            let known: Vec<String> = self.opened.layers().map(|layer| format!("`{}`", layer.id)).collect();
            Error::setup(format!(
                "catalog `{}` has no layer `{layer}` at version {}: it has {}",
                self.id,
                self.opened.version(),
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            ))
        })
    }
}

/// The trees that tasks with a moved input will need: these inputs, and the outputs and state of the tasks. Their roots are
/// read in the same round trip as the earlier versions, and not one by one later.
fn roots(job: &Job<'_>, base: Base<'_>, moved: &[&Input<'_>]) -> Vec<Tree> {
    let of_input = |input: &&Input<'_>| {
        let now = input.now.clone();
        let layers = input.layers.iter().cloned();
        layers.filter_map(move |layer| now.as_ref()?.tree(&layer)).collect::<Vec<_>>()
    };
    let mut roots: Vec<Tree> = moved.iter().flat_map(of_input).collect();
    let reads = |task: &Task| {
        let readable = task.readable();
        moved.iter().any(|input| readable.iter().any(|layer| layer.catalog.as_ref() == Some(&input.id)))
    };
    for task in job.tasks.iter().filter(|task| reads(task)) {
        let known = base.task(task).map_or(task.id(), |record| &record.id);
        roots.extend(task.outputs().iter().filter_map(|layer| base.layer(layer)));
        roots.extend(TABLES.iter().filter_map(|table| base.0.state_table(&table_name(known, table))));
    }
    roots
}

/// Reads the roots of earlier versions of layers that changed. Those of current versions have been read.
fn read_earlier_roots(inputs: &[(Input<'_>, Option<InputBefore>)]) {
    let roots = inputs.iter().flat_map(|(input, before)| {
        let before = before.as_ref().and_then(|before| before.snapshot.as_ref());
        let trees = move |layer| Some((before?.tree(layer)?, input.now.as_ref()?.tree(layer)?));
        let changed = input.layers.iter().filter_map(trees);
        changed.filter(|(before, now)| before.digest() != now.digest()).map(|(before, _)| before)
    });
    // A single one is read when it is needed: that is one round trip too.
    let roots: Vec<Tree> = roots.collect();
    if roots.len() > 1 {
        Catalog::snapshots(&[], &roots);
    }
}

impl ResolvedInput {
    /// An input without an earlier version.
    pub(crate) fn anew(
        now: Option<Snapshot>,
        is_feedback: bool,
        layers: BTreeMap<LayerId, Arc<RunLayer>>,
    ) -> ResolvedInput {
        ResolvedInput { now, from: None, is_feedback, is_reprocessed: false, layers }
    }
}

impl Resolved {
    /// The layers that tasks read.
    pub(crate) fn layers(&self) -> BTreeMap<LayerRef, Arc<RunLayer>> {
        let mut layers = BTreeMap::new();
        for (id, input) in &self.inputs {
            for (layer, run_layer) in &input.layers {
                layers.insert(LayerRef { catalog: Some(id.clone()), layer: layer.clone() }, Arc::clone(run_layer));
            }
        }
        layers
    }

    /// The first input of a task that is to be reprocessed.
    pub(crate) fn reprocessed(&self, task: &Task) -> Option<&CatalogId> {
        let read: BTreeSet<CatalogId> = task.readable().into_iter().filter_map(|layer| layer.catalog).collect();
        self.inputs.iter().find(|(id, input)| input.is_reprocessed && read.contains(id)).map(|(id, _)| id)
    }

    /// The dependencies of the next version. For the output itself as an input, only the version is recorded: with its own
    /// dependencies the record would grow with each version.
    pub(crate) fn dependencies(&self) -> Result<Vec<Dependency>> {
        let read = |is_feedback: bool| {
            let of_kind = self.inputs.iter().filter(move |(_, input)| input.is_feedback == is_feedback);
            of_kind.filter_map(|(id, input)| Some((id.clone(), input.now.as_ref()?)))
        };
        let mut all = deltic_store::transitive_dependencies(&read(false).collect::<Vec<_>>())?;
        all.extend(read(true).map(|(id, snapshot)| Dependency {
            catalog: Some(id),
            uuid: snapshot.uuid(),
            url: snapshot.catalog().url().to_owned(),
            version: snapshot.version(),
            digest: snapshot.digest(),
            direct: true,
        }));
        // Direct ones by id, as the store sorts them; indirect ones stay behind them and in their order.
        all.sort_by(|a, b| (!a.direct, &a.catalog).cmp(&(!b.direct, &b.catalog)));
        Ok(all)
    }

    pub(crate) fn report(&self) -> Vec<InputReport> {
        let report = |(id, input): (&CatalogId, &ResolvedInput)| InputReport {
            catalog: id.clone(),
            from: input.from,
            to: input.now.as_ref().map(Snapshot::version),
            partitions: input.layers.values().map(|layer| layer.now().count()).sum(),
            changed: input.layers.values().map(|layer| Some(layer.known_changes()?.all)).sum(),
            deleted: input.layers.values().map(|layer| Some(layer.known_changes()?.deleted)).sum(),
        };
        self.inputs.iter().map(report).collect()
    }
}
