//! Rebuilding: makes a version again from what its record names, in a catalog of its own, and compares the two.
//!
//! The inputs are those of the record, at their versions; the tasks must have the recorded fingerprints. The result is a
//! statement of what was compared, which can be kept.

mod carried;
mod statement;

use std::collections::{BTreeMap, BTreeSet};

use deltic_compiler::{OnError, RecordedTask, Task};
use deltic_core::{CatalogId, Layer, LayerId, LayerRef, Timestamp};
use deltic_store::{
    Catalog, Change, Committed, Comparison, Dependency, Draft, DraftOptions, NextVersion, Part, Snapshot, Stores,
    TaskRecord,
};

use crate::audit::recorded_inputs::{Places, Recorded};
use crate::engine::Engine;
use crate::error::difference::FirstDifference;
use crate::error::offender::Offenders;
use crate::report::observe::Observer;
use crate::run::job::{At, Job, Options};
use crate::run::resolve::Resolved;
use crate::run::scheduler::{Execution, Next};
use crate::run::task_order;
use crate::state::fingerprint;
use crate::state::quarantined::quarantined;
use crate::{Error, Result, Stop};

use carried::Carried;

pub use statement::{LayerContent, Rebuilt, RebuiltLayer, RebuiltTask, Statement, Verdict};

/// What to rebuild, and with what.
pub struct Rebuild<'a> {
    /// The version.
    pub version: Snapshot,
    /// Its inputs: see [`recorded_inputs`].
    pub inputs: BTreeMap<CatalogId, Snapshot>,
    /// The bindings of ids now, for inputs that were absent: those of earlier runs, or of the output itself.
    pub bound: BTreeMap<CatalogId, At>,
    /// The tasks, with the configurations and filters that the version records. Tasks that it does not record are ignored.
    pub tasks: &'a [Task],
    /// The engine.
    pub engine: &'a dyn Engine,
    /// Receives events.
    pub observer: &'a dyn Observer,
    /// Used are `code`, `run`, `started` (also the time of the statement), `state_layer` and `check_determinism`. The others
    /// have no effect: the new catalog is empty, so every task runs in full.
    pub options: Options,
    /// Stops it early.
    pub stop: Stop,
}

impl std::fmt::Debug for Rebuild<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rebuild").field("version", &self.version).field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

/// Opens the inputs of a version: each at its recorded version, at the recorded URL, or where its id is bound now if that is
/// the same catalog.
///
/// Errors: an input is not found, was removed by retention, or has another content.
pub fn recorded_inputs(
    version: &Snapshot,
    stores: &Stores,
    bound: &BTreeMap<CatalogId, Catalog>,
) -> Result<BTreeMap<CatalogId, Snapshot>> {
    let places = |known: &Dependency| {
        let mut places = Places::new();
        if known.uuid == version.uuid() {
            places.push((version.catalog().url().to_owned(), Ok(version.catalog().clone())));
            return places;
        }
        places.push((known.url.clone(), Catalog::open(stores, &known.url)));
        let bound = known.catalog.as_ref().and_then(|id| bound.get(id));
        places.extend(bound.map(|bound| (bound.url().to_owned(), Ok(bound.clone()))));
        places
    };
    Ok(Recorded::open(version, |_| true, places)?.inputs)
}

/// The settings of tasks that a version records, to register tasks with: see [`deltic_compiler::register_recorded`].
pub fn recorded_tasks(version: &Snapshot) -> Vec<RecordedTask> {
    let recorded = |record: &TaskRecord| RecordedTask {
        id: record.id.to_string(),
        configuration: record.configuration.clone(),
        filter: record.parts.get("filter").and_then(|filter| serde_json::from_str(filter).ok()),
    };
    version.record().tasks.iter().map(recorded).collect()
}

