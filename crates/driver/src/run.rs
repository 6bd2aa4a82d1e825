//! A run from beginning to end: resolve, then for each task decide, execute and publish, then one commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use deltic_compiler::Task;
use deltic_core::{Layer, LayerId, LayerRef, TaskId};
use deltic_store::{Committed, Draft, DraftOptions, NextVersion, Requests, TaskRecord, Tree};

use crate::base::{Base, private_table};
use crate::decide::decide;
use crate::job::{At, Job};
use crate::observe::Event;
use crate::report::{Counts, Mode, Phases, Plan, PlannedTask, Report, TaskReport};
use crate::resolve::{Resolved, resolve};
use crate::stage::{Stage, StageResult};
use crate::state::State;
use crate::view::{RunLayer, View};
use crate::{Error, Result, fingerprint, graph};

/// Runs a job and commits one new version, or none when nothing has changed.
///
/// Cost: a handful of requests when nothing has changed, O(changed · log n) otherwise. On any error, and when the
/// process ends early, the base stands as it was.
pub fn run(job: &Job<'_>) -> Result<Report> {
    let mut clock = Laps::start();
    let before = Usage::of(job);
    let order = order(job)?;
    let resolved = resolve(job)?;
    let resolve_ms = clock.lap();

    let draft = Draft::begin(&resolved.base, job.options.run, DraftOptions::default());
    let mut run = Run {
        job,
        resolved: &resolved,
        base: Base(&resolved.base),
        draft: &draft,
        layers: resolved.layers(),
        next: Next::default(),
    };
    run.keep_foreign_layers();
    let tasks = order.into_iter().map(|task| run.execute(task)).collect::<Result<Vec<TaskReport>>>()?;
    let Next { layers, state, records } = run.next;
    let execute_ms = clock.lap();

    let inputs = resolved.report();
    let next = NextVersion {
        layers: layers.into_values().collect(),
        state,
        dependencies: resolved.dependencies()?,
        tasks: records,
        created: job.options.started,
        note: job.options.note.clone(),
        statistics: statistics(&tasks),
    };
    let committed = draft.commit(next)?;
    let commit_ms = clock.lap();
    let used = Usage::of(job) - before;
    Ok(Report {
        base: resolved.base.version(),
        version: match committed {
            Committed::New(snapshot) => Some(snapshot.version()),
            Committed::Unchanged => None,
        },
        inputs,
        notes: resolved.notes,
        tasks,
        orphans: Base(&resolved.base).orphans(job.tasks),
        bytes_written: used.output.bytes_written,
        output_requests: used.output,
        input_requests: used.inputs,
        phases: Phases { resolve_ms, execute_ms, commit_ms },
    })
}

/// Says what a run would do, without running any compiler and without writing anything.
pub fn plan(job: &Job<'_>) -> Result<Plan> {
    let order = order(job)?;
    let resolved = resolve(job)?;
    let base = Base(&resolved.base);
    let mut layers = resolved.layers();
    let mut running: BTreeMap<LayerId, TaskId> = BTreeMap::new();
    let mut tasks = Vec::new();
    let draft = Draft::begin(base.0, job.options.run, DraftOptions::default());
    for task in order {
        let view = view(task, &layers)?;
        let record = fingerprint::record(task, deltic_compiler::Lookup::layers(&view), &job.options.code);
        let mut awaits: Vec<TaskId> = task
            .readable()
            .iter()
            .filter(|layer| layer.catalog.is_none())
            .filter_map(|layer| running.get(&layer.layer).cloned())
            .collect();
        awaits.sort();
        awaits.dedup();
        let mode = decide(base.task(task), &record, &view, job.options.incremental, resolved.reprocessed(task));
        let mode = match mode {
            Mode::Skipped if !awaits.is_empty() => Mode::Incremental { changed: Vec::new() },
            mode => mode,
        };
        let mut inputs = 0;
        for (_, name, layer) in view.iter().filter(|(_, name, _)| task.inputs().contains(name)) {
            inputs += match &mode {
                Mode::Full { .. } if name.catalog.is_some() => layer.now().count(),
                _ => {
                    layer.changes().try_for_each(|change| change.map(|_| ()))?;
                    layer.known_changes().unwrap_or_default()
                }
            };
        }
        for layer in task.outputs() {
            if mode != Mode::Skipped {
                running.insert(layer.id.clone(), task.id().clone());
            }
            let tree = base.published(layer, &draft);
            let run_layer = RunLayer::new(layer.clone(), Some(tree.clone()), tree);
            layers.insert(LayerRef { catalog: None, layer: layer.id.clone() }, Arc::new(run_layer));
        }
        tasks.push(PlannedTask { task: task.id().clone(), mode, inputs, awaits });
    }
    Ok(Plan {
        base: base.0.version(),
        inputs: resolved.report(),
        tasks,
        orphans: base.orphans(job.tasks),
        notes: resolved.notes.clone(),
    })
}

