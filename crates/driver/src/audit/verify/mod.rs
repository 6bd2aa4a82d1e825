//! Verification: what is published, compiled again from what it was made from, and compared.
//!
//! Each task runs on what the version records: its inputs at their recorded versions, and what earlier tasks published.
//! So a task whose code went wrong is one finding, and not one for each task after it; where no task differs from what
//! is published, neither does a build from nothing.
//!
//! A task is run by the executor of runs. For a sample, what is taken stands in place of what changed: then the trees
//! that come out differ from the published ones just where something is wrong. With everything taken the task runs in
//! full, and all of its state is compared as well. Trees go to a folder which is removed; the output catalog gets reads
//! alone.

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
use crate::stage::base_tables::BaseTables;
use crate::stage::checks::{Checks, MOST_FAILURES, Sample};
use crate::stage::context::Stage;
use crate::state::fingerprint;
use crate::state::quarantined::Known;
use crate::state::reads::Reader;
use crate::state::tables::State;
use crate::{Error, Result};

use compared::{Compared, Differences, PassedOver, foreign};
pub use compared::{Difference, RowDifference};

/// What to verify.
#[derive(Debug, Clone, Default)]
pub struct Verify {
    /// A share of all partitions; without it all of them, all of the state, and that nothing is missing. All of a task is
    /// verified in any case if an input of it has another history than an earlier version of the output was made from, of
    /// the last 64.
    pub sample: Option<Sampling>,
    /// These tasks; without any, all.
    pub tasks: Vec<TaskId>,
}

/// A share of all partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sampling {
    /// About so many of a million.
    pub millionths: u32,
    /// Another number takes others.
    pub seed: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// The catalog.
    pub catalog: CatalogUuid,
    /// Where it is.
    pub url: String,
    /// The version that was verified.
    pub version: Version,
    /// The share that was; none for all.
    pub sample: Option<Sampling>,
    /// The inputs, at the versions that the version was made from.
    pub inputs: Vec<VerifiedInput>,
    /// Where an input has another history than the one that earlier versions of the output were made from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The tasks, in the order they ran.
    pub tasks: Vec<VerifiedTask>,
    /// What no task writes, and nothing can be said of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_covered: Vec<LayerId>,
    /// What differs: the first, by task and key.
    pub differences: Vec<Difference>,
    /// How many differences there are besides.
    pub more_differences: u64,
    /// What came out differently when it was compiled twice, where that was asked for.
    pub offenders: Vec<Offender>,
    /// How many of these there are besides.
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

/// What was done for a task.
#[derive(Debug, Clone, Serialize)]
pub struct VerifiedTask {
    /// The task.
    pub task: TaskId,
    /// How it compares with what the version records of it.
    #[serde(flatten)]
    pub standing: Standing,
    /// Inputs that were looked at, and whose front-ends ran where there are any.
    pub inputs: u64,
    /// Outputs or groups compiled.
    pub outputs: u64,
    /// Partitions in quarantine, which are passed over: what is published of them is not of their inputs.
    #[serde(skip_serializing_if = "crate::report::is_zero")]
    pub in_quarantine: u64,
    /// Differences found.
    pub differences: u64,
}

/// How a task compares with what a version records of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum Standing {
    /// It is the very same.
    Same,
    /// Its fingerprint is another one: the next run compiles it in full.
    Changed {
        /// What changed.
        reason: String,
        /// Whether its state was left out, because it says nothing to such a task.
        outputs_only: bool,
    },
    /// The version was made without it.
    New,
}

impl Verification {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.offenders.is_empty()
    }
}

impl Job<'_> {
    /// Compiles again what the latest version of a job's output publishes, from the input versions that it records, and
    /// compares. With [`Options::check_determinism`](crate::Options::check_determinism) everything runs twice, in unusual
    /// order both times. Versions that the job names for its inputs are of no concern, catalogs are.
    ///
    /// Writes nothing to the output catalog. Cost of all: that of a full run, without the uploads, and space in the folder
    /// for temporary files for state and for what differs. Cost of a sample: a walk over all keys, its share of compiling,
    /// the front-ends of whatever else contributes to the outputs taken, and in full the front-ends over whole inputs and
    /// the global tasks; and a request for each of the last 64 versions of the output and of the inputs that they name.
    ///
    /// Errors: nothing has been made by tasks yet, an input version can not be read any more, or a store failed. What user
    /// code can not compile is a difference.
    pub fn verify(&self, engine: &dyn Engine, what: &Verify) -> Result<Verification> {
        verify(self, engine, what)
    }
}