/// Makes a version again and compares. `into` creates the catalog for it, after all checks; that catalog keeps the result.
///
/// Cost: that of a build from scratch, and a comparison of trees, which costs nothing if they are equal.
///
/// Errors: [`ErrorKind::Refused`](crate::ErrorKind::Refused) before anything is compiled, if the version was not made by
/// tasks, or by other tasks; or any error of a run. A difference is no error: it is in the statement.
pub fn rebuild(what: &Rebuild<'_>, into: impl FnOnce() -> deltic_store::Result<Catalog>) -> Result<Statement> {
    let version = &what.version;
    let tasks = tasks(what)?;
    let inputs = what.inputs.keys().chain(what.bound.keys());
    let order = task_order::order(&tasks, &inputs.collect::<Vec<_>>(), &what.options)?;
    let recorded = Recorded::of(version, what.inputs.clone());
    let bound = |id: &CatalogId| what.bound.get(id);
    // An empty tree needs a draft, to which nothing is written.
    let nothing = Draft::begin(version, what.options.run, DraftOptions::default()).empty_tree();
    let layers = recorded.layers(&order, &bound, &nothing, false)?;
    let settings = layers.iter().map(|(layer, run_layer)| (layer.clone(), run_layer.settings().clone()));
    check_fingerprints(what, &order, settings.collect())?;
    let carried = Carried::find(version, &tasks)?;

    let output = into()?;
    let base = output.latest()?;
    if !base.record().layers.is_empty() || !base.record().tasks.is_empty() {
        return Err(Error::refused(format!("{} is no new catalog: choose another URL", output.url())));
    }
    let draft = Draft::begin(&base, what.options.run, DraftOptions::default());
    let resolved = Resolved { base, inputs: recorded.resolved(layers), notes: Vec::new() };
    // Its inputs are resolved already.
    let job = Job::new(&output, &tasks, what.options.clone()).watched_by(what.observer).stopped_by(&what.stop);
    let offenders = Offenders::default();
    let execution = Execution::new(&job, what.engine, &resolved, &draft, None);
    let executed = match what.options.check_determinism {
        true => execution.checked(&offenders).run(&order),
        false => execution.run(&order),
    };
    offenders.refuse()?;
    let (_, Next { mut layers, state, records }) = executed?;
    layers.extend(carried.copy(&draft)?.into_iter().map(|(layer, tree)| (layer.id.clone(), (layer, tree))));
    let committed = draft.commit(NextVersion {
        layers: layers.into_values().collect(),
        state,
        dependencies: resolved.dependencies()?,
        owner: version.record().owner.clone(),
        tasks: records,
        created: what.options.started,
        note: format!("version {} of {}, rebuilt", version.version(), version.catalog().url()),
        statistics: serde_json::Value::Null,
    })?;
    let rebuilt = match committed {
        Committed::New(snapshot) => snapshot,
        Committed::Unchanged => resolved.base,
    };
    compare(version, &rebuilt, &tasks, &carried, what.options.started)
}

/// The tasks that made the version.
fn tasks(what: &Rebuild<'_>) -> Result<Vec<Task>> {
    let (version, url) = (what.version.version(), what.version.catalog().url());
    let records = &what.version.record().tasks;
    if records.is_empty() {
        return Err(Error::refused(format!(
            "no task made version {version} of {url}: it was imported or just created, so it can not be rebuilt"
        )));
    }
    let quarantined = quarantined(&what.version)?;
    if let Some(first) = quarantined.first() {
        return Err(Error::refused(format!(
            "{} partitions of version {version} of {url} are in quarantine, so that it is not made of its inputs alone: \
             the first is {first}",
            quarantined.len()
        )));
    }
    let find = |record: &TaskRecord| {
        let task = what.tasks.iter().find(|task| *task.id() == record.id).cloned();
        // A task that got another id since runs under its old one, which is in the names of its state.
        let others = || what.tasks.iter().filter(|task| !records.iter().any(|record| record.id == *task.id()));
        let task = task.or_else(|| others().find_map(|task| task.called_earlier(&record.id)));
        // There is no base from which partitions in quarantine could be kept.
        task.map(|task| task.on_error(OnError::Abort)).ok_or_else(|| {
            Error::refused(format!(
                "task `{}` made version {version} of {url}, and no such task is registered: use the binary that has it",
                record.id
            ))
        })
    };
    records.iter().map(find).collect()
}

/// Refuses unless each task has the fingerprint that the version records.
fn check_fingerprints(what: &Rebuild<'_>, order: &[&Task], mut settings: BTreeMap<LayerRef, Layer>) -> Result<()> {
    for layer in order.iter().flat_map(|task| task.outputs()) {
        settings.insert(LayerRef { catalog: None, layer: layer.id.clone() }, layer.clone());
    }
    let mut differ = Vec::new();
    for task in order {
        let readable = task.readable().into_iter();
        let readable = readable.filter_map(|layer| Some((layer.clone(), settings.get(&layer)?.clone())));
        let now = fingerprint::record(task, &readable.collect::<Vec<_>>(), &what.options.code);
        let known = what.version.record().tasks.iter().find(|record| record.id == *task.id());
        for (part, was, is) in known.map(|known| fingerprint::other_parts(known, &now)).unwrap_or_default() {
            let task = task.id();
            differ.push(match part.as_str() {
                "code" => format!(
                    "task `{task}`: code: recorded `{was}`, this binary is `{is}`: rebuild with that build; tasks that state a `version` do not depend on the build"
                ),
                part => format!("task `{task}`: {part}: recorded `{was}`, here `{is}`"),
            });
        }
    }
    if differ.is_empty() {
        return Ok(());
    }
    let version = what.version.version();
    Err(Error::refused(format!("version {version} was made by other tasks than these: {}", differ.join("; "))))
}

