//! What a run did, as data. Programs read it as JSON, people as the text that the command line makes of it.

pub(crate) mod observe;
pub(crate) mod stop;

use std::fmt;

use deltic_core::{CatalogId, LayerId, TaskId, Version};
use deltic_store::{Owner, Requests};
use serde::Serialize;

use crate::Quarantined;

/// The account of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version the run started from.
    pub base: Version,
    /// The version it committed; `None` when nothing had changed.
    pub version: Option<Version>,
    /// The input catalogs, by id.
    pub inputs: Vec<InputReport>,
    /// Where the job says something of an input that is not so, and where an input has another history than the one that
    /// the base was made from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The tasks, in the order they ran.
    pub tasks: Vec<TaskReport>,
    /// What the base has of tasks that are gone.
    pub orphans: Vec<Orphan>,
    /// Who wrote to the output so far, where that was somebody else.
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

/// Where the time went.
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
    /// The version that the base was made from; `None` when the base knows nothing of this catalog.
    pub from: Option<Version>,
    /// The version that was read; `None` where there is none yet: all layers are empty.
    pub to: Option<Version>,
    /// Partitions at that version, in the layers that tasks read.
    pub partitions: u64,
    /// How many partitions changed, came or went since `from`, where a task had to find out. Those that went are not among
    /// `partitions`.
    pub changed: Option<u64>,
    /// How many of these went.
    pub deleted: Option<u64>,
}

/// Something that a task left behind which is not registered any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orphan {
    /// A layer that no task writes any more: kept as it is.
    Layer(LayerId),
    /// The state of a task, private layers included: not kept. A task that only has another id now takes it over, if it
    /// says so by [`Task::previously`](deltic_compiler::Task::previously).
    State(TaskId),
}

/// How a task ran, and why so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum Mode {
    /// Not at all: nothing it reads has changed.
    Skipped,
    /// From what changed.
    Incremental {
        /// The layers that changed. With none, partitions in quarantine are tried again.
        changed: Vec<String>,
    },
    /// From everything.
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

/// What one task did.
#[derive(Debug, Clone, Serialize)]
pub struct TaskReport {
    /// The task.
    pub task: TaskId,
    /// How it ran.
    #[serde(flatten)]
    pub mode: Mode,
    /// What it counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// What is in quarantine after the run, inputs before outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_quarantine: Vec<Quarantined>,
}

/// What one task counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Inputs that changed, came or went, or read something that did.
    pub inputs: u64,
    /// Of these, those that only read something that changed.
    pub inputs_through_reads: u64,
    /// Front-ends run for them.
    pub fronts: u64,
    /// Of these, those that said just what they had said before.
    pub cut_off: u64,
    /// Front-ends of unchanged inputs run again, because an output they contribute to was compiled.
    pub fronts_again: u64,
    /// Unchanged inputs whose front-end need not run again for that, because what it said is remembered.
    pub remembered: u64,
    /// Of `fronts` and `fronts_again`, those that did not run, because a run that was interrupted had run them.
    #[serde(skip_serializing_if = "is_zero")]
    pub fronts_resumed: u64,
    /// Outputs compiled.
    pub compiled: u64,
    /// Outputs that were not compiled, because a run that was interrupted had compiled them; not among `compiled`.
    #[serde(skip_serializing_if = "is_zero")]
    pub resumed: u64,
    /// Of both, those compiled only because the back-end had read something that changed.
    pub through_reads: u64,
    /// Of all these, those that came out as published.
    pub same: u64,
    /// Partitions published, new or changed.
    pub put: u64,
    /// Partitions deleted.
    pub deleted: u64,
    /// Partitions that were in quarantine before the run, and so were tried again.
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

/// What a run would do.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The version it would start from.
    pub base: Version,
    /// Who writes to the output, where that is somebody else: a run refuses to, unless it is to take the catalog over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<Owner>,
    /// The input catalogs, by id.
    pub inputs: Vec<InputReport>,
    /// Where the job says something of an input that is not so, and where an input has another history than the one that
    /// the base was made from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The tasks in order, and how each would run.
    pub tasks: Vec<PlannedTask>,
    /// What the base has of tasks that are gone.
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
    /// Inputs that changed, came or went; reads are not followed.
    pub inputs: u64,
    /// Layers that changed and are only read: which inputs have read what changed is found in the run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readers_of: Vec<String>,
    /// Partitions in quarantine, which it would try again.
    #[serde(skip_serializing_if = "is_zero")]
    pub in_quarantine: u64,
    /// Tasks before it whose output it reads and which would run: whether it runs depends on what they make.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub awaits: Vec<TaskId>,
}
