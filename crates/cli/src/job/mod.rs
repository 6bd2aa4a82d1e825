//! From the configuration and the command line to a job, for `run`, `plan`, `verify` and `rebuild`; and to the tasks alone.
//!
//! Uses `args`, `catalogs`, `config`, `system` and `terminal`. Prints only that the output was created: the command shows the
//! result of a job.

mod hints;
pub(crate) mod inputs;
pub(crate) mod prepared;
pub(crate) mod requested;
pub(crate) mod tasks;

pub(crate) use tasks::Register;
