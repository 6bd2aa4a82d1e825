//! Parses the command line that was typed, or refuses it and shows what is wrong.

use std::ffi::OsString;
use std::io::Write;

use clap::FromArgMatches;
use clap::error::Result;
use deltic_store::Secrets;

use super::definition::{Cli, command};
use crate::terminal::escape;
use crate::terminal::failure::{Failure, unwritten};
use crate::terminal::out::{Format, Out};

/// Parses the arguments of the process.
pub(crate) fn parse(typed: &[OsString]) -> Result<Cli> {
    let read = |typed: &[OsString]| {
        let matches = command(typed.first()).try_get_matches_from(typed);
        matches.and_then(|matches| Cli::from_arg_matches(&matches))
    };
    read(typed).map_err(|error| {
        // The parser repeats what was typed, between its own lines and colours: so it is given text that can be shown.
        let shown: Vec<OsString> =
            typed.iter().map(|typed| escape::line(&typed.to_string_lossy()).as_ref().into()).collect();
        read(&shown).err().unwrap_or(error)
    })
}

/// Prints help, or what is wrong with the arguments, which has exit code 2. Help that can not be written is a failure, as any
/// result is.
pub(crate) fn refuse(error: &clap::Error, typed: &[OsString]) -> ! {
    let text = error.render().to_string();
    let said = escape::lines(&text);
    let said = Secrets::of_environment().hide(&said).into_owned();
    let written = if said == text {
        // In colours, where it is a terminal.
        error.print()
    } else if error.use_stderr() {
        std::io::stderr().write_all(said.as_bytes())
    } else {
        std::io::stdout().write_all(said.as_bytes())
    };
    if error.use_stderr() && asks_for_json(typed) {
        let _ = Out::new(Format::Json, Box::new(std::io::stdout())).finish(Err(usage(&text)));
    }
    std::process::exit(match written.and_then(|()| std::io::stdout().flush()) {
        // What can not be written to standard error can be said nowhere.
        Err(failed) if !error.use_stderr() => unwritten(&failed).report(0).into(),
        _ => error.exit_code(),
    })
}

/// Whether a program is to read what comes of it, as far as that shows in arguments that can not be parsed.
fn asks_for_json(typed: &[OsString]) -> bool {
    let pairs = typed.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    pairs || typed.iter().any(|one| one == "--format=json")
}

/// What the parser says, as a failure: its first line, and the others that are not empty.
fn usage(text: &str) -> Failure {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message = lines.next().unwrap_or_default();
    lines.fold(Failure::usage(message.strip_prefix("error: ").unwrap_or(message)), Failure::hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_repeated_as_one_line() {
        let bad = "x\nerror: \u{1b}[2Jno\u{202e}";
        let value = format!("in={bad}");
        for typed in [
            vec!["deltic", bad],
            vec![bad, "init"],
            vec!["deltic", "log", "file:in", bad],
            vec!["deltic", "log", "file:in", "-n", bad],
            vec!["deltic", "log", "file:in", "--format", bad],
            vec!["deltic", "log", "file:in", "--", bad, bad],
            vec!["deltic", "run", "--input", value.as_str()],
            vec!["deltic", "init", "file:in", "--layer", value.as_str()],
        ] {
            let typed: Vec<OsString> = typed.into_iter().map(OsString::from).collect();
            let error = parse(&typed).unwrap_err();
            let text = error.render().ansi().to_string();
            // The parser's own colours are the only sequences.
            let text = text.replace("\u{1b}[0m", "").replace("\u{1b}[1m", "").replace("\u{1b}[4m", "");
            let text =
                ["31", "32", "33"].iter().fold(text, |text, colour| text.replace(&format!("\u{1b}[{colour}m"), ""));
            assert!(
                text.chars().all(|c| c == '\n' || escape::line(&c.to_string()) == c.to_string()),
                "{typed:?}: {text:?}"
            );
            assert!(!text.contains("\nerror:"), "{text}");
            // Once, however many messages it went through.
            assert!(text.contains(r"\u{1b}") && !text.contains(r"\\u{1b}") && !text.contains(r"\\n"), "{text}");
        }
    }
}
