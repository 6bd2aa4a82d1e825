//! Runs the tasks of a run, each as soon as the tasks whose output it reads are done, some at the same time.
//!
//! No result depends on timing: a task sees the results of tasks that it reads and of no others, results go into the
//! version by name, and reports are in the order of tasks. If a compiler fails, tasks that do not read its output still run,
//! so that one report has all failures. After another error, tasks before it in the order run to their end, and those
//! behind it are not begun. The order of tasks decides which error is reported, and not the time.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};

use deltic_compiler::{Lookup, Task};
use deltic_core::{Layer, LayerId, LayerRef};
use deltic_store::{Draft, TaskRecord, Tree};

use crate::checkpoint::Checkpoints;
use crate::checkpoint::resume::StageCheckpoint;
use crate::engine::Engine;
use crate::error::failure::Failures;
use crate::error::offender::Offenders;
use crate::input::view::{RunLayer, View};
use crate::report::observe::Event;
use crate::report::{Counts, Mode, TaskReport};
use crate::run::base::{Base, private_table};
use crate::run::job::Job;
use crate::run::mode::decide;
use crate::run::resolve::Resolved;
use crate::stage::checks::Checks;
use crate::stage::context::{Stage, StageResult};
use crate::state::base_tables::BaseTables;
use crate::state::fingerprint;
use crate::state::tables::State;
use crate::{Error, Result};

/// The layers that tasks can read so far.
pub(crate) type Layers = BTreeMap<LayerRef, Arc<RunLayer>>;

/// The content of the next version, so far.
#[derive(Default)]
pub(crate) struct Next {
    pub(crate) layers: BTreeMap<LayerId, (Layer, Tree)>,
    pub(crate) state: BTreeMap<String, Tree>,
    pub(crate) records: Vec<TaskRecord>,
}

/// The view of a task on the layers.
pub(crate) fn view(task: &Task, layers: &Layers) -> Result<View> {
    let found = task.readable().into_iter().map(|layer| {
        let run_layer = layers.get(&layer).cloned();
        let run_layer = run_layer
            .ok_or_else(|| Error::setup(format!("task `{}` reads `{layer}`, which nothing writes", task.id())))?;
        Ok((layer, run_layer))
    });
    Ok(View::new(found.collect::<Result<Vec<_>>>()?, task.projections()))
}

/// The tasks of a run being executed.
pub(crate) struct Execution<'a> {
    job: &'a Job<'a>,
    engine: &'a dyn Engine,
    resolved: &'a Resolved,
    draft: &'a Draft,
    checkpoints: Option<&'a Checkpoints<'a>>,
    checks: Checks<'a>,
    layers: Layers,
    next: Next,
}

/// A task that can run: all layers that it reads are complete.
struct Ready<'a> {
    task: &'a Task,
    view: View,
    record: TaskRecord,
    mode: Mode,
    published: Vec<Tree>,
    /// Whether it runs in full because an input is to be reprocessed.
    is_reprocessed: bool,
}

