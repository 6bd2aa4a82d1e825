//! Verification: published partitions are compiled again from the recorded inputs, and compared.
//!
//! Each task runs on what the version records: its inputs at their recorded versions, and the published output of earlier
//! tasks. So a task with wrong code is one finding, and not one for each task that reads its output. If no task differs
//! from what is published, neither does a build from scratch.
//!
//! The executor of runs compiles a task here too. For a sample, the taken keys replace what changed: then the new trees
//! differ from the published ones only where something is wrong. Without a sample the task runs in full, and all of its
//! state is compared as well. New trees go to a temporary folder; the output catalog is only read.

mod compared;
mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deltic_compiler::{Lookup as _, Task};
use deltic_core::{CatalogId, CatalogUuid, LayerId, LayerRef, TaskId, Version};
use deltic_store::{Draft, DraftOptions, Snapshot};
use serde::Serialize;

use crate::audit::recorded_inputs::Recorded;
use crate::engine::Engine;
use crate::error::findings::findings;
use crate::error::offender::{Offender, Offenders};
use crate::input::view::RunLayer;
use crate::run::base::Base;
use crate::run::job::{At, Job};
use crate::run::scheduler::{Layers, view};
use crate::run::task_order;
use crate::stage::checks::{Checks, MOST_FAILURES};
use crate::stage::context::Stage;
use crate::stage::sample::Sample;
use crate::state::base_tables::BaseTables;
use crate::state::fingerprint;
use crate::state::quarantined::InQuarantine;
use crate::state::reads::Reader;
use crate::state::tables::State;
use crate::{Error, Result};

use compared::{Compared, Differences, Excluded, foreign};
pub use compared::{Difference, RowDifference};

/// What to verify.
#[derive(Debug, Clone, Default)]
pub struct Verify {
    /// A share of all partitions. Without it all partitions and all of the state are verified, and that nothing is missing. All
    /// of a task is verified in any case if one of its inputs has another history than when one of the last 64 versions of
    /// the output was made.
    pub sample: Option<Sampling>,
    /// The tasks; all if empty.
    pub tasks: Vec<TaskId>,
}

/// A share of all partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sampling {
    /// About this number of a million partitions.
    pub millionths: u32,
    /// Another seed takes other partitions.
    pub seed: u64,
}

/// The result of a verification.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// The catalog.
    pub catalog: CatalogUuid,
    /// Its URL.
    pub url: String,
    /// The version that was verified.
    pub version: Version,
    /// The share that was verified; none for all.
    pub sample: Option<Sampling>,
    /// The inputs, at the versions that the version was made from.
    pub inputs: Vec<VerifiedInput>,
    /// Inputs that have another history than when earlier versions of the output were made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The tasks, in the order they ran.
    pub tasks: Vec<VerifiedTask>,
    /// Layers that no task writes, which can not be verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_covered: Vec<LayerId>,
    /// The first differences, by task and key.
    pub differences: Vec<Difference>,
    /// The number of differences that are not listed.
    pub more_differences: u64,
    /// Results that differ when compiled twice, if that was checked.
    pub offenders: Vec<Offender>,
    /// The number of these that are not listed.
    pub more_offenders: u64,
}

/// An input of a verification.
#[derive(Debug, Clone, Serialize)]
pub struct VerifiedInput {
    /// Its id.
    pub catalog: CatalogId,
    /// The version that was read.
    pub version: Version,
}

/// The result of the verification of a task.
#[derive(Debug, Clone, Serialize)]
pub struct VerifiedTask {
    /// The task.
    pub task: TaskId,
    /// Whether it is the task that the version records.
    #[serde(flatten)]
    pub record: RecordMatch,
    /// The number of inputs that were read. Their front-ends ran, if the task has one.
    pub inputs: u64,
    /// The number of outputs or groups compiled.
    pub outputs: u64,
    /// The number of partitions in quarantine. They are not compared: what is published of them was not made from their inputs.
    #[serde(skip_serializing_if = "crate::report::is_zero")]
    pub in_quarantine: u64,
    /// The number of differences found.
    pub differences: u64,
}

/// Whether a task is the one that a version records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum RecordMatch {
    /// It has the recorded fingerprint.
    Same,
    /// It has another fingerprint: the next run compiles it in full.
    Changed {
        /// What changed.
        reason: String,
        /// Whether its state was not compared, because it has no meaning for the changed task.
        outputs_only: bool,
    },
    /// The version does not record it.
    New,
}

