//! Watching a run: progress bars, logs and tests that state which partitions ran.

use deltic_compiler::OutKey;
use deltic_core::{Key, TaskId, Version};

use crate::Failure;
use crate::error::Phase;
use crate::report::TaskReport;

/// Something that happens in a run. Front- and back-end events come from worker threads, in no particular order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A task begins.
    TaskStarted {
        /// The task.
        task: &'a TaskId,
        /// How many inputs it has to look at first, if known.
        inputs: Option<u64>,
    },
    /// A map-group's front-end is about to run.
    Front {
        /// The task.
        task: &'a TaskId,
        /// The input.
        key: &'a Key,
    },
    /// A back-end is about to run.
    Back {
        /// The task.
        task: &'a TaskId,
        /// The output.
        key: &'a OutKey,
    },
    /// User code that reads ahead for a batch is about to run.
    Ahead {
        /// The task.
        task: &'a TaskId,
    },
    /// User code that looks at everything is about to run.
    Whole {
        /// The task.
        task: &'a TaskId,
        /// Which part of it.
        phase: Phase,
    },
    /// The user code that was about to run on this thread has returned.
    Returned {
        /// The task.
        task: &'a TaskId,
    },
    /// A published output goes, because nothing is made for it any more.
    Deleted {
        /// The task.
        task: &'a TaskId,
        /// The output.
        key: &'a OutKey,
    },
    /// A front- or back-end has failed.
    Failed {
        /// What it said.
        failure: &'a Failure,
    },
    /// A task has ended.
    TaskDone {
        /// What it did.
        report: &'a TaskReport,
    },
    /// What was done so far is being kept for the next run, in case this one is interrupted.
    Keeping {
        /// Batches of work.
        results: u64,
    },
    /// All tasks have ended, and the version is about to be committed: from here on a run does not stop any more.
    Committing {
        /// The version that it would be.
        version: Version,
    },
}

/// Gets the events of a run.
pub trait Observer: Send + Sync {
    /// Called for each event, from any thread.
    fn event(&self, event: &Event<'_>);
}

/// Does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event<'_>) {}
}
