//! The commands: each reads its arguments, calls the libraries and writes the result.
//!
//! A file holds one command with its options. No command uses another one: code that several of them need is in the rooms below:
//! `catalogs`, `job`, `report`, `files`, `tiles`, `args`.

mod completions;
mod config;
mod diff;
mod digest;
mod doctor;
mod errors;
mod explain;
mod export;
mod fsck;
mod gc;
mod get;
mod import;
mod init;
mod layer;
mod log;
mod ls;
mod man;
mod plan;
mod rebuild;
mod repack;
mod retain;
mod revert;
mod run;
mod verify;

use crate::args::{ConfigArgs, JobArgs};
use crate::catalogs::url::url_of;
use crate::job::Register;
use crate::system::interrupts::Interrupts;
use crate::terminal::failure::Outcome;
use crate::terminal::out::Out;
use crate::terminal::progress::Progress;

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Create a catalog
    Init(init::Args),
    /// Make layers equal to folders or archives, or add and delete partitions, as one new version
    Import(import::Args),
    /// Write the partitions of a layer into a folder or an archive
    Export(export::Args),
    /// Add layers to a catalog, change their schemes or drop them, as one new version
    #[command(subcommand)]
    Layer(layer::LayerCommand),
    /// Restore the layers of a catalog to an earlier version, as a new version
    Revert(revert::Args),
    /// List the versions, newest first
    Log(log::Args),
    /// List the partitions of a layer, or the layers
    Ls(ls::Args),
    /// Write the bytes of a partition to standard output
    Get(get::Args),
    /// List the partitions that were added, modified and deleted between two versions
    Diff(diff::Args),
    /// List the partitions in quarantine: compilers failed on them, and their published content was kept
    Errors(errors::Args),
    /// Print the digests of layers, state and catalog: equal digests mean equal content
    Digest(digest::Args),
    /// Compile everything that a change affects, and publish it as one new version
    Run(run::Args),
    /// Show what a run would do, how and why; nothing is compiled or written
    Plan(JobArgs),
    /// Compile published partitions again and compare; nothing is written
    Verify(verify::Args),
    /// Make a version again in a new catalog, and state whether it is the same
    Rebuild(rebuild::Args),
    /// Describe each task: its input, reference and output layers, its steps and its code
    Explain(ConfigArgs),
    /// Set which versions stay readable; the others expire
    Retain(retain::Args),
    /// Remove everything that no readable version needs
    Gc(gc::Args),
    /// Rewrite packs of which little is still needed
    Repack(repack::Args),
    /// Check everything in a catalog
    Fsck(fsck::Args),
    /// Check that a store does what catalogs rely on
    Doctor(doctor::Args),
    /// Show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Write a script that completes commands and options in a shell
    Completions(completions::Args),
    /// Write manual pages, one for each command
    Man(man::Args),
}

impl Command {
    /// The options of configuration of a command that is about one catalog, if it has any.
    fn configuration(&self) -> Option<&ConfigArgs> {
        match self {
            Command::Rebuild(args) => Some(&args.configuration),
            _ => None,
        }
    }

    /// The catalog that the command is about, as it was typed, unless the configuration names it.
    fn url_mut(&mut self) -> Option<&mut String> {
        Some(match self {
            Command::Init(args) => &mut args.url,
            Command::Import(args) => &mut args.url,
            Command::Export(args) => &mut args.url,
            Command::Layer(layer::LayerCommand::Add(args) | layer::LayerCommand::Change(args)) => &mut args.url,
            Command::Layer(layer::LayerCommand::Drop(args)) => &mut args.url,
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

/// Runs the requested command. `definition` gives the command line of this binary, for commands that describe it.
pub(crate) fn dispatch(
    mut command: Command,
    definition: &dyn Fn() -> clap::Command,
    register: Register<'_>,
    progress: &Progress,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Outcome {
    let configuration = command.configuration().cloned().unwrap_or_default();
    if let Some(url) = command.url_mut() {
        *url = url_of(url, &configuration)?;
    }
    let url = command.url_mut().cloned();
    let done = match command {
        Command::Init(args) => init::init(args, interrupts, out),
        Command::Log(args) => log::log(&args, out),
        Command::Errors(args) => errors::errors(&args, out),
        Command::Digest(args) => digest::digest(&args, out),
        Command::Import(args) => import::import(&args, progress, interrupts, out),
        Command::Export(args) => export::export(&args, interrupts, out),
        Command::Layer(args) => layer::layer(&args, interrupts, out),
        Command::Revert(args) => revert::revert(&args, interrupts, out),
        Command::Ls(args) => ls::ls(&args, out),
        Command::Get(args) => get::get(&args, out),
        Command::Diff(args) => diff::diff(&args, progress, out),
        Command::Run(args) => run::run(&args, register, progress, interrupts, out),
        Command::Plan(args) => plan::plan(&args, register, progress, out),
        Command::Verify(args) => verify::verify(&args, register, progress, interrupts, out),
        Command::Rebuild(args) => rebuild::rebuild(&args, register, progress, interrupts, out),
        Command::Explain(args) => explain::explain(&args, register, out),
        Command::Retain(args) => retain::retain(&args, progress, interrupts, out),
        Command::Gc(args) => gc::gc(&args, interrupts, out),
        Command::Repack(args) => repack::repack(&args, interrupts, out),
        Command::Fsck(args) => fsck::fsck(&args, out),
        Command::Doctor(args) => doctor::doctor(&args, interrupts, out),
        Command::Completions(args) => completions::completions(&args, definition(), out),
        Command::Man(args) => man::man(&args, definition(), out),
        Command::Config(config::ConfigCommand::Show(args)) => config::show(&args, register, out),
    };
    done.map_err(|failure| match url {
        Some(url) => failure.detail("url", url),
        None => failure,
    })
}