impl<'a> Execution<'a> {
    pub(crate) fn new(
        job: &'a Job<'a>,
        engine: &'a dyn Engine,
        resolved: &'a Resolved,
        draft: &'a Draft,
        checkpoints: Option<&'a Checkpoints<'a>>,
    ) -> Execution<'a> {
        let (layers, next) = (resolved.layers(), Next::default());
        let checks = Checks::default();
        let mut execution = Execution { job, engine, resolved, draft, checkpoints, checks, layers, next };
        execution.keep_foreign_layers();
        execution
    }

    /// Runs all user code twice, and records results that differ.
    pub(crate) fn checked(mut self, offenders: &'a Offenders) -> Execution<'a> {
        self.checks.offenders = Some(offenders);
        self
    }

    /// Layers that no task writes stay as in the base.
    fn keep_foreign_layers(&mut self) {
        let written: BTreeSet<&LayerId> =
            self.job.tasks.iter().flat_map(Task::outputs).map(|layer| &layer.id).collect();
        let base = &self.resolved.base;
        for layer in base.layers().filter(|layer| !written.contains(&layer.id)) {
            if let Some(tree) = base.tree(&layer.id) {
                self.next.layers.insert(layer.id.clone(), (layer.clone(), self.draft.adopt(&tree)));
            }
        }
    }

    /// Runs the tasks, which come in an order in which they could run one by one; returns their reports in this order.
    pub(crate) fn run(mut self, order: &[&'a Task]) -> Result<(Vec<TaskReport>, Next)> {
        let most = self.engine.side_by_side();
        let (job, engine, base, draft) = (self.job, self.engine, Base(&self.resolved.base), self.draft);
        let (checkpoints, checks) = (self.checkpoints, self.checks);
        let mut waiting: BTreeSet<usize> = (0..order.len()).collect();
        let mut ready: BTreeMap<usize, Ready<'a>> = BTreeMap::new();
        let mut reports: BTreeMap<usize, TaskReport> = BTreeMap::new();
        let mut compilers: BTreeMap<usize, Failures> = BTreeMap::new();
        let mut failed: Option<(usize, Error)> = None;
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let mut running = 0;
            loop {
                let before_failed = failed.as_ref().map_or(order.len(), |(index, _)| *index);
                while let Some(index) =
                    waiting.range(..before_failed).copied().find(|index| self.can_run(order[*index]))
                {
                    waiting.remove(&index);
                    let task = self.prepare(order[index])?;
                    if task.mode == Mode::Skipped {
                        let result = task.skip(base, draft);
                        reports.insert(index, self.record(task, result));
                    } else {
                        ready.insert(index, task);
                    }
                }
                ready.retain(|index, _| *index < before_failed);
                // A single task runs on this thread.
                while running < most
                    && running + ready.len() > 1
                    && let Some((index, task)) = ready.pop_first()
                {
                    running += 1;
                    let sender = sender.clone();
                    scope.spawn(move || {
                        // Panics of user code are caught already. A panic of this crate must not leave the receiver waiting.
                        let run =
                            catch_unwind(AssertUnwindSafe(|| task.run(job, engine, base, draft, checkpoints, checks)));
                        let run = run.unwrap_or_else(|_| Err(Error::internal("a task panicked")));
                        // The receiver is gone if the run could not go on.
                        let _ = sender.send((index, task, run));
                    });
                }
                let (index, task, result) = if running > 0 {
                    running -= 1;
                    receiver.recv().map_err(|_| Error::internal("the tasks are gone"))?
                } else if let Some((index, task)) = ready.pop_first() {
                    let result = task.run(job, engine, base, draft, checkpoints, checks);
                    (index, task, result)
                } else {
                    break;
                };
                match result {
                    Ok(result) => drop(reports.insert(index, self.record(task, result))),
                    Err(error) => match error.into_failures() {
                        Ok(failures) => drop(compilers.insert(index, failures)),
                        Err(error) if failed.as_ref().is_none_or(|(first, _)| index < *first) => {
                            failed = Some((index, error));
                        }
                        Err(_) => {}
                    },
                }
            }
            Ok::<(), Error>(())
        })?;
        let before_failed = failed.as_ref().map_or(order.len(), |(index, _)| *index);
        let compilers = compilers.into_iter().filter(|(index, _)| *index < before_failed).map(|(_, failures)| failures);
        let compilers = compilers.reduce(|mut all, more| {
            all.extend(more);
            all
        });
        match (compilers, failed) {
            (Some(failures), _) => Err(Error::compiler(failures)),
            (None, Some((_, error))) => Err(error),
            (None, None) => Ok((reports.into_values().collect(), self.next)),
        }
    }

    /// Whether all layers that a task reads are complete.
    fn can_run(&self, task: &Task) -> bool {
        task.readable().iter().all(|layer| self.layers.contains_key(layer))
    }

    fn prepare(&self, task: &'a Task) -> Result<Ready<'a>> {
        let base = Base(&self.resolved.base);
        let view = view(task, &self.layers)?;
        let record = fingerprint::record(task, view.layers(), &self.job.options.code);
        let reprocessed = self.resolved.reprocessed(task);
        let mode = decide(base, task, &record, &view, self.job.options.incremental, reprocessed);
        let published = task.outputs().iter().map(|layer| base.published(layer, self.draft)).collect();
        Ok(Ready { task, view, record, mode, published, is_reprocessed: reprocessed.is_some() })
    }

    /// Records the result of a task, for later tasks and for the version.
    fn record(&mut self, done: Ready<'_>, result: StageResult) -> TaskReport {
        let Ready { task, record, mode, published, .. } = done;
        let StageResult { outputs, state, counts, quarantined: in_quarantine } = result;
        for ((layer, before), now) in task.outputs().iter().zip(published).zip(outputs) {
            let run_layer = RunLayer::new(layer.clone(), Some(before), now.clone());
            self.layers.insert(LayerRef { catalog: None, layer: layer.id.clone() }, Arc::new(run_layer));
            match task.is_private(&layer.id) {
                true if now.is_empty() => {}
                true => drop(self.next.state.insert(private_table(task.id(), &layer.id), now)),
                false => drop(self.next.layers.insert(layer.id.clone(), (layer.clone(), now))),
            }
        }
        self.next.state.extend(state.into_tables());
        self.next.records.push(record);
        let report = TaskReport { task: task.id().clone(), mode, counts, in_quarantine };
        self.job.observer.event(&Event::TaskDone { report: &report });
        report
    }
}

impl Ready<'_> {
    /// The result of a task that is skipped.
    fn skip(&self, base: Base<'_>, draft: &Draft) -> StageResult {
        let state = base.state(self.task, draft);
        StageResult { outputs: self.published.clone(), state, counts: Counts::default(), quarantined: Vec::new() }
    }

    fn run(
        &self,
        job: &Job<'_>,
        engine: &dyn Engine,
        base: Base<'_>,
        draft: &Draft,
        checkpoints: Option<&Checkpoints<'_>>,
        checks: Checks<'_>,
    ) -> Result<StageResult> {
        let Ready { task, view, record, mode, published, is_reprocessed } = self;
        let full = matches!(mode, Mode::Full { .. });
        let inputs = (full && task.filter().is_none()).then(|| {
            let inputs = view.iter().filter(|(_, name, _)| task.inputs().contains(name));
            inputs.map(|(_, _, layer)| layer.now().count()).sum()
        });
        job.observer.event(&Event::TaskStarted { task: task.id(), inputs });
        let state = match full {
            true => State::empty(task.id(), draft),
            false => base.state(task, draft),
        };
        let before = BaseTables::new(base.state(task, draft), base.task(task), record);
        let checkpoint = checkpoints.map(|checkpoints| {
            let key = checkpoints.key_of_task(task, record, view, published, *is_reprocessed);
            StageCheckpoint { checkpoints, key }
        });
        let (observer, stop) = (job.observer, &job.stop);
        Stage { task, view, published, state, before, full, draft, engine, observer, stop, checkpoint, checks }.run()
    }
}
