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
    /// Compiled twice, partitions came out differently. Make the compilers functions of their inputs: no order of hash
    /// maps, clocks, randomness, threads, or anything kept between calls.
    NotDeterministic {
        /// The first by task, part and key.
        offenders: Vec<Offender>,
        /// How many others there are.
        more: u64,
    },
    /// What is asked for can not be done with what is there. Nothing was compiled. Ask for something else.
    Refused,
    /// Tasks, layers and catalogs do not fit together. Nothing has run. Fix the job.
    Setup,
    /// Somebody else writes to the catalog, and would lose what is there. Nothing was written. Choose another catalog, or
    /// take it over.
    Owned {
        /// The catalog.
        url: String,
        /// Who writes to it.
        owner: Owner,
        /// Who was about to: `a run of other tasks`, `an import`.
        by: &'static str,
    },
    /// An import would take more away than its [`ImportLimits`](crate::ImportLimits) allow. Nothing was imported. Look at
    /// the source, or raise the limits.
    Guarded {
        /// The catalog.
        url: String,
        /// The layer.
        layer: LayerId,
        /// Whether nothing would be left of it, because the source is empty.
        is_empty: bool,
        /// How many partitions would be deleted.
        deleted: u64,
        /// Of how many.
        before: u64,
    },
    /// The output catalog is not at the version that the caller expected. Plan again.
    BaseMoved {
        /// What the caller expected.
        expected: Version,
        /// What is there.
        found: Version,
    },
    /// The stored state does not fit the stored layers. Run with `--full`.
    State,
    /// A partition to be imported is not acceptable for its layer. Fix it.
    InvalidInput {
        /// The layer.
        layer: LayerId,
        /// What is wrong, without the layer.
        what: String,
    },
    /// It was asked to end early, by [`Stop`](crate::Stop).
    Stopped {
        /// The version that it started from, which is unchanged.
        stands: Version,
    },
    /// This machine could not do its part: start threads, or write temporary files. See to its disk and memory, and try
    /// again.
    Machine,
    /// The store failed, or another run committed first. Its own kind says what to do.
    Store(deltic_store::Error),
    /// A bug in this crate.
    Internal,
}
