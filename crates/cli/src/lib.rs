//! The `deltic` command line, and the `main` of a user's own driver binary.
//!
//! Everything here is the thin shell around the libraries: it reads arguments and configuration, draws randomness and
//! reads the clock where they are needed, calls a library and writes down what came back. A driver binary gets all
//! commands with its own compilers registered:
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # use deltic_compiler::prelude::*;
//! # fn register(_: &mut Setup) -> Result<()> { Ok(()) }
//! fn main() -> ExitCode {
//!     deltic_cli::main(|setup| register(setup))
//! }
//! ```
//!
//! A program with a flow of its own calls [`deltic_driver::run`] instead, with [`now`], [`new_run_id`],
//! [`new_catalog`], [`checkpoint`] and [`code_identity`] for what only the machine knows, and [`report`] for the text of a report.

mod area;
mod args;
mod asked;
mod below;
mod calls;
mod commands;
mod config;
mod copy;
mod edge;
mod failure;
mod findings;
#[cfg(test)]
mod hostile;
mod human;
mod interrupt;
mod out;
mod progress;
pub mod report;
mod source;
mod sources;

use std::borrow::Cow;
use std::process::ExitCode;

use clap::FromArgMatches;
use deltic_compiler::Setup;
use deltic_store::Secrets;

use args::Cli;
use interrupt::Interrupts;
use progress::Progress;
use sources::Register;

pub use edge::{checkpoint, code_identity, new_catalog, new_run_id, now};

/// The `main` of a driver binary: all commands, with the tasks that `setup` registers.
///
/// `setup` is called by the commands that need the tasks, with the configuration's `[compiler.<task>]` sections in it: once,
/// and by `rebuild` twice where that is how it finds out which recorded configuration belongs to which section.
pub fn main(mut setup: impl FnMut(&mut Setup) -> anyhow::Result<()>) -> ExitCode {
    start(Box::new(|into, _| setup(into)))
}

/// The `main` of the stock binary, which knows one compiler: `copy`.
pub fn stock() -> ExitCode {
    start(Box::new(copy::register))
}

/// Prints help, or what is wrong with the arguments, which has exit code 2.
fn refuse(error: &clap::Error) -> ! {
    let text = error.render().to_string();
    match Secrets::of_environment().hide(&text) {
        Cow::Borrowed(_) => error.exit(),
        Cow::Owned(text) => {
            eprint!("{text}");
            std::process::exit(error.exit_code())
        }
    }
}

fn start(register: Register<'_>) -> ExitCode {
    let parsed = args::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.unwrap_or_else(|error| refuse(&error));
    let progress = Progress::new();
    progress.start_logs(cli.verbose);
    let interrupts = Interrupts::listen(&progress);
    match commands::dispatch(cli, register, &progress, &interrupts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(interrupts.exit_code()),
    }
}
