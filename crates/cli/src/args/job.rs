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
    /// A file that says what is known of inputs, which versions of them to read and what to compile in full
    #[arg(long, value_name = "FILE")]
    pub(crate) job: Option<PathBuf>,
    /// Say that an input changed since this version; the report says where the output was made from another one
    #[arg(long, value_name = "ID=VERSION", value_parser = input)]
    pub(crate) since: Vec<(CatalogId, Version)>,
    /// Say that an input did not change; the report says where it did, and what changed is compiled
    #[arg(long, value_name = "ID")]
    pub(crate) no_changes: Vec<CatalogId>,
    /// Compile all tasks that read this input in full
    #[arg(long, value_name = "ID")]
    pub(crate) reprocess: Vec<CatalogId>,
    /// Refuse inputs that were made from other versions of what else is read; otherwise that is a note
    #[arg(long)]
    pub(crate) compatible: bool,
    /// Compile everything, changed or not
    #[arg(long)]
    pub(crate) full: bool,
    /// Fail with exit code 3 unless the output catalog is at this version
    #[arg(long, value_name = "N")]
    pub(crate) expect_base: Option<Version>,
}

/// What a run or a verification can check besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Check {
    // Not doc comments, as in `Format`.
    Determinism,
}
