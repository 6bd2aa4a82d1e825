//! Proof after the fact: what is published, compiled again and compared, and a version made again from what its record names.
//!
//! Both run tasks with the executor of runs, on what a version records, and write nothing to its catalog.

pub(crate) mod rebuild;
pub(crate) mod recorded_inputs;
pub(crate) mod verify;
