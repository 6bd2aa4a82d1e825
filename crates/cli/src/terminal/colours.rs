//! Colours, for people at a terminal: when they are used, and which.
//!
//! Each stream is decided separately: `auto` colours a terminal, unless the environment decides otherwise (`NO_COLOR`,
//! `CLICOLOR`, `CLICOLOR_FORCE`, `TERM=dumb`). Logs and progress have no colours, so that every escape in them is foreign.

use std::borrow::Cow;
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    // Not doc comments: these would make a paragraph of each value in the help of every command.
    #[default]
    Auto,
    Always,
    Never,
}

/// A colour of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Red,
    Green,
    Yellow,
}

/// Which streams are coloured.
#[derive(Debug, Clone, Copy, Default)]
struct Streams {
    output: bool,
    error: bool,
}

static STREAMS: OnceLock<Streams> = OnceLock::new();

/// Decides by the typed value of `--color`, before the other arguments are parsed: errors in these are coloured too. Must be
/// called while standard output is still that of the process.
pub(crate) fn decide(typed: Option<&str>) {
    // The parser refuses a wrong value.
    let choice = match typed.and_then(|when| When::from_str(when, false).ok()).unwrap_or_default() {
        When::Auto => ColorChoice::Auto,
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    };
    // The parser uses this for its own texts.
    choice.write_global();
    let is_on = |choice| choice != ColorChoice::Never;
    let output = is_on(AutoStream::choice(&std::io::stdout()));
    // The first decision stays: a process has one command.
    let _ = STREAMS.set(Streams { output, error: is_on(AutoStream::choice(&std::io::stderr())) });
}

/// Text for standard output.
pub(crate) fn on_output(colour: Colour, text: &str) -> Cow<'_, str> {
    paint(streams().output, colour, text)
}

/// A line for standard error, whose label is coloured.
pub(crate) fn on_error(line: &str) -> Cow<'_, str> {
    for (label, colour) in [("error:", Colour::Red), ("warning:", Colour::Yellow)] {
        if let Some(rest) = line.strip_prefix(label) {
            return format!("{}{rest}", paint(streams().error, colour, label)).into();
        }
    }
    line.into()
}

fn streams() -> Streams {
    STREAMS.get().copied().unwrap_or_default()
}

fn paint(is_on: bool, colour: Colour, text: &str) -> Cow<'_, str> {
    let code = match colour {
        Colour::Red => 31,
        Colour::Green => 32,
        Colour::Yellow => 33,
    };
    if is_on { format!("\u{1b}[1;{code}m{text}\u{1b}[0m").into() } else { text.into() }
}
