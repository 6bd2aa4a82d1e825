//! The driver: finds the output partitions that a change can affect, from a stored dependency graph and fingerprints,
//! compiles these, publishes what differs and commits one new version.
//!
//! The result equals a build from scratch, bit for bit: outputs and state alike. That rests on three rules:
//!
//! * A task's state and outputs are functions of its inputs, of what it read, and of its fingerprint, and of nothing else.
//! * A run compares its inputs with those that the *base was made from*, as the base records them. So a job may skip
//!   versions or go back to earlier ones.
//! * Whatever could depend on timing is sorted before it is written.
//!
//! Each folder is a room, and so is `key.rs`. A room uses only rooms below it in this table; `.ci/rooms` checks it.
//!
//! | room | holds |
//! |---|---|
//! | `audit` | verify and rebuild: compile what is published again, and compare |
//! | `edit` | other changes of a catalog: imports, and edits of layers |
//! | `run` | a run in order: resolve, decide skip, incremental or full, execute, commit |
//! | `stage` | the executor: what a change can affect, running it, writing layers and state |
//! | `determinism` | runs user code twice and compares the results |
//! | `checkpoint` | stores results of a run, and resumes from those of an interrupted one |
//! | `engine` | runs kernels; the kernel runs user code on one batch |
//! | `state` | the tables that tasks keep between runs |
//! | `input` | layers in the base and now, and the inputs that a filter takes |
//! | `report` | events and the report of a run; stopping it early |
//! | `sort` | rows and sets of keys, sorted in bounded memory |
//! | `key` | keys of inputs and outputs: a layer by number, and a name |
//! | `error` | errors, their kinds and messages |

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
    LayerContent, Rebuild, Rebuilt, RebuiltLayer, RebuiltTask, Statement, Verdict, rebuild, recorded_inputs,
    recorded_tasks,
};
pub use audit::verify::{
    Difference, RecordMatch, RowDifference, Sampling, Verification, VerifiedInput, VerifiedTask, Verify,
};
pub use checkpoint::Checkpoint;
pub use edit::by_hand::{LayerEdit, edit_layers, revert};
pub use edit::import::{Import, ImportCounts, ImportLimits, ImportReport};
pub use engine::Engine;
pub use engine::local::LocalEngine;
pub use error::difference::FirstDifference;
pub use error::failure::{Failure, Failures, QuarantineFull, Quarantined};
pub use error::groups::{FailureGroup, Groupable, group_failures};
pub use error::offender::Offender;
pub use error::panics::{catch_panic, on_panic};
pub use error::{Error, ErrorKind, Phase, Result};
pub use report::observe::{Event, Observer, Silent};
pub use report::stop::Stop;
pub use report::{Counts, InputReport, Mode, Orphan, Phases, Plan, PlannedTask, Report, TaskReport};
pub use run::job::{At, Job, JobInput, Options, Processing};
pub use state::quarantined::quarantined;
