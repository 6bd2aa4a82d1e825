//! The kinds of errors, by what the caller should do.

use deltic_core::{LayerId, Version};
use deltic_store::Owner;

use crate::{Failures, Offender};

/// What a caller should do.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Compilers refused partitions, or panicked. Fix the inputs or the compiler.
    Compiler(Failures),
    /// A compiler broke a rule of its pattern: two inputs or two groups made one output, or it named one partition twice.
    /// Fix the compiler, or register it with another pattern.
    Contract,
    /// Results differ when they are compiled twice. Make the compilers functions of their inputs: no order of hash
    /// maps, clocks, randomness, threads, or anything kept between calls.
    NotDeterministic {
        /// The first by task, part and key.
        offenders: Vec<Offender>,
        /// How many others there are.
        more: u64,
    },
    /// The request does not fit the catalogs: there is nothing to verify or to rebuild, a version was made by other
    /// tasks, a recorded input can not be read any more, or inputs do not fit together although
    /// [`Options::compatible`](crate::Options::compatible) demands it. Nothing was compiled. Request something else.
    Refused,
    /// Tasks, layers and catalogs do not fit together. Nothing has run. Fix the job.
    Setup,
    /// The catalog belongs to another writer, whose data would be lost. Nothing was written. Choose another catalog, or
    /// take it over.
    Owned {
        /// The catalog.
        url: String,
        /// The writer it belongs to.
        owner: Owner,
        /// What was refused: `a run of other tasks`, `an import`.
        by: &'static str,
    },
    /// An import would take more away than its [`ImportLimits`](crate::ImportLimits) allow. Nothing was imported. Check
    /// the source, or raise the limits.
    Guarded {
        /// The catalog.
        url: String,
        /// The layer.
        layer: LayerId,
        /// Whether the layer would become empty, because the source is.
        is_empty: bool,
        /// How many partitions would be deleted.
        deleted: u64,
        /// Of how many.
        before: u64,
    },
    /// The output catalog is not at the version that the caller expected. Plan again.
    BaseMoved {
        /// The version that the caller expected.
        expected: Version,
        /// The version that was found.
        found: Version,
    },
    /// The stored state does not fit the stored layers. Run in full:
    /// [`Options::incremental`](crate::Options::incremental) `= false`, or `--full` of the command line.
    State,
    /// A partition to be imported is not acceptable for its layer. Fix it.
    InvalidInput {
        /// The layer.
        layer: LayerId,
        /// What is wrong, without the layer.
        what: String,
    },
    /// It was stopped by [`Stop`](crate::Stop).
    Stopped {
        /// The version that it started from, which is unchanged.
        base: Version,
    },
    /// This machine could not start threads or write temporary files. Check its disk and memory, and try again.
    Machine,
    /// The store failed, or another run committed first. See the kind of its own error.
    Store(deltic_store::Error),
    /// A bug in this crate.
    Internal,
}