impl Verification {
    /// Whether no difference was found.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.offenders.is_empty()
    }
}

impl Job<'_> {
    /// Compiles again what the latest version of the output publishes, from the input versions that it records, and
    /// compares. With [`Options::check_determinism`](crate::Options::check_determinism) everything runs twice, in shuffled
    /// order both times. The job's input catalogs are used, but at the recorded versions.
    ///
    /// Writes nothing to the output catalog. Cost of all: that of a full run without the uploads, and space in the folder for
    /// temporary files for the state and for what differs. Cost of a sample: a walk over all keys, its share of compiling, the
    /// front-ends of all contributors to the outputs that are taken, and in full the front-ends over whole inputs and the
    /// global tasks; and a request for each of the last 64 versions of the output, and of the inputs that these record.
    ///
    /// Errors: no task has made the version, an input version can not be read any more, or a store failed. What user code
    /// can not compile is a difference.
    pub fn verify(&self, engine: &dyn Engine, what: &Verify) -> Result<Verification> {
        let order = task_order::order(self.tasks, &self.inputs.keys().collect::<Vec<_>>(), &self.options)?;
        if let Some(unknown) = what.tasks.iter().find(|id| !self.tasks.iter().any(|task| task.id() == *id)) {
            let known: Vec<String> = self.tasks.iter().map(|task| format!("`{}`", task.id())).collect();
            return Err(Error::setup(format!("there is no task `{unknown}`, expected {}", known.join(", "))));
        }
        let failed = |error| Error::machine("a folder for temporary files could not be made", error, "");
        let folder = tempfile::tempdir().map_err(failed)?;
        let base = self.output.under(folder.path())?.latest()?;
        if let Some(expected) = self.options.expect_base.filter(|expected| *expected != base.version()) {
            return Err(Error::base_moved(expected, base.version()));
        }
        if base.record().tasks.is_empty() {
            let (url, version) = (self.output.url(), base.version());
            return Err(Error::refused(format!("no task made version {version} of {url}: there is nothing to verify")));
        }
        let mut verifying = Verifying::new(self, engine, &base, order.iter().copied())?;
        if what.sample.is_some() {
            verifying.replaced = history::replaced(self, &base)?;
        }
        let (mut tasks, mut differences) = (Vec::new(), Differences::default());
        for task in order {
            if what.tasks.is_empty() || what.tasks.contains(task.id()) {
                tasks.push(verifying.task(task, what, &mut differences)?);
            }
        }
        let (offenders, more_offenders) = verifying.offenders.take();
        let input = |(catalog, input): (&CatalogId, &Snapshot)| VerifiedInput {
            catalog: catalog.clone(),
            version: input.version(),
        };
        Ok(Verification {
            catalog: base.uuid(),
            url: self.output.url().to_owned(),
            version: base.version(),
            sample: what.sample,
            inputs: verifying.recorded.inputs.iter().map(input).collect(),
            notes: verifying.replaced.into_values().collect(),
            tasks,
            not_covered: foreign(Base(&base), self.tasks),
            differences: differences.listed,
            more_differences: differences.more,
            offenders,
            more_offenders,
        })
    }
}

/// A verification while it runs.
struct Verifying<'a> {
    job: &'a Job<'a>,
    engine: &'a dyn Engine,
    base: &'a Snapshot,
    draft: Draft,
    recorded: Recorded<'a>,
    layers: Layers,
    /// The inputs that have another history than when earlier versions were made.
    replaced: BTreeMap<CatalogId, String>,
    offenders: Offenders,
}

