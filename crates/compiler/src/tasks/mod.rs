//! Tasks: compilers under ids, with settings, filters and policies. Registers tasks, also from the record of a version.
//!
//! Uses `patterns`, `io` and `error`. Settings are recorded as JSON, and the record must read back as the same settings.

pub(crate) mod config_error;
pub(crate) mod filter;
pub(crate) mod policy;
pub(crate) mod rebuild;
pub(crate) mod recordable;
pub(crate) mod recorded;
mod section;
pub(crate) mod setup;
pub(crate) mod task;