fn verify(job: &Job<'_>, engine: &dyn Engine, what: &Verify) -> Result<Verification> {
    let order = task_order::order(job.tasks, &job.inputs.keys().collect::<Vec<_>>(), &job.options)?;
    if let Some(unknown) = what.tasks.iter().find(|id| !job.tasks.iter().any(|task| task.id() == *id)) {
        let known: Vec<String> = job.tasks.iter().map(|task| format!("`{}`", task.id())).collect();
        return Err(Error::setup(format!("there is no task `{unknown}`, expected {}", known.join(", "))));
    }
    let failed = |error| Error::machine("a folder for temporary files could not be made", error, "");
    let folder = tempfile::tempdir().map_err(failed)?;
    let base = job.output.under(folder.path())?.latest()?;
    if let Some(expected) = job.options.expect_base.filter(|expected| *expected != base.version()) {
        return Err(Error::base_moved(expected, base.version()));
    }
    if base.record().tasks.is_empty() {
        let (url, version) = (job.output.url(), base.version());
        return Err(Error::refused(format!(
            "version {version} of {url} was made by no task: there is nothing to verify"
        )));
    }
    let mut verifying = Verifying::new(job, engine, &base, order.iter().copied())?;
    if what.sample.is_some() {
        verifying.replaced = history::replaced(job, &base)?;
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
        url: job.output.url().to_owned(),
        version: base.version(),
        sample: what.sample,
        inputs: verifying.recorded.inputs.iter().map(input).collect(),
        notes: verifying.replaced.into_values().collect(),
        tasks,
        not_covered: foreign(Base(&base), job.tasks),
        differences: differences.listed,
        more_differences: differences.more,
        offenders,
        more_offenders,
    })
}

/// A verification on its way.
struct Verifying<'a> {
    job: &'a Job<'a>,
    engine: &'a dyn Engine,
    base: &'a Snapshot,
    draft: Draft,
    recorded: Recorded<'a>,
    layers: Layers,
    /// The inputs that have another history than earlier versions were made from.
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
        // A task that the version knows nothing of may read what it was not made from.
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
            let standing = Standing::New;
            return Ok(VerifiedTask { task: id, standing, inputs: 0, outputs: 0, in_quarantine: 0, differences: 0 });
        };
        let before = differences.count();
        let view = view(task, &self.layers)?;
        let now = fingerprint::record(task, view.layers(), &job.options.code);
        let outputs_only = !fingerprint::same_state(record, &now);
        let standing = match record.fingerprint == now.fingerprint {
            true => Standing::Same,
            false => Standing::Changed { reason: fingerprint::difference(record, &now), outputs_only },
        };
        // A filter says which inputs there are at all, so that what contributed says nothing either.
        let is_replaced = |layer: &LayerRef| layer.catalog.as_ref().is_some_and(|id| self.replaced.contains_key(id));
        let in_full = outputs_only
            || record.parts.get("filter") != now.parts.get("filter")
            || task.readable().iter().any(is_replaced);
        let sample = what.sample.filter(|_| !in_full);
        let sample = sample.map(|Sampling { millionths, seed }| Sample::new(millionths, seed));
        let known = base.state(task, &self.draft);
        let quarantine = known.in_quarantine()?;
        let published: Vec<_> = task.outputs().iter().map(|layer| base.published(layer, &self.draft)).collect();
        let twice = job.options.check_determinism.then_some(&self.offenders);
        let state = match sample {
            Some(_) => known.clone(),
            None => State::empty(&id, &self.draft),
        };
        let (shuffled, failures) = (twice.is_some(), Some(MOST_FAILURES));
        let stage = Stage {
            task,
            view: &view,
            published: &published,
            state,
            before: BaseTables::new(known.clone(), Some(record), &now)
                .filter(|_| fingerprint::same_layers(record, &now)),
            full: sample.is_none(),
            draft: &self.draft,
            engine: self.engine,
            observer: job.observer,
            stop: &job.stop,
            progress: None,
            checks: Checks { twice, shuffled, failures, sample: sample.as_ref() },
        };
        let counts = match stage.run() {
            Ok(result) => {
                let failed = result.state.in_quarantine()?;
                let mut passed_over = PassedOver::default();
                passed_over.add(&quarantine, &known, &result.state)?;
                passed_over.add(&failed, &known, &result.state)?;
                let before: BTreeSet<&Reader> = quarantine.iter().map(|known| &known.reader).collect();
                for Known { reader, said, is_held } in failed {
                    if !is_held && !before.contains(&reader) {
                        differences.note(|| Ok(Difference::Failed { task: id.clone(), message: said.to_string() }))?;
                    }
                }
                let compared =
                    Compared { task, view: &view, published: &published, known: &known, passed_over: &passed_over };
                compared.outputs(&result, differences)?;
                if !outputs_only {
                    compared.state(&result, differences)?;
                }
                result.counts
            }
            Err(error) => {
                for message in findings(error)? {
                    differences.note(|| Ok(Difference::Failed { task: id.clone(), message }))?;
                }
                crate::Counts::default()
            }
        };
        let differences = differences.count() - before;
        Ok(VerifiedTask {
            task: id,
            standing,
            inputs: counts.inputs,
            outputs: counts.compiled,
            in_quarantine: quarantine.len() as u64,
            differences,
        })
    }
}