impl<'a> Verifying<'a> {
    fn new(
        job: &'a Job<'a>,
        engine: &'a dyn Engine,
        base: &'a Snapshot,
        order: impl Iterator<Item = &'a Task>,
    ) -> Result<Verifying<'a>> {
        let draft = Draft::begin(base, job.options.run, DraftOptions::default());
        // A task that the version does not record may read inputs that it was not made from.
        let tasks: Vec<&Task> = order.filter(|task| Base(base).task(task).is_some()).collect();
        let mut read: BTreeSet<CatalogId> =
            tasks.iter().flat_map(|task| task.readable()).filter_map(|layer| layer.catalog).collect();
        for input in job.inputs.values() {
            if let At::RunsAgo { of, .. } = &input.at {
                read.insert(of.clone());
            }
        }
        let recorded = Recorded::open(
            base,
            |id| read.contains(id),
            |known| {
                let bound = known.catalog.as_ref().and_then(|id| job.inputs.get(id));
                bound.map(|input| (input.catalog.url().to_owned(), Ok(input.catalog.clone()))).into_iter().collect()
            },
        )?;
        let bound = |id: &CatalogId| job.inputs.get(id).map(|input| &input.at);
        let mut layers = recorded.layers(&tasks, &bound, &draft.empty_tree(), true)?;
        for layer in job.tasks.iter().flat_map(Task::outputs) {
            let tree = Base(base).published(layer, &draft);
            let run_layer = RunLayer::new(layer.clone(), Some(tree.clone()), tree);
            layers.insert(LayerRef { catalog: None, layer: layer.id.clone() }, Arc::new(run_layer));
        }
        let (replaced, offenders) = (BTreeMap::new(), Offenders::default());
        Ok(Verifying { job, engine, base, draft, recorded, layers, replaced, offenders })
    }

    fn task(&self, task: &Task, what: &Verify, differences: &mut Differences) -> Result<VerifiedTask> {
        let (job, base) = (self.job, Base(self.base));
        let id = task.id().clone();
        let Some(record) = base.task(task) else {
            let record = RecordMatch::New;
            return Ok(VerifiedTask { task: id, record, inputs: 0, outputs: 0, in_quarantine: 0, differences: 0 });
        };
        let before = differences.count();
        let view = view(task, &self.layers)?;
        let now = fingerprint::record(task, view.layers(), &job.options.code);
        let outputs_only = !fingerprint::same_state(record, &now);
        let matches = match record.fingerprint == now.fingerprint {
            true => RecordMatch::Same,
            false => RecordMatch::Changed { reason: fingerprint::difference(record, &now), outputs_only },
        };
        // With another filter there are other inputs, so the recorded contributors do not show what to compile for a sample.
        let is_replaced = |layer: &LayerRef| layer.catalog.as_ref().is_some_and(|id| self.replaced.contains_key(id));
        let in_full = outputs_only
            || record.parts.get("filter") != now.parts.get("filter")
            || task.readable().iter().any(is_replaced);
        let sample = what.sample.filter(|_| !in_full);
        let sample = sample.map(|Sampling { millionths, seed }| Sample::new(millionths, seed));
        let in_base = base.state(task, &self.draft);
        let quarantine = in_base.in_quarantine()?;
        let published: Vec<_> = task.outputs().iter().map(|layer| base.published(layer, &self.draft)).collect();
        let offenders = job.options.check_determinism.then_some(&self.offenders);
        let state = match sample {
            Some(_) => in_base.clone(),
            None => State::empty(&id, &self.draft),
        };
        let (shuffled, failures) = (offenders.is_some(), Some(MOST_FAILURES));
        let stage = Stage {
            task,
            view: &view,
            published: &published,
            state,
            before: BaseTables::new(in_base.clone(), Some(record), &now)
                .filter(|_| fingerprint::same_layers(record, &now)),
            full: sample.is_none(),
            draft: &self.draft,
            engine: self.engine,
            observer: job.observer,
            stop: &job.stop,
            checkpoint: None,
            checks: Checks { offenders, shuffled, failures, sample: sample.as_ref() },
        };
        let counts = match stage.run() {
            Ok(result) => {
                let failed = result.state.in_quarantine()?;
                let mut excluded = Excluded::default();
                excluded.add(&quarantine, &in_base, &result.state)?;
                excluded.add(&failed, &in_base, &result.state)?;
                let before: BTreeSet<&Reader> = quarantine.iter().map(|one| &one.reader).collect();
                for InQuarantine { reader, partition, is_held } in failed {
                    if !is_held && !before.contains(&reader) {
                        differences
                            .add(|| Ok(Difference::Failed { task: id.clone(), message: partition.to_string() }))?;
                    }
                }
                let compared =
                    Compared { task, view: &view, published: &published, in_base: &in_base, excluded: &excluded };
                compared.outputs(&result, differences)?;
                if !outputs_only {
                    compared.state(&result, differences)?;
                }
                result.counts
            }
            Err(error) => {
                for message in findings(error)? {
                    differences.add(|| Ok(Difference::Failed { task: id.clone(), message }))?;
                }
                crate::Counts::default()
            }
        };
        let differences = differences.count() - before;
        Ok(VerifiedTask {
            task: id,
            record: matches,
            inputs: counts.inputs,
            outputs: counts.compiled,
            in_quarantine: quarantine.len() as u64,
            differences,
        })
    }
}
