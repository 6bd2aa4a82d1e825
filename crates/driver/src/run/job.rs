//! The job of a run: what it reads, what it writes, and how.

use std::collections::BTreeMap;

use deltic_compiler::Task;
use deltic_core::{CatalogId, LayerId, RunId, Timestamp, Version};
use deltic_store::Catalog;

use crate::checkpoint::Checkpoint;
use crate::report::observe::{Observer, Silent};
use crate::report::stop::Stop;

/// Everything that a run needs, except the engine.
///
/// ```no_run
/// # use deltic_compiler::Task;
/// # use deltic_core::CatalogId;
/// # use deltic_driver::{Job, LocalEngine, Options};
/// # fn f(input: deltic_store::Catalog, output: deltic_store::Catalog, tasks: &[Task], options: Options) -> Result<(), Box<dyn std::error::Error>> {
/// let report = Job::new(&output, tasks, options)
///     .input(CatalogId::new("in")?, input)
///     .run(&LocalEngine::new(0))?;
/// # Ok(()) }
/// ```
pub struct Job<'a> {
    /// The input catalogs by symbolic id, each at a version or at its latest.
    pub inputs: BTreeMap<CatalogId, JobInput>,
    /// The catalog that is written.
    pub output: Catalog,
    /// The tasks.
    pub tasks: &'a [Task],
    /// Receives the events of the run.
    pub observer: &'a dyn Observer,
    /// How to run.
    pub options: Options,
    /// Stops the run early.
    pub stop: Stop,
}

/// An input catalog of a run. One catalog may be bound under several ids, at a version each; requests are counted once
/// if each id has a catalog that was opened for it.
#[derive(Debug, Clone)]
pub struct JobInput {
    /// The catalog.
    pub catalog: Catalog,
    /// The version to read.
    pub at: At,
    /// What the job states about it.
    pub processing: Processing,
}

/// Which version of an input catalog a run reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum At {
    /// The latest.
    #[default]
    Latest,
    /// This one. A change to another version is a change like any other.
    Version(Version),
    /// The one that an earlier committed run of the output read. If there is no such run yet, all layers are empty. Versions
    /// may be skipped, or read again: what that run read decides.
    RunsAgo {
        /// The id under which it was read. From now on that is recorded, whether a task reads it or not.
        of: CatalogId,
        /// The number of runs ago; 1 is the last one. Cost: a request for each run beyond that.
        runs: u64,
    },
    /// The output catalog itself at the base, with private layers: what the tasks made last time. Before the first run all
    /// layers are empty. A run gives the same layers and state as a full run on the same base, but not as a run into
    /// another catalog.
    Feedback,
}

/// What a job states about an input. Only `Reprocess` has an effect, because the base records what it was made from. The
/// report notes a statement that is not true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Processing {
    /// Nothing.
    #[default]
    Unspecified,
    /// No layer that is read has changed.
    NoChanges,
    /// The base was made from this version of it. A version that never existed is an error.
    Changes {
        /// The version.
        since: Version,
    },
    /// Tasks that read it run in full.
    Reprocess,
}

impl<'a> Job<'a> {
    /// A job of these tasks that writes a catalog. It has no inputs, no observer, and nothing stops it.
    pub fn new(output: &Catalog, tasks: &'a [Task], options: Options) -> Job<'a> {
        Job { inputs: BTreeMap::new(), output: output.clone(), tasks, observer: &Silent, options, stop: Stop::new() }
    }

    /// Adds an input catalog under an id: at its latest version, or as `input` states. It replaces an earlier one of that id.
    #[must_use]
    pub fn input(mut self, id: CatalogId, input: impl Into<JobInput>) -> Job<'a> {
        self.inputs.insert(id, input.into());
        self
    }

    /// Sends events to an observer.
    #[must_use]
    pub fn watched_by(self, observer: &'a dyn Observer) -> Job<'a> {
        Job { observer, ..self }
    }

    /// Makes the run end early when `stop` is requested.
    #[must_use]
    pub fn stopped_by(self, stop: &Stop) -> Job<'a> {
        Job { stop: stop.clone(), ..self }
    }
}

impl From<Catalog> for JobInput {
    fn from(catalog: Catalog) -> JobInput {
        JobInput::new(catalog, At::Latest)
    }
}

impl JobInput {
    /// A catalog at a version, with no statement about it.
    pub fn new(catalog: Catalog, at: At) -> JobInput {
        JobInput { catalog, at, processing: Processing::Unspecified }
    }
}

impl From<Option<Version>> for At {
    /// The latest if no version is given.
    fn from(version: Option<Version>) -> At {
        version.map_or(At::Latest, At::Version)
    }
}

/// How to run. Of these only `code` is part of fingerprints.
#[derive(Debug, Clone)]
pub struct Options {
    /// The identity of the code of tasks that have no version of their own; empty if all have one.
    pub code: String,
    /// The run's id: random, never used twice.
    pub run: RunId,
    /// When the run started. It is recorded, and decides nothing.
    pub started: Timestamp,
    /// `false` makes every task full.
    pub incremental: bool,
    /// The version that the output catalog must have; another one is an error before work begins.
    pub expect_base: Option<Version>,
    /// Refuses inputs of which one was made from another version of a catalog than the run reads; otherwise that is a note.
    pub compatible: bool,
    /// Writes to a catalog that belongs to another writer, and replaces its data; otherwise that is
    /// [`ErrorKind::Owned`](crate::ErrorKind::Owned).
    pub take_over: bool,
    /// The layer id that no task may write, because the state of the catalog has it.
    pub state_layer: LayerId,
    /// A text recorded with the version.
    pub note: String,
    /// When the run makes checkpoints; `None` for never, and then it does not use those of an interrupted run either.
    pub checkpoint: Option<Checkpoint>,
    /// Runs all user code twice, and publishes nothing if any result differs the second time. Cost: more than twice the time.
    pub check_determinism: bool,
}

impl Options {
    /// An incremental run from the latest version, for tasks that have a version of their own: no checkpoints, no checks, no note.
    pub fn new(run: RunId, started: Timestamp, state_layer: LayerId) -> Options {
        Options {
            code: String::new(),
            run,
            started,
            incremental: true,
            expect_base: None,
            compatible: false,
            take_over: false,
            state_layer,
            note: String::new(),
            checkpoint: None,
            check_determinism: false,
        }
    }
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("inputs", &self.inputs).field("options", &self.options).finish_non_exhaustive()
    }
}
