//! A run from beginning to end: resolve, then for each task decide, execute and publish, then one commit.

pub(crate) mod base;
pub(crate) mod before;
pub(crate) mod job;
pub(crate) mod mode;
pub(crate) mod notes;
pub(crate) mod owner;
pub(crate) mod resolve;
pub(crate) mod scheduler;
pub(crate) mod task_order;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use deltic_compiler::Task;
use deltic_core::{LayerId, LayerRef, NameBytes, TaskId};
use deltic_store::{Committed, Draft, DraftOptions, KeyRange, NextVersion, Owner, Requests};

use crate::checkpoint::Checkpoints;
use crate::engine::Engine;
use crate::error::offender::Offenders;
use crate::input::filter::filtered;
use crate::input::view::{RunLayer, View};
use crate::key::{InputKey, LayerIndex};
use crate::report::observe::Event;
use crate::report::{Mode, Phases, Plan, PlannedTask, Report, TaskReport};
use crate::run::base::Base;
use crate::run::job::{At, Job};
use crate::run::mode::decide;
use crate::run::resolve::resolve;
use crate::run::scheduler::{Execution, Next, view};
use crate::state::fingerprint;
use crate::{Error, ErrorKind, Result};

impl Job<'_> {
    /// Runs the job on an engine and commits one new version, or none when nothing has changed.
    ///
    /// Cost: a few requests if nothing has changed, O(changed · log n) otherwise. After any error, and if the process ends
    /// early, the base is unchanged. With [`Options::checkpoint`](crate::Options::checkpoint), the next run goes on from the
    /// last checkpoint.
    ///
    /// Errors, by [`ErrorKind`]: `Setup`, `Owned`, `Refused` and `BaseMoved`, mostly before anything is compiled;
    /// `Compiler`, `Contract`, `NotDeterministic` and `State` from tasks; `Stopped`; `Machine`; `Store`, with `Conflict`
    /// inside if another run committed first.
    pub fn run(&self, engine: &dyn Engine) -> Result<Report> {
        let mut clock = Laps::start();
        let before = Usage::of(self);
        let order = order(self)?;
        let resolved = resolve(self)?;
        let resolve_ms = clock.lap();
        let other = owner::other_than_runs(&resolved.base, self.tasks);
        if let Some(owner) = other.clone().filter(|_| !self.options.take_over) {
            return Err(Error::owned(self.output.url(), owner, "a run of other tasks"));
        }

        let draft = Draft::begin(&resolved.base, self.options.run, DraftOptions::default());
        let (offenders, is_checked) = (Offenders::default(), self.options.check_determinism);
        // What is found in a checkpoint is not compiled again, so there would be nothing to compare.
        let checkpoint = self.options.checkpoint.as_ref().filter(|_| !is_checked);
        let (base, incremental) = (&resolved.base, self.options.incremental);
        let checkpoints =
            checkpoint.map(|checkpoint| Checkpoints::new(&draft, base, checkpoint, incremental, self.observer));
        let execution = Execution::new(self, engine, &resolved, &draft, checkpoints.as_ref());
        let executed = if is_checked { execution.checked(&offenders).run(&order) } else { execution.run(&order) };
        // Not after an error of the store, which would fail again. The checkpoints that were made before stay.
        let is_flushed = self.stop.is_requested()
            || executed.as_ref().is_err_and(|error| !matches!(error.kind(), ErrorKind::Store(_)));
        if let Some(checkpoints) = checkpoints.as_ref().filter(|_| is_flushed) {
            checkpoints.flush();
        }
        offenders.refuse()?;
        let (tasks, Next { layers, state, records }) = executed?;
        let execute_ms = clock.lap();

        let inputs = resolved.report();
        let next = NextVersion {
            layers: layers.into_values().collect(),
            state,
            dependencies: resolved.dependencies()?,
            owner: Some(Owner::tasks(records.iter().map(|task| task.id.clone()))),
            tasks: records,
            created: self.options.started,
            note: self.options.note.clone(),
            statistics: statistics(&tasks),
        };
        if self.stop.is_requested() {
            return Err(Error::stopped(resolved.base.version()));
        }
        self.observer.event(&Event::Committing { version: resolved.base.version().next() });
        let committed = draft.commit(next);
        // No run can use the checkpoints any more: this version, or another one on the same base, was made.
        let is_over = |error: &deltic_store::Error| matches!(error.kind(), deltic_store::ErrorKind::Conflict { .. });
        if let Some(checkpoints) = checkpoints.filter(|_| committed.as_ref().err().is_none_or(is_over)) {
            checkpoints.remove();
        }
        let committed = committed?;
        let commit_ms = clock.lap();
        let used = Usage::of(self) - before;
        Ok(Report {
            base: resolved.base.version(),
            version: match committed {
                Committed::New(snapshot) => Some(snapshot.version()),
                Committed::Unchanged => None,
            },
            inputs,
            notes: resolved.notes,
            tasks,
            orphans: Base(&resolved.base).orphans(self.tasks),
            taken_over_from: other,
            bytes_written: used.output.bytes_written,
            output_requests: used.output,
            input_requests: used.inputs,
            phases: Phases { resolve_ms, execute_ms, commit_ms },
        })
    }

    /// The plan of a run: what it would do. Runs no compiler but filters, and writes nothing.
    ///
    /// Cost: the requests of a run with nothing to do, and a walk over the nodes that differ between the inputs and what
    /// the base was made from; for a task with a filter that would run in full, a scan of its inputs' names.
    ///
    /// Errors, by [`ErrorKind`]: `Setup`, `Refused` and `BaseMoved`; `Compiler` if a filter fails; `State`; `Store`. A
    /// catalog of another owner is no error: see [`Plan::owned_by`].
    pub fn plan(&self) -> Result<Plan> {
        let order = order(self)?;
        let resolved = resolve(self)?;
        let base = Base(&resolved.base);
        let mut layers = resolved.layers();
        let mut running: BTreeMap<LayerId, TaskId> = BTreeMap::new();
        let mut tasks = Vec::new();
        let draft = Draft::begin(base.0, self.options.run, DraftOptions::default());
        for task in order {
            let view = view(task, &layers)?;
            let record = fingerprint::record(task, deltic_compiler::Lookup::layers(&view), &self.options.code);
            let mut awaits: Vec<TaskId> = task
                .readable()
                .iter()
                .filter(|layer| layer.catalog.is_none())
                .filter_map(|layer| running.get(&layer.layer).cloned())
                .collect();
            awaits.sort();
            awaits.dedup();
            let in_quarantine = base.in_quarantine(task);
            let mode = decide(base, task, &record, &view, self.options.incremental, resolved.reprocessed(task));
            let mode = match mode {
                Mode::Skipped if !awaits.is_empty() => Mode::Incremental { changed: Vec::new() },
                mode => mode,
            };
            let mut inputs = 0;
            for (number, name, layer) in view.iter().filter(|(_, name, _)| task.inputs().contains(name)) {
                let in_full = matches!(mode, Mode::Full { .. }) && name.catalog.is_some();
                inputs += planned_inputs(task, &view, number, layer, in_full)?;
            }
            for layer in task.outputs() {
                if mode != Mode::Skipped {
                    running.insert(layer.id.clone(), task.id().clone());
                }
                let tree = base.published(layer, &draft);
                let run_layer = RunLayer::new(layer.clone(), Some(tree.clone()), tree);
                layers.insert(LayerRef { catalog: None, layer: layer.id.clone() }, Arc::new(run_layer));
            }
            let readers_of = match &mode {
                Mode::Incremental { changed } => {
                    let own: Vec<String> = task.inputs().iter().map(ToString::to_string).collect();
                    changed.iter().filter(|layer| !own.contains(layer)).cloned().collect()
                }
                Mode::Skipped | Mode::Full { .. } => Vec::new(),
            };
            tasks.push(PlannedTask { task: task.id().clone(), mode, inputs, readers_of, in_quarantine, awaits });
        }
        Ok(Plan {
            base: base.0.version(),
            owned_by: owner::other_than_runs(base.0, self.tasks),
            inputs: resolved.report(),
            tasks,
            orphans: base.orphans(self.tasks),
            notes: resolved.notes.clone(),
        })
    }
}