/// The statement of how the rebuilt version compares.
fn compare(
    recorded: &Snapshot,
    rebuilt: &Snapshot,
    tasks: &[Task],
    carried: &Carried<'_>,
    time: Timestamp,
) -> Result<Statement> {
    let written: BTreeSet<&LayerId> = tasks.iter().flat_map(Task::outputs).map(|layer| &layer.id).collect();
    let ids: BTreeSet<&LayerId> = recorded.layers().chain(rebuilt.layers()).map(|layer| &layer.id).collect();
    let mut layers = Vec::new();
    for id in ids {
        let part = Part::Layer(id.clone());
        let compared = recorded.compare(rebuilt, &part);
        let (is_covered, carried_from) = (written.contains(id), carried.from(id));
        let first = match is_covered || carried_from.is_some() {
            false => Some("no task writes it".to_owned()),
            true if compared.has_other_settings() => Some("its settings are others".to_owned()),
            true => first_difference(&part, &compared)?,
        };
        let (recorded, rebuilt) = (compared.before().map(LayerContent::of), compared.after().map(LayerContent::of));
        let (name, equal) = (id.to_string(), first.is_none());
        layers.push(RebuiltLayer { name, is_covered, carried_from, recorded, rebuilt, equal, first });
    }
    let tables: BTreeSet<&str> = recorded.state_tables().chain(rebuilt.state_tables()).collect();
    let mut first = None;
    for table in tables {
        let part = Part::State(table.to_owned());
        first = first_difference(&part, &recorded.compare(rebuilt, &part))?;
        if first.is_some() {
            break;
        }
    }
    let record = recorded.record();
    let task = |task: &TaskRecord| RebuiltTask {
        task: task.id.clone(),
        fingerprint: task.fingerprint,
        code: task.parts.get("code").cloned().unwrap_or_default(),
    };
    let state_equal = recorded.state_digest() == rebuilt.state_digest();
    let verdict = match () {
        () if layers.iter().any(|layer| layer.is_accounted_for() && !layer.equal) || !state_equal => Verdict::Differs,
        () if layers.iter().any(|layer| !layer.is_accounted_for()) => Verdict::NotCovered,
        () => Verdict::Equal,
    };
    let of = |snapshot: &Snapshot| Rebuilt {
        catalog: snapshot.uuid(),
        url: snapshot.catalog().url().to_owned(),
        version: snapshot.version(),
        record: snapshot.record_digest(),
        digest: snapshot.digest(),
        state: snapshot.state_digest(),
    };
    let statement = Statement {
        recorded: of(recorded),
        rebuilt: of(rebuilt),
        dependencies: record.dependencies.clone(),
        tasks: record.tasks.iter().map(task).collect(),
        layers,
        state_equal,
        state_first: first,
        verdict,
        deltic: env!("CARGO_PKG_VERSION").to_owned(),
        time,
        digest: Default::default(),
    };
    Ok(statement.sealed())
}

/// The first partition or row in which a part differs, as text.
fn first_difference(part: &Part, compared: &Comparison<'_>) -> Result<Option<String>> {
    let (one, other) = match (compared.before(), compared.after()) {
        (None, None) => return Ok(None),
        (Some(one), Some(other)) => (one, other),
        (Some(_), None) => return Ok(Some(format!("{part} did not come out"))),
        (None, Some(_)) => return Ok(Some(format!("{part} came out, and is not recorded"))),
    };
    let Some(change) = compared.changes().next().transpose()? else { return Ok(None) };
    let settings = compared.settings_of(&change);
    let Change { key, before, after } = change;
    let name = match part {
        Part::Layer(id) => {
            let name = settings.and_then(|layer| layer.name_from_bytes(&key).ok());
            name.map(|name| format!("{id}/{name}"))
        }
        Part::State(table) => Some(format!("{table}: {}", String::from_utf8_lossy(&key).escape_debug())),
    };
    let name = name.unwrap_or_else(|| String::from_utf8_lossy(&key).escape_debug().to_string());
    Ok(Some(match (before, after) {
        (Some(before), Some(after)) => {
            let first = FirstDifference::of(&one.read(&before)?, &other.read(&after)?);
            let first = first.map(|first| format!(", {first}")).unwrap_or_default();
            format!("{name} is not what is recorded{first}")
        }
        (Some(_), None) => format!("{name} did not come out"),
        (None, _) => format!("{name} came out, and is not recorded"),
    }))
}
