//! Audits of a version: `verify` compiles what is published again and compares it; `rebuild` makes a version again from what its
//! record names.
//!
//! Both run tasks by the executor of runs, on the inputs that a version records, and write nothing to its catalog.

pub(crate) mod rebuild;
pub(crate) mod recorded_inputs;
pub(crate) mod verify;
