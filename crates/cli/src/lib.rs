//! The `deltic` command line, and the `main` of a user's own driver binary.
//!
//! This crate is the thin shell around the libraries: it reads arguments and configuration, takes randomness and the time
//! from the system, calls a library and writes the result. A driver binary has all commands, with its own compilers
//! registered:
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
//! A program with its own control flow calls [`Job::run`](deltic_driver::Job::run) instead. It takes [`now`], [`new_run_id`],
//! [`new_catalog`], [`checkpoint`] and [`code_identity`] from here, which only the machine knows, and [`report`] for the text of a report.
//!
//! | room | what it holds | uses |
//! |---|---|---|
//! | `terminal` | results, failures, progress, panics; how text, numbers and colours look | |
//! | `system` | clock, randomness, the running executable, signals | `terminal` |
//! | `tiles` | tiles in names of files, and in boxes | `terminal` |
//! | `files` | archives, folders and paths that users name | `terminal` |
//! | `report` | the texts of runs, plans, verifications and rebuilds | `terminal` |
//! | `config` | the configuration and job files | `terminal` |
//! | `args` | options that commands share, values of options | `config`, `terminal` |
//! | `catalogs` | catalogs as they are named, opened, changed and shown | `args`, `system`, `terminal` |
//! | `job` | from the configuration to a job | `args`, `catalogs`, `config`, `system`, `terminal` |
//! | `copy` | the one compiler of the stock binary | `job`, `tiles` |
//! | `commands` | each command with its options | all of the above but `copy` |
//! | `command_line` | its definition, how it is parsed or refused | `commands`, `terminal` |

mod args;
mod catalogs;
mod command_line;
mod commands;
mod config;
mod copy;
mod files;
#[cfg(test)]
mod hostile;
mod job;
pub mod report;
mod system;
mod terminal;
mod tiles;

use std::ffi::OsString;
use std::process::ExitCode;

use deltic_compiler::Setup;

use command_line::{definition, parse};
use job::Register;
use system::interrupts::Interrupts;
use terminal::failure::Failure;
use terminal::out::Out;
use terminal::progress::Progress;
use terminal::stdout::Stdout;
use terminal::{colours, escape, panics};

pub use system::clock::{checkpoint, now};
pub use system::identity::{code_identity, new_catalog, new_run_id};

/// The `main` of a driver binary: all commands, with the tasks that `setup` registers.
///
/// Commands that need the tasks call `setup` once, with the `[compiler.<task>]` sections of the configuration in it. `rebuild` may
/// call it twice, to find out which recorded configuration belongs to which section.
///
/// While a command runs, standard output is reserved for its result: what compilers and their child processes print there goes to
/// standard error (on Unix). Panics are printed to standard error in one form, unless `setup` sets its own hook. A panic in `setup`
/// itself is an error of the command, with exit code 1.
pub fn main(mut setup: impl FnMut(&mut Setup) -> anyhow::Result<()>) -> ExitCode {
    start(None, Box::new(|into, _| setup(into)))
}

/// The same, for a driver with its own version, which `--version` prints before the version of Deltic:
/// `deltic::main_with_version(env!("CARGO_PKG_VERSION"), setup)`. Runs do not use it: the version of a task's code is set with the
/// task.
pub fn main_with_version(version: &str, mut setup: impl FnMut(&mut Setup) -> anyhow::Result<()>) -> ExitCode {
    start(Some(version), Box::new(|into, _| setup(into)))
}

/// The `main` of the stock binary, which has one compiler: `copy`.
pub fn stock() -> ExitCode {
    start(None, Box::new(copy::register))
}

fn start(version: Option<&str>, mut register: Register<'_>) -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    escape::set_program_name(definition::program_name(typed.first()));
    colours::decide(parse::typed_value(&typed, "--color").as_deref());
    let definition = || definition::command(typed.first(), version);
    let cli = parse::parse(&definition, &typed).unwrap_or_else(|error| parse::refuse(&error, &typed));
    let progress = Progress::new(cli.quiet);
    progress.start_logs(cli.verbose);
    panics::watch(&progress);
    let stdout = Stdout::keep();
    let at_work = progress.clone();
    let _ends_here = deltic_exit::Guard::arm(move || at_work.at_work());
    let interrupts = Interrupts::listen(&progress);
    let mut out = Out::new(cli.format, stdout.writer());
    let set_up: Register<'_> = Box::new(move |setup, inputs| {
        let done = deltic_driver::catch_panic(|| register(setup, inputs));
        done.unwrap_or_else(|why| Err(anyhow::anyhow!("the set-up of the tasks {why}")))
    });
    let run = || commands::dispatch(cli.command, &definition, set_up, &progress, &interrupts, &mut out);
    let command = deltic_driver::catch_panic(run);
    let command = command.unwrap_or_else(|why| Err(Failure::failed(format!("the command {why}"))));
    match out.finish(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report(interrupts.exit_code())),
    }
}
