//! The commands: each reads its arguments, calls the libraries and writes what came back.

mod by_hand;
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
mod shell;
mod verify;

use deltic_core::{Layer, LayerId, RunId};
use deltic_store::{Catalog, Snapshot, Stores, Tree};

use crate::args::{Command, Config};
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupts;
use crate::named::{self, Which};
use crate::out::Out;
use crate::progress::Progress;
use crate::sources::Register;

pub(crate) use job::load;

/// Runs the command that was asked for.
pub(crate) fn dispatch(
    mut command: Command,
    register: Register<'_>,
    progress: &Progress,
    interrupts: &Interrupts,
    out: &mut Out,
) -> Outcome {
    let configuration = command.configuration().cloned().unwrap_or_default();
    if let Some(url) = command.url_mut() {
        *url = named::url(url, &configuration)?;
    }
    let url = command.url_mut().cloned();
    let done = match command {
        Command::Init(args) => catalog::init(args, interrupts, out),
        Command::Log(args) => catalog::log(&args, out),
        Command::Errors(args) => errors::errors(&args, out),
        Command::Digest(args) => catalog::digest(&args, out),
        Command::Import(args) => import::import(&args, progress, interrupts, out),
        Command::Export(args) => export::export(&args, interrupts, out),
        Command::Layer(args) => by_hand::layer(&args, interrupts, out),
        Command::Revert(args) => by_hand::revert(&args, interrupts, out),
        Command::Ls(args) => ls::ls(&args, out),
        Command::Get(args) => get::get(&args, out),
        Command::Diff(args) => diff::diff(&args, progress, out),
        Command::Run(args) => job::run(&args, register, progress, interrupts, out),
        Command::Plan(args) => job::plan(&args, register, progress, out),
        Command::Verify(args) => verify::verify(&args, register, progress, interrupts, out),
        Command::Rebuild(args) => rebuild::rebuild(&args, register, progress, interrupts, out),
        Command::Explain(args) => explain::explain(&args, register, out),
        Command::Retain(args) => retain::retain(&args, progress, interrupts, out),
        Command::Gc(args) => gc::gc(&args, interrupts, out),
        Command::Repack(args) => repack::repack(&args, interrupts, out),
        Command::Fsck(args) => fsck::fsck(&args, out),
        Command::Doctor(args) => doctor::doctor(&args, interrupts, out),
        Command::Completions(args) => shell::completions(&args, out),
        Command::Man(args) => shell::man(&args, out),
        Command::Config(Config::Show(args)) => config::show(&args, register, out),
    };
    done.map_err(|failure| match url {
        Some(url) => failure.detail("url", url),
        None => failure,
    })
}

/// The stores of a command that reads no configuration.
fn stores() -> Outcome<Stores> {
    Ok(Stores::new().with_spread(crate::edge::new_run_id()?.0))
}

/// Adds to why run `run` made no version which one stands now: another one where it was overtaken. `nothing` says what was not
/// done. Where the run could not tell whether its version was made, and it was, that is added.
fn stands(failure: Failure, catalog: &Catalog, run: RunId, nothing: &str) -> Failure {
    match catalog.latest() {
        Ok(now) if now.record().run == run => failure.hint(format!("version {} was made all the same", now.version())),
        Ok(now) => failure.hint(format!("{nothing}; version {} stands", now.version())),
        Err(_) => failure,
    }
}

/// A catalog at a version, or at its latest.
fn open(url: &str, version: Option<Which>) -> Outcome<Snapshot> {
    let catalog = Catalog::open(&stores()?, url)?;
    version.unwrap_or(Which::Back(0)).of(&catalog)
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
