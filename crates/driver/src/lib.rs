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
//! | module | step |
//! |---|---|
//! | `job`, `resolve` | what is asked for; opening catalogs at their versions |
//! | `notes` | what is odd about inputs |
//! | `graph` | order of tasks, errors before anything runs |
//! | `fingerprint`, `decide` | skip, incremental or full, and why |
//! | `before` | what an input was when the base was made, by its digest |
//! | `base`, `base_tables` | tasks, layers and what tasks remembered, as the base has them |
//! | `view` | layers as the base saw them and as they are |
//! | `subjects` | which inputs are compiled at all |
//! | `stage`, `incremental`, `whole`, `user_graph`, `affected`, `kernel`, `settle` | the executor: what can a change affect, run it, keep what came of it |
//! | `failure`, `quarantine` | what compilers fail on; keeping what was published of it and going on |
//! | `elements` | sets of affected partitions in bounded memory |
//! | `state` | edges and reads between runs |
//! | `rows`, `shuffle` | what front-ends say to back-ends, sorted in bounded memory |
//! | `publish` | what was compiled becomes a layer's next tree |
//! | `engine`, `local`, `workers` | where kernels run |
//! | `execute` | the tasks, some side by side |
//! | `progress`, `resume`, `noted` | keeping what was done, and taking over what an interrupted run has done |
//! | `stop` | asking for an early end |
//! | `run`, `report` | all of it in order; what it did |
//! | `import` | the other way into a catalog: partitions from outside |
//! | `verify` | what is published, compiled again and compared |
//! | `rebuild` | a version made again from what its record names |
//! | `recorded`, `difference` | what a version was made from, and where two payloads differ first: for both |
//! | `checks`, `twice` | how a stage is checked while it runs: user code runs twice, and must do the same |

mod affected;
mod alike;
mod base;
mod base_tables;
mod before;
mod by_hand;
mod checks;
mod claims;
mod contributors;
mod decide;
mod difference;
mod element;
mod elements;
mod engine;
mod error;
mod execute;
mod failure;
mod fingerprint;
mod graph;
#[cfg(test)]
mod hostile;
mod import;
mod incremental;
mod job;
mod kernel;
mod local;
mod noted;
mod notes;
mod observe;
mod owner;
mod panics;
mod payloads;
mod progress;
mod publish;
mod quarantine;
mod reads;
mod rebuild;
mod recorded;
mod report;
mod resolve;
mod resume;
mod rows;
mod run;
mod settle;
mod shuffle;
mod spill;
mod stage;
mod state;
mod stop;
mod subjects;
mod twice;
mod user_graph;
mod verify;
mod view;
mod whole;
mod wire;
mod workers;

pub use alike::{Alike, Told, alike};
pub use by_hand::{LayerEdit, edit_layers, revert};
pub use difference::FirstDifference;
pub use element::Element;
pub use elements::{Elements, Walk};
pub use engine::{Engine, Fetch, Item, Kernel, MapBatch, Mapped, Outcome, ReduceSink, Reduced, StageSession};
pub use error::{Error, Phase, Result};
pub use failure::{Failure, Failures, PassedLimit};
pub use import::{Import, ImportCounts, ImportLimits, ImportReport};
pub use job::{At, Job, JobInput, Options, Processing};
pub use local::LocalEngine;
pub use observe::{Event, Observer, Silent};
pub use panics::{caught, on_panic};
pub use progress::Checkpoint;
pub use quarantine::{Quarantined, quarantined};
pub use rebuild::{
    Made, Rebuild, Rebuilt, RebuiltPart, RebuiltTask, Statement, Verdict, rebuild, recorded_inputs, recorded_tasks,
};
pub use report::{Counts, InputReport, Mode, Orphan, Phases, Plan, PlannedTask, Report, TaskReport};
pub use rows::{Row, RowStream, Rows, SortedRows};
pub use run::{plan, run};
pub use stop::Stop;
pub use twice::Offender;
pub use verify::{
    Difference, RowDifference, Sampling, Standing, Verification, VerifiedInput, VerifiedTask, Verify, verify,
};
