//! Options that several commands share, and values of options as people type them. The options of one command are in its file.
//!
//! Uses `config` and `terminal`.

mod config;
mod job;
pub(crate) mod values;

pub(crate) use config::ConfigArgs;
pub(crate) use job::{Check, JobArgs};
