//! The report of a run, as data. Programs read it as JSON, people as text of the command line.

pub(crate) mod observe;
pub(crate) mod stop;

use std::fmt;

use deltic_core::{CatalogId, LayerId, TaskId, Version};
use deltic_store::{Owner, Requests};
use serde::Serialize;

use crate::Quarantined;

/// The report of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version the run started from.
    pub base: Version,
    /// The version it committed; `None` if nothing changed.
    pub version: Option<Version>,
    /// The input catalogs, by id.
    pub inputs: Vec<InputReport>,
    /// Inputs of which the job states something that is not true, and inputs that have another history than when the base was
    /// made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The tasks, in the order they ran.
    pub tasks: Vec<TaskReport>,
    /// Layers and state of tasks that are no longer registered.
    pub orphans: Vec<Orphan>,
    /// The writer that the output belonged to before, if it was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_over_from: Option<Owner>,
    /// Bytes uploaded.
    pub bytes_written: u64,
    /// Requests made to the output catalog's store.
    pub output_requests: Requests,
    /// Requests made to the input catalogs' stores, together.
    pub input_requests: Requests,
    /// Milliseconds by phase.
    pub phases: Phases,
}

/// The time of the phases of a run.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Phases {
    /// Opening catalogs and finding versions.
    pub resolve_ms: f64,
    /// All tasks: planning, compiling, publishing.
    pub execute_ms: f64,
    /// Uploading what was left and creating the version.
    pub commit_ms: f64,
}

/// An input catalog of a run.
#[derive(Debug, Clone, Serialize)]
pub struct InputReport {
    /// Its symbolic id.
    pub catalog: CatalogId,
    /// The version that the base was made from; `None` if the base was not made from this catalog.
    pub from: Option<Version>,
    /// The version that was read; `None` if there is none yet: all layers are empty.
    pub to: Option<Version>,
    /// Partitions at that version, in the layers that tasks read.
    pub partitions: u64,
    /// The number of partitions that were added, changed or removed since `from`, if a task had to compare them. Removed ones
    /// are not among `partitions`.
    pub changed: Option<u64>,
    /// The number of these that were removed.
    pub deleted: Option<u64>,
}

/// A layer or the state of a task that is no longer registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orphan {
    /// A layer that no task writes any more: it is kept.
    Layer(LayerId),
    /// The state of a task, with its private layers: it is not kept. A task that has another id now gets it, if it names the old
    /// one by [`Task::previously`](deltic_compiler::Task::previously).
    State(TaskId),
}

/// How a task ran, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum Mode {
    /// It did not run: nothing it reads has changed.
    Skipped,
    /// It ran from what changed.
    Incremental {
        /// The layers that changed. With none, partitions in quarantine are tried again.
        changed: Vec<String>,
    },
    /// It ran in full.
    Full {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Skipped => f.write_str("skipped"),
            Mode::Incremental { changed } if changed.is_empty() => f.write_str("incremental"),
            Mode::Incremental { changed } => write!(f, "incremental: {} changed", changed.join(", ")),
            Mode::Full { reason } => write!(f, "full: {reason}"),
        }
    }
}

/// The report of one task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskReport {
    /// The task.
    pub task: TaskId,
    /// How it ran.
    #[serde(flatten)]
    pub mode: Mode,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// The partitions in quarantine after the run, inputs before outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_quarantine: Vec<Quarantined>,
}

/// The counts of one task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Inputs that were added, changed or removed, or that read something that was.
    pub inputs: u64,
    /// Of `inputs`, those that only read something that changed.
    pub inputs_through_reads: u64,
    /// Front-ends that ran for `inputs`.
    pub fronts: u64,
    /// Of `fronts`, those that emitted the same as before.
    pub cut_off: u64,
    /// Front-ends of unchanged inputs that ran again, because an output they contribute to was compiled.
    pub fronts_again: u64,
    /// Unchanged inputs whose front-ends need not run again for that, because a memo has what they emitted.
    pub remembered: u64,
    /// Of `fronts` and `fronts_again`, those that did not run, because an interrupted run had run them.
    #[serde(skip_serializing_if = "is_zero")]
    pub fronts_resumed: u64,
    /// Outputs compiled.
    pub compiled: u64,
    /// Outputs that were not compiled, because an interrupted run had compiled them; not among `compiled`.
    #[serde(skip_serializing_if = "is_zero")]
    pub resumed: u64,
    /// Of `compiled` and `resumed`, those that were affected only because the back-end had read something that changed.
    pub through_reads: u64,
    /// Of `compiled` and `resumed`, those that are equal to what was published.
    pub same: u64,
    /// Partitions published, new or changed.
    pub put: u64,
    /// Partitions deleted.
    pub deleted: u64,
    /// Partitions that were in quarantine before the run, and were tried again.
    #[serde(skip_serializing_if = "is_zero")]
    pub retried: u64,
    /// Partitions that are in quarantine after the run.
    #[serde(skip_serializing_if = "is_zero")]
    pub quarantined: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The plan of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The version it would start from.
    pub base: Version,
    /// The writer that the output belongs to, if it is another one: a run refuses to write unless it takes the catalog over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<Owner>,
    /// The input catalogs, by id.
    pub inputs: Vec<InputReport>,
    /// Inputs of which the job states something that is not true, and inputs that have another history than when the base was
    /// made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The tasks in order, and how each would run.
    pub tasks: Vec<PlannedTask>,
    /// Layers and state of tasks that are no longer registered.
    pub orphans: Vec<Orphan>,
}

/// How a task would run.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedTask {
    /// The task.
    pub task: TaskId,
    /// How it would run.
    #[serde(flatten)]
    pub mode: Mode,
    /// Inputs that were added, changed or removed; reads are not followed.
    pub inputs: u64,
    /// Layers that changed and are only read. The run finds the inputs that read what changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readers_of: Vec<String>,
    /// The number of partitions in quarantine, which it would try again.
    #[serde(skip_serializing_if = "is_zero")]
    pub in_quarantine: u64,
    /// Tasks that would run and whose output it reads: whether it runs depends on their results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub awaits: Vec<TaskId>,
}
