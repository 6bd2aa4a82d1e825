//! The command line: its commands, and the options of all. Those of each are below, with what each is for.

mod catalogs;
mod jobs;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::colours::When;
use crate::commands::{doctor, fsck, gc, repack, retain};
use crate::out::Format;

pub(crate) use catalogs::{Diff, Digest, Errors, Export, Get, Import, Init, LayerCommand, Log, Ls, Revert};
pub(crate) use jobs::{Config, Configuration, Job, Rebuild, Run, Show, Verify};

/// Incremental compilation of versioned, partitioned data.
///
/// A catalog is named by its URL: `file:folder`, `file:///absolute/folder`, `s3://bucket/folder`, `az://container/folder`
/// or `gs://bucket/folder`; or by the id that the configuration in this folder binds. Credentials are read from the
/// environment. Where commands look at a version it is a number, `latest`, or `-1` for the one before the latest.
#[derive(Debug, Parser)]
#[command(name = "deltic", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// How to write results
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "All commands"
    )]
    pub(crate) format: Format,

    /// When to colour what people read
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", help_heading = "All commands")]
    // Looked at before the arguments are parsed, since what is wrong with them is coloured too.
    pub(crate) color: When,

    /// Write nothing to standard error but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "All commands")]
    pub(crate) quiet: bool,

    /// Log more to standard error: once for what happens, twice for details; DELTIC_LOG says it more finely
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "All commands")]
    pub(crate) verbose: u8,
}

/// The command line of a binary, whatever it is called: by the first of its arguments.
pub(crate) fn command(called: Option<&OsString>) -> clap::Command {
    // That one argument may come before two others is more than the parser can say of itself.
    let name = self::called(called);
    let usage = format!("{name} diff [OPTIONS] <URL> [LAYER] <A> <B>");
    let command = Cli::command().mut_subcommand("diff", |diff| diff.override_usage(usage));
    match name.as_str() {
        "deltic" => command,
        // The version of somebody's driver is what they say it is, and not that of Deltic.
        // Kept for as long as the process lives, which parses its arguments once.
        _ => command.name(&*name.leak()).version(VERSION.get().map_or(MADE_WITH, String::as_str)),
    }
}

const MADE_WITH: &str = concat!("made with deltic ", env!("CARGO_PKG_VERSION"));

/// What `--version` prints of somebody's driver, where that has a version of its own.
static VERSION: OnceLock<String> = OnceLock::new();

/// Gives the program a version of its own, beside that of Deltic.
pub(crate) fn set_version(version: &str) {
    // A process has one version: the first stays.
    let _ = VERSION.set(format!("{}, {MADE_WITH}", deltic_core::shown(version)));
}

/// What a binary is called, by the first of its arguments.
pub(crate) fn called(called: Option<&OsString>) -> String {
    let name = called.and_then(|called| std::path::Path::new(called).file_name());
    name.map_or_else(|| "deltic".to_owned(), |name| deltic_core::shown(&name.to_string_lossy()).into_owned())
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed (data, compiler, store), 2 usage or configuration, 3 conflict (another run was first), 4 done \
but the result could not be written, 130 or 143 stopped by Ctrl-C or SIGTERM.
Results go to standard output, progress and logs to standard error.";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a catalog
    Init(Init),
    /// Make layers exactly what folders or archives hold, or add and delete partitions, as one new version
    Import(Import),
    /// Write the partitions of a layer into a folder or an archive
    Export(Export),
    /// Add layers to a catalog, change their schemes or drop them, as one new version
    #[command(subcommand)]
    Layer(LayerCommand),
    /// Make the layers of a catalog what they were at an earlier version, as a new one
    Revert(Revert),
    /// List the versions, newest first
    Log(Log),
    /// List the partitions of a layer, or the layers
    Ls(Ls),
    /// Write the bytes of a partition to standard output
    Get(Get),
    /// List what was added, modified and deleted between two versions
    Diff(Diff),
    /// List the partitions in quarantine: what compilers failed on and kept as it was
    Errors(Errors),
    /// Print the digests of the layers, of the state and of the catalog
    Digest(Digest),
    /// Compile what has changed, and publish it as one new version
    Run(Run),
    /// Say what a run would do, how and why; nothing is compiled or written
    Plan(Job),
    /// Compile what is published again and compare; nothing is written
    Verify(Verify),
    /// Make a version again in a new catalog, from what its record names, and state whether it is the same
    Rebuild(Rebuild),
    /// Say what the tasks are: what each reads, looks at and writes, its steps and its code
    Explain(Configuration),
    /// Say which versions can still be read; the others expire
    Retain(retain::Args),
    /// Remove what no version that can be read needs
    Gc(gc::Args),
    /// Write packs again of which little is needed
    Repack(repack::Args),
    /// Check everything that a catalog holds
    Fsck(fsck::Args),
    /// Check that a store does what catalogs rely on
    Doctor(doctor::Args),
    /// Look at the configuration
    #[command(subcommand)]
    Config(Config),
    /// Write a script that completes commands and options in a shell
    Completions(Completions),
    /// Write manual pages, one for each command
    Man(Man),
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder to write them into, which has to be there
    pub(crate) folder: PathBuf,
}

impl Command {
    /// What a command that is about one catalog, and has options of configuration, is given of these.
    pub(crate) fn configuration(&self) -> Option<&Configuration> {
        match self {
            Command::Rebuild(args) => Some(&args.configuration),
            _ => None,
        }
    }

    /// The catalog that it is about, as it was typed, unless the configuration says it.
    pub(crate) fn url_mut(&mut self) -> Option<&mut String> {
        Some(match self {
            Command::Init(args) => &mut args.url,
            Command::Import(args) => &mut args.url,
            Command::Export(args) => &mut args.url,
            Command::Layer(LayerCommand::Add(args) | LayerCommand::Change(args)) => &mut args.url,
            Command::Layer(LayerCommand::Drop(args)) => &mut args.url,
            Command::Revert(args) => &mut args.url,
            Command::Log(args) => &mut args.url,
            Command::Ls(args) => &mut args.url,
            Command::Get(args) => &mut args.url,
            Command::Diff(args) => &mut args.url,
            Command::Errors(args) => &mut args.url,
            Command::Digest(args) => &mut args.url,
            Command::Rebuild(args) => &mut args.url,
            Command::Retain(args) => &mut args.url,
            Command::Gc(args) => &mut args.url,
            Command::Repack(args) => &mut args.url,
            Command::Fsck(args) => &mut args.url,
            Command::Doctor(args) => &mut args.url,
            Command::Run(_)
            | Command::Plan(_)
            | Command::Verify(_)
            | Command::Explain(_)
            | Command::Config(_)
            | Command::Completions(_)
            | Command::Man(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command(None).debug_assert();
    }
}
