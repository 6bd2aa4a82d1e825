//! The options of commands that make a job of the configuration.

use std::path::PathBuf;

use deltic_core::{CatalogId, Version};

use super::ConfigArgs;
use super::values::input;

/// What `run` and `plan` share.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(crate) configuration: ConfigArgs,
    /// Read an input catalog at this version; without it, at its latest
    #[arg(long = "input", value_name = "ID=VERSION", value_parser = input)]
    pub(crate) inputs: Vec<(CatalogId, Version)>,
    /// A job file: which versions of inputs to read, what changed in them, and what to compile in full
    #[arg(long, value_name = "FILE")]
    pub(crate) job: Option<PathBuf>,
    /// State that an input changed since this version; a note reports it if the output was made from another version
    #[arg(long, value_name = "ID=VERSION", value_parser = input)]
    pub(crate) since: Vec<(CatalogId, Version)>,
    /// State that an input did not change; if it did, a note reports it, and the changes are compiled
    #[arg(long, value_name = "ID")]
    pub(crate) no_changes: Vec<CatalogId>,
    /// Compile all tasks that read this input in full
    #[arg(long, value_name = "ID")]
    pub(crate) reprocess: Vec<CatalogId>,
    /// Refuse an input that was made from another version of a catalog than the run reads; otherwise a note reports it
    #[arg(long)]
    pub(crate) compatible: bool,
    /// Compile everything, changed or not
    #[arg(long)]
    pub(crate) full: bool,
    /// Fail with exit code 3 unless the output catalog is at this version
    #[arg(long, value_name = "N")]
    pub(crate) expect_base: Option<Version>,
}

/// What a run or a verification can check in addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Check {
    // Not doc comments, as in `Format`.
    Determinism,
}
