//! The options of commands that need the tasks, and where their configuration comes from.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use deltic_core::{CatalogId, TaskId, Version};

use super::values::{input, percent};

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) job: Job,
    /// A text to record with the version
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) note: String,
    /// Run everything twice, and publish nothing if anything comes out differently the second time
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) check: Option<Check>,
    /// Fail with exit code 1 where anything is in quarantine after the run, although the rest was published
    #[arg(long)]
    pub(crate) fail_on_quarantine: bool,
    /// Write to a catalog that imports or other tasks write to so far, and replace what is there
    #[arg(long)]
    pub(crate) take_over: bool,
}

/// What a run or a verification can check besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Check {
    // Not doc comments, as in `Format`.
    Determinism,
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// About so much of all inputs and outputs
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = percent, conflicts_with = "all")]
    pub(crate) sample: u32,
    /// Everything: all partitions, all of the state, and that nothing is missing
    #[arg(long)]
    pub(crate) all: bool,
    /// Another number takes another sample
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Only these tasks
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub(crate) tasks: Vec<TaskId>,
    /// Run everything twice, in unusual order, and list what comes out differently
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) check: Option<Check>,
}

/// `rebuild`.
#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// The catalog
    pub(crate) url: String,
    /// The version
    #[arg(long, value_name = "N")]
    pub(crate) version: Version,
    /// Where to create the catalog that it is made in
    #[arg(long, value_name = "URL")]
    pub(crate) into: String,
    /// A file to write the statement to, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) statement: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) configuration: Configuration,
}

/// What `run` and `plan` share.
#[derive(Debug, Default, Args)]
pub(crate) struct Job {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
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

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Configuration {
    /// The configuration file; without it, application.conf is read if it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set a value over those of the file and the environment, such as driver.threads=4
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print every effective value
    Show(Show),
}

/// `config show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// Say where each value came from
    #[arg(long)]
    pub(crate) origin: bool,
}
