//! What a run is asked to do.

use std::collections::BTreeMap;

use deltic_compiler::Task;
use deltic_core::{CatalogId, LayerId, RunId, Timestamp, Version};
use deltic_store::Catalog;

use crate::checkpoint::Checkpoint;
use crate::report::observe::{Observer, Silent};
use crate::report::stop::Stop;

/// Everything that a run works with, but where its code runs.
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
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// How to run.
    pub options: Options,
    /// Who may ask for an early end.
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
    /// What whoever asks for the run says of it.
    pub processing: Processing,
}

/// Which version of an input catalog a run reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum At {
    /// The latest.
    #[default]
    Latest,
    /// This one. Another one is a change as any other.
    Version(Version),
    /// The one that one of the last committed runs of the output read. Where there is none yet all layers are empty.
    /// Versions may be passed over, and seen twice: what was read decides, not what there was.
    RunsAgo {
        /// The id that it was read under; it is recorded from now on, whether a task reads it or not.
        of: CatalogId,
        /// How many runs ago; 1 is the last one. Cost: a request for each run beyond that.
        runs: u64,
    },
    /// The output catalog itself as the base has it, private layers included: what the tasks made last time. Before the
    /// first run all layers are empty. A run ends in the same layers and state as one from the same base that compiles
    /// everything; a run into another catalog does not.
    Feedback,
}

/// What is said of an input when a run is asked for. The base records what it was made from, so nothing rests on it but
/// `Reprocess`; what proves wrong is noted in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Processing {
    /// Nothing: it is what the record says.
    #[default]
    Unsaid,
    /// No layer that is read has changed.
    NoChanges,
    /// The base was made from this version of it. One that never was is an error.
    Changes {
        /// That version.
        since: Version,
    },
    /// Tasks that read it are to be compiled in full.
    Reprocess,
}

impl<'a> Job<'a> {
    /// A job of these tasks that writes a catalog. It reads nothing yet, nobody watches, and nobody stops it.
    pub fn new(output: &Catalog, tasks: &'a [Task], options: Options) -> Job<'a> {
        Job { inputs: BTreeMap::new(), output: output.clone(), tasks, observer: &Silent, options, stop: Stop::new() }
    }

    /// Reads a catalog under an id: at its latest version, or as the input says. It replaces what was read under that id.
    #[must_use]
    pub fn input(mut self, id: CatalogId, input: impl Into<JobInput>) -> Job<'a> {
        self.inputs.insert(id, input.into());
        self
    }

    /// Tells somebody what happens.
    #[must_use]
    pub fn watched_by(self, observer: &'a dyn Observer) -> Job<'a> {
        Job { observer, ..self }
    }

    /// Lets somebody ask for an early end.
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
    /// A catalog at a version, of which nothing is said.
    pub fn new(catalog: Catalog, at: At) -> JobInput {
        JobInput { catalog, at, processing: Processing::Unsaid }
    }
}

impl From<Option<Version>> for At {
    /// The latest where no version is named.
    fn from(version: Option<Version>) -> At {
        version.map_or(At::Latest, At::Version)
    }
}

/// How to run. Nothing here is part of a fingerprint, but `code`.
#[derive(Debug, Clone)]
pub struct Options {
    /// The identity of the code of tasks that state no version of their own; empty where all state one.
    pub code: String,
    /// The run's id: random, never used twice.
    pub run: RunId,
    /// When the run started; recorded, never decided by.
    pub started: Timestamp,
    /// `false` makes every task full.
    pub incremental: bool,
    /// The version that the output catalog must be at; anything else is an error before work begins.
    pub expect_base: Option<Version>,
    /// Refuses to read a catalog, and what was made from another version of it, together; otherwise that is a note.
    pub compatible: bool,
    /// Writes to a catalog that somebody else writes to so far, and replaces what is there; otherwise that is
    /// [`ErrorKind::Owned`](crate::ErrorKind::Owned).
    pub take_over: bool,
    /// The id that no task may write, because the catalog's state goes under it.
    pub state_layer: LayerId,
    /// A text recorded with the version.
    pub note: String,
    /// When what was done is kept for the next run, in case this one is interrupted; `None` for never, and then nothing is
    /// taken over either.
    pub checkpoint: Option<Checkpoint>,
    /// Runs every front- and back-end twice, and publishes nothing if anything comes out differently the second time.
    /// Cost: more than twice the time.
    pub check_determinism: bool,
}

impl Options {
    /// Incremental, for tasks that state their code's version: no checkpoints, no checks, no note, from whatever version the
    /// output is at.
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