/// The number of inputs of a layer that a run would take. Cost: with a filter, a walk over them.
fn planned_inputs(task: &Task, view: &View, number: LayerIndex, layer: &RunLayer, in_full: bool) -> Result<u64> {
    let named = |name: NameBytes| InputKey::new(number, name);
    let count = |found: &mut dyn Iterator<Item = Result<InputKey>>| -> Result<u64> {
        let taken = filtered(task, view, found, InputKey::clone);
        taken.map(|one| one.map(|_| 1)).sum()
    };
    match (in_full, task.filter()) {
        (true, None) => Ok(layer.now().count()),
        (true, Some(_)) => count(&mut layer.now().scan(KeyRange::all()).map(|found| Ok(named(found?.0)))),
        (false, _) => count(&mut layer.changes().map(|change| Ok(named(change?.key)))),
    }
}

fn order<'a>(job: &Job<'a>) -> Result<Vec<&'a Task>> {
    task_order::order(job.tasks, &job.inputs.keys().collect::<Vec<_>>(), &job.options)
}

/// The statistics in the version record: counts alone, so that equal runs make equal records.
fn statistics(tasks: &[TaskReport]) -> serde_json::Value {
    let task = |report: &TaskReport| (report.task.to_string(), serde_json::json!(report.counts));
    serde_json::Value::Object(tasks.iter().map(task).collect())
}

/// Requests made so far.
#[derive(Clone, Copy)]
struct Usage {
    output: Requests,
    inputs: Requests,
}

impl Usage {
    fn of(job: &Job<'_>) -> Usage {
        // Feedback is the output, whose requests are counted there.
        let inputs = job.inputs.values().filter(|input| input.at != At::Feedback);
        let inputs = inputs.map(|input| input.catalog.requests());
        Usage { output: job.output.requests(), inputs: inputs.fold(Requests::default(), |sum, one| sum + one) }
    }
}

impl std::ops::Sub for Usage {
    type Output = Usage;

    fn sub(self, before: Usage) -> Usage {
        Usage { output: self.output - before.output, inputs: self.inputs - before.inputs }
    }
}

/// Milliseconds between the phases, for the report only.
struct Laps(Instant);

impl Laps {
    fn start() -> Laps {
        Laps(Instant::now())
    }

    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let passed = now.duration_since(self.0).as_secs_f64() * 1000.0;
        self.0 = now;
        passed
    }
}
