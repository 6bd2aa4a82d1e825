//! The command line of a binary: its commands, the options that all of them have, its name and its version.
//!
//! The options of a command are defined in the file of the command.

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use crate::commands::Command;
use crate::terminal::colours::When;
use crate::terminal::out::Format;

/// Incremental compilation of versioned, partitioned data.
///
/// A catalog is named by its URL: `file:folder`, `file:///absolute/folder`, `s3://bucket/folder`, `az://container/folder`
/// or `gs://bucket/folder`; or by the id that the configuration in this folder binds to a URL. Credentials are read from
/// the environment. A version is a number, `latest`, or `-1` for the version before the latest.
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

    /// When to colour messages and help
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        overrides_with = "color",
        help_heading = "All commands"
    )]
    // Looked at before the arguments are parsed, since what is wrong with them is coloured too.
    pub(crate) color: When,

    /// Write only errors to standard error
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "All commands")]
    pub(crate) quiet: bool,

    /// Log more to standard error: once for events, twice for details; DELTIC_LOG selects more finely
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "All commands")]
    pub(crate) verbose: u8,
}

/// The command line of a binary, under the name in its first argument. `version` is the version of a user's driver.
pub(crate) fn command(called: Option<&OsString>, version: Option<&str>) -> clap::Command {
    // The parser's own usage line can not express that one argument may come before two others.
    let name = program_name(called);
    let usage = format!("{name} diff [OPTIONS] <URL> [LAYER] <A> <B>");
    let command = Cli::command().mut_subcommand("diff", |diff| diff.override_usage(usage));
    let version = version.map(|version| format!("{}, {MADE_WITH}", deltic_core::shown(version)));
    match (name.as_str(), version) {
        ("deltic", None) => command,
        // A driver has its own version, which is not that of Deltic.
        // Kept for as long as the process lives, which parses its arguments once.
        (_, version) => {
            let version = version.map_or(MADE_WITH, |version| &*version.leak());
            command.name(&*name.leak()).version(version)
        }
    }
}

const MADE_WITH: &str = concat!("made with deltic ", env!("CARGO_PKG_VERSION"));

/// The name of a binary, from its first argument.
pub(crate) fn program_name(called: Option<&OsString>) -> String {
    let name = called.and_then(|called| std::path::Path::new(called).file_name());
    name.map_or_else(|| "deltic".to_owned(), |name| deltic_core::shown(&name.to_string_lossy()).into_owned())
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed (data, compiler, store), 2 wrong usage or configuration, 3 conflict (another run was first), 4 done \
but the result could not be written, 130 or 143 stopped by Ctrl-C or SIGTERM.
Results go to standard output, progress and logs to standard error.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command(None, None).debug_assert();
    }
}
