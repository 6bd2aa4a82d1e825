//! Events of a run: for progress bars, logs, and tests that check which partitions ran.

use deltic_compiler::OutKey;
use deltic_core::{Key, TaskId, Version};

use crate::Failure;
use crate::error::Phase;
use crate::report::TaskReport;

/// An event of a run. Events of front- and back-ends come from worker threads, in no particular order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A task begins.
    TaskStarted {
        /// The task.
        task: &'a TaskId,
        /// The number of inputs, if it is known.
        inputs: Option<u64>,
    },
    /// A front-end of one input is about to run: of a map-group, map-split or ref-tree task.
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
    ReadAhead {
        /// The task.
        task: &'a TaskId,
    },
    /// User code over the whole input or output is about to run.
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
    /// A published output is deleted, because no payload is made for it any more.
    Deleted {
        /// The task.
        task: &'a TaskId,
        /// The output.
        key: &'a OutKey,
    },
    /// A front- or back-end has failed.
    Failed {
        /// The failure.
        failure: &'a Failure,
    },
    /// A task has ended.
    TaskDone {
        /// Its report.
        report: &'a TaskReport,
    },
    /// A checkpoint begins.
    Checkpoint {
        /// The number of batches whose results it stores.
        results: u64,
    },
    /// All tasks have ended, and the version is about to be committed. From here on a run can not be stopped.
    Committing {
        /// The number of the version.
        version: Version,
    },
}

/// Receives the events of a run.
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
