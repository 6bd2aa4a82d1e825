//! The commands: each reads its arguments, calls the libraries and writes what came back.

mod catalog;
mod config;
mod diff;
pub(crate) mod doctor;
mod errors;
mod explain;
mod export;
pub(crate) mod fsck;
pub(crate) mod gc;
mod get;
mod import;
mod job;
mod ls;
mod rebuild;
pub(crate) mod repack;
pub(crate) mod retain;
mod verify;

use deltic_core::{Layer, LayerId, Version};
use deltic_store::{Catalog, Snapshot, Stores, Tree};

use crate::args::{Cli, Command, Config};
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupts;
use crate::out::Out;
use crate::progress::Progress;
use crate::sources::Register;

/// Runs the command that was asked for.
pub(crate) fn dispatch(cli: Cli, register: Register<'_>, progress: &Progress, interrupts: &Interrupts) -> Outcome {
    let mut out = Out::new(cli.format);
    match cli.command {
        Command::Init(args) => catalog::init(args, interrupts, &mut out)?,
        Command::Log(args) => catalog::log(&args, &mut out)?,
        Command::Errors(args) => errors::errors(&args, &mut out)?,
        Command::Digest(args) => catalog::digest(&args, &mut out)?,
        Command::Import(args) => import::import(&args, progress, interrupts, &mut out)?,
        Command::Export(args) => export::export(&args, interrupts, &mut out)?,
        Command::Ls(args) => ls::ls(&args, &mut out)?,
        Command::Get(args) => get::get(&args, &mut out)?,
        Command::Diff(args) => diff::diff(&args, &mut out)?,
        Command::Run(args) => job::run(&args, register, progress, interrupts, &mut out)?,
        Command::Plan(args) => job::plan(&args, register, &mut out)?,
        Command::Verify(args) => verify::verify(&args, register, progress, interrupts, &mut out)?,
        Command::Rebuild(args) => rebuild::rebuild(&args, register, progress, interrupts, &mut out)?,
        Command::Explain(args) => explain::explain(&args, register, &mut out)?,
        Command::Retain(args) => retain::retain(&args, interrupts, &mut out)?,
        Command::Gc(args) => gc::gc(&args, interrupts, &mut out)?,
        Command::Repack(args) => repack::repack(&args, interrupts, &mut out)?,
        Command::Fsck(args) => fsck::fsck(&args, &mut out)?,
        Command::Doctor(args) => doctor::doctor(&args, interrupts, &mut out)?,
        Command::Config(Config::Show(args)) => config::show(&args, register, &mut out)?,
    }
    out.finish()
}

/// A catalog at a version, or at its latest.
fn open(url: &str, version: Option<Version>) -> Outcome<Snapshot> {
    let catalog = Catalog::open(&Stores::new(), url)?;
    Ok(match version {
        Some(version) => catalog.snapshot(version)?,
        None => catalog.latest()?,
    })
}

/// A layer of a snapshot.
fn layer<'a>(snapshot: &'a Snapshot, id: &LayerId) -> Outcome<(&'a Layer, Tree)> {
    let (Some(settings), Some(tree)) = (snapshot.layer_settings(id), snapshot.tree(id)) else {
        let known: Vec<&str> = snapshot.layers().map(|layer| layer.id.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) };
        return Err(Failure::failed(format!(
            "{}: there is no layer `{id}` at version {}: there is {known}",
            snapshot.catalog().url(),
            snapshot.version()
        )));
    };
    Ok((settings, tree))
}
