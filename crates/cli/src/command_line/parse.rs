//! Parses the command line that was typed, or refuses it and shows what is wrong.

use std::ffi::OsString;
use std::io::Write;

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue, Result};
use deltic_store::Secrets;

use super::definition::Cli;
use crate::terminal::escape;
use crate::terminal::failure::{Failure, unwritten};
use crate::terminal::out::{Format, Out};

/// Parses the arguments of the process.
pub(crate) fn parse(definition: &dyn Fn() -> clap::Command, typed: &[OsString]) -> Result<Cli> {
    let read = |typed: &[OsString]| {
        let matches = definition().try_get_matches_from(typed);
        matches.and_then(|matches| Cli::from_arg_matches(&matches))
    };
    read(typed).map_err(|error| {
        // The parser repeats what was typed between its own lines and colours, so it gets text that is safe to print.
        let shown: Vec<OsString> =
            typed.iter().map(|typed| escape::line(&typed.to_string_lossy()).as_ref().into()).collect();
        read(&shown).err().unwrap_or_else(|| escaped(error))
    })
}

/// The same error, with the repeated text made safe to print: characters that are not safe may be just what is wrong.
fn escaped(mut error: clap::Error) -> clap::Error {
    let repeated: Vec<(ContextKind, ContextValue)> =
        error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in repeated {
        let line = |text: &String| escape::line(text).into_owned();
        let value = match value {
            ContextValue::String(text) => ContextValue::String(line(&text)),
            ContextValue::Strings(texts) => ContextValue::Strings(texts.iter().map(line).collect()),
            other => other,
        };
        error.insert(kind, value);
    }
    error
}

/// Prints help, or the error in the arguments, which has exit code 2. When help can not be written, that is a failure, as for
/// any result.
pub(crate) fn refuse(error: &clap::Error, typed: &[OsString]) -> ! {
    let text = error.render().to_string();
    let said = escape::lines(&text);
    let said = Secrets::of_environment().hide(&said).into_owned();
    let written = if said == text {
        // With colours on a terminal.
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
        // When standard error can not be written, there is no other place to report that.
        Err(failed) if !error.use_stderr() => unwritten(&failed).report(0).into(),
        _ => error.exit_code(),
    })
}

/// Whether a program reads the result, as far as arguments show that can not be parsed.
fn asks_for_json(typed: &[OsString]) -> bool {
    typed_value(typed, "--format").as_deref() == Some("json")
}

/// The last value of an option among arguments that are not parsed yet.
pub(crate) fn typed_value(typed: &[OsString], option: &str) -> Option<String> {
    let typed: Vec<_> = typed.iter().map(|one| one.to_string_lossy()).take_while(|one| one != "--").collect();
    let mut values = typed.iter().enumerate().filter_map(|(at, one)| match one.strip_prefix(option)? {
        "" => typed.get(at + 1).map(|value| value.to_string()),
        rest => rest.strip_prefix('=').map(str::to_owned),
    });
    values.next_back()
}

/// The parser's error as a failure: the message is the text up to the first empty line, the hints are the other non-empty lines.
fn usage(text: &str) -> Failure {
    let mut lines = text.lines().map(str::trim);
    let message: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let message = message.join(" ");
    let hints = lines.filter(|line| !line.is_empty());
    hints.fold(Failure::usage(message.strip_prefix("error: ").unwrap_or(&message)), Failure::hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::definition::command;

    #[test]
    fn the_last_value_that_was_typed_holds() {
        let value = |line: &str| {
            let typed: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            typed_value(&typed, "--color").unwrap_or_default()
        };
        assert_eq!(value("deltic log file:in --colors=x"), "");
        assert_eq!(value("deltic log --color never file:in --color=always"), "always");
        assert_eq!(value("deltic log --color=always --color never"), "never");
        assert_eq!(value("deltic log --color"), "");
        assert_eq!(value("deltic import -- --color=always"), "");
    }

    #[test]
    fn what_was_typed_is_repeated_as_one_line() {
        let bad = "x\nerror: \u{1b}[2Jno\u{202e}";
        let value = format!("in={bad}");
        // Refused because of characters that can not be printed: escaped, the text would be accepted.
        let keep = "x\u{1b}\nerror: y=1";
        for typed in [
            vec!["deltic", "retain", "file:in", "--keep", keep],
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
            let error = parse(&|| command(typed.first(), None), &typed).unwrap_err();
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