fn order<'a>(job: &Job<'a>) -> Result<Vec<&'a Task>> {
    graph::order(job.tasks, &job.inputs.keys().collect::<Vec<_>>(), &job.options.state_layer)
}

type Layers = BTreeMap<LayerRef, Arc<RunLayer>>;

fn view(task: &Task, layers: &Layers) -> Result<View> {
    let found = task.readable().into_iter().map(|layer| {
        let run_layer = layers.get(&layer).cloned();
        let run_layer = run_layer
            .ok_or_else(|| Error::Setup(format!("task `{}` reads `{layer}`, which nothing writes", task.id())))?;
        Ok((layer, run_layer))
    });
    Ok(View::new(found.collect::<Result<Vec<_>>>()?, task.projections()))
}

/// What the version in the making holds so far.
#[derive(Default)]
struct Next {
    layers: BTreeMap<LayerId, (Layer, Tree)>,
    state: BTreeMap<String, Tree>,
    records: Vec<TaskRecord>,
}

struct Run<'a> {
    job: &'a Job<'a>,
    resolved: &'a Resolved,
    base: Base<'a>,
    draft: &'a Draft,
    layers: Layers,
    next: Next,
}

impl Run<'_> {
    /// Layers that no task writes stay as the base has them.
    fn keep_foreign_layers(&mut self) {
        let written: BTreeSet<&LayerId> =
            self.job.tasks.iter().flat_map(Task::outputs).map(|layer| &layer.id).collect();
        for layer in self.base.0.layers().filter(|layer| !written.contains(&layer.id)) {
            if let Some(tree) = self.base.0.tree(&layer.id) {
                self.next.layers.insert(layer.id.clone(), (layer.clone(), self.draft.adopt(&tree)));
            }
        }
    }

    fn execute(&mut self, task: &Task) -> Result<TaskReport> {
        let view = view(task, &self.layers)?;
        let record = fingerprint::record(task, deltic_compiler::Lookup::layers(&view), &self.job.options.code);
        let reprocessed = self.resolved.reprocessed(task);
        let mode = decide(self.base.task(task), &record, &view, self.job.options.incremental, reprocessed);
        let published: Vec<Tree> = task.outputs().iter().map(|layer| self.base.published(layer, self.draft)).collect();
        let result = match &mode {
            Mode::Skipped => StageResult {
                outputs: published.clone(),
                state: self.base.state(task, self.draft),
                counts: Counts::default(),
            },
            Mode::Incremental { .. } | Mode::Full { .. } => {
                let full = matches!(mode, Mode::Full { .. });
                let inputs = full.then(|| {
                    view.iter()
                        .filter(|(_, name, _)| task.inputs().contains(name))
                        .map(|(_, _, l)| l.now().count())
                        .sum()
                });
                self.job.observer.event(&Event::TaskStarted { task: task.id(), inputs });
                let state = match full {
                    true => State::empty(task.id(), self.draft),
                    false => self.base.state(task, self.draft),
                };
                let stage = Stage {
                    task,
                    view: &view,
                    published: &published,
                    state,
                    full,
                    draft: self.draft,
                    engine: self.job.engine,
                    observer: self.job.observer,
                };
                stage.run()?
            }
        };
        for ((layer, before), now) in task.outputs().iter().zip(published).zip(result.outputs) {
            let run_layer = RunLayer::new(layer.clone(), Some(before), now.clone());
            self.layers.insert(LayerRef { catalog: None, layer: layer.id.clone() }, Arc::new(run_layer));
            match task.is_private(&layer.id) {
                true if now.is_empty() => {}
                true => drop(self.next.state.insert(private_table(task.id(), &layer.id), now)),
                false => drop(self.next.layers.insert(layer.id.clone(), (layer.clone(), now))),
            }
        }
        self.next.state.extend(result.state.into_tables());
        self.next.records.push(record);
        let report = TaskReport { task: task.id().clone(), mode, counts: result.counts };
        self.job.observer.event(&Event::TaskDone { report: &report });
        Ok(report)
    }
}

/// What the version record keeps of the run: counts alone, so that equal work leaves equal records.
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
