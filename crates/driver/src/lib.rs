//! The driver: works out from a persisted dependency graph and fingerprints which output partitions a change can
//! affect, compiles these, publishes what differs and commits one new version.
//!
//! The promise is that the result equals a build from scratch, bit for bit: outputs and state alike. What it rests on:
//!
//! * A task's state and outputs are functions of its inputs, of what it read, and of its fingerprint, nothing else.
//! * A run compares today's inputs with those that the *base was made from*, as the base itself records them. A job
//!   that skips versions or goes back is no special case.
//! * Whatever could depend on timing is put in order before it is written.
//!
//! Each folder is a room. Rooms use those below them in this table, and none above; `.ci/arrows` checks it.
//!
//! | room | holds |
//! |---|---|
//! | `audit` | verify and rebuild: what is published, compiled again and compared |
//! | `edit` | the other ways into a catalog: imports, and layers by hand |
//! | `run` | a run in order: resolve, decide skip, incremental or full, execute, commit |
//! | `stage` | the executor: what a change can affect, running it, and keeping what came of it |
//! | `determinism` | user code runs twice, and must come to the same |
//! | `checkpoint` | keeping what was done, and taking over what an interrupted run has done |
//! | `engine` | where kernels run, and the kernel: user code on one batch |
//! | `state` | what tasks remember between runs |
//! | `input` | layers as the base saw them and as they are, and which inputs are compiled |
//! | `report` | what a run tells while it works and at its end; asking for an early end |
//! | `sort` | rows and sets of keys, sorted in bounded memory |
//! | `key` | what all of them call a partition: its layer by number, and its name |
//! | `error` | what can go wrong, and how it reads |

mod audit;
mod checkpoint;
mod determinism;
mod edit;
mod engine;
mod error;
#[cfg(test)]
mod hostile;
mod input;
mod key;
mod report;
mod run;
mod sort;
mod stage;
mod state;

pub use audit::rebuild::{
    Made, Rebuild, Rebuilt, RebuiltPart, RebuiltTask, Statement, Verdict, rebuild, recorded_inputs, recorded_tasks,
};
pub use audit::verify::{
    Difference, RowDifference, Sampling, Standing, Verification, VerifiedInput, VerifiedTask, Verify,
};
pub use checkpoint::Checkpoint;
pub use edit::by_hand::{LayerEdit, edit_layers, revert};
pub use edit::import::{Import, ImportCounts, ImportLimits, ImportReport};
pub use engine::Engine;
pub use engine::local::LocalEngine;
pub use error::alike::{Alike, Told, alike};
pub use error::difference::FirstDifference;
pub use error::failure::{Failure, Failures, PassedLimit, Quarantined};
pub use error::offender::Offender;
pub use error::panics::{caught, on_panic};
pub use error::{Error, ErrorKind, Phase, Result};
pub use report::observe::{Event, Observer, Silent};
pub use report::stop::Stop;
pub use report::{Counts, InputReport, Mode, Orphan, Phases, Plan, PlannedTask, Report, TaskReport};
pub use run::job::{At, Job, JobInput, Options, Processing};
pub use state::quarantined::quarantined;
