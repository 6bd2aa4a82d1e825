//! Escapes text that goes to a terminal or a pipe: everything that could control a terminal becomes visible.
//!
//! Names, messages of compilers, arguments and answers of servers may hold anything: escape sequences, characters that
//! change the direction of writing, line breaks that make one message look like two. The commands print everything through
//! this file, on both streams. The only exception are the bytes of a partition, which `get` prints unchanged.

use std::borrow::Cow;
use std::io::Write;
use std::sync::OnceLock;

use deltic_core::is_terminal_control;

/// Escapes everything that could control a terminal, except line breaks.
fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let is_bad = |c| c != '\n' && is_terminal_control(c);
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// The name of this program, if it is not `deltic`.
static PROGRAM: OnceLock<String> = OnceLock::new();

/// Makes messages use the name of the running program: users of their own driver may have no `deltic`, and the driver has all its
/// commands.
pub(crate) fn set_program_name(name: String) {
    if name != "deltic" {
        // A process has one name: the first one is kept.
        let _ = PROGRAM.set(name);
    }
}

/// One line: line breaks in the text are escaped.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    match deltic_core::shown(text) {
        Cow::Borrowed(text) => with_program_name(text),
        Cow::Owned(text) => Cow::Owned(with_program_name(&text).into_owned()),
    }
}

/// Text in which commands begin with the name of this program.
pub(crate) fn with_program_name(text: &str) -> Cow<'_, str> {
    match PROGRAM.get() {
        Some(name) if text.contains("`deltic ") => Cow::Owned(text.replace("`deltic ", &format!("`{name} "))),
        _ => Cow::Borrowed(text),
    }
}

/// Text whose line breaks are our own.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c, out| out.extend(c.escape_default()))
}

/// JSON or TOML, in whose strings such a character is written `\uXXXX` and read back unchanged.
pub(crate) fn document(text: &str) -> Cow<'_, str> {
    escaped(text, |c, out| {
        let mut units = [0; 2];
        out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
    })
}

/// Several foreign lines: each begins with a bar, so that it can not be taken for a line of ours.
pub(crate) fn quoted(text: &str) -> String {
    text.lines().map(|one| format!("  | {}", line(one))).collect::<Vec<_>>().join("\n")
}

/// Lines as one text, each escaped by [`line()`].
pub(crate) fn joined(lines: &[String]) -> String {
    lines.iter().map(|one| line(one)).collect::<Vec<_>>().join("\n")
}

/// Writes to standard error. An error of that write can be reported nowhere.
pub(crate) fn to_stderr(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters that must not pass, the first and the last of each range.
    const BAD: [char; 18] = [
        '\0', '\u{7}', '\t', '\r', '\u{1b}', '\u{1f}', '\u{7f}', '\u{80}', '\u{9b}', '\u{9f}', '\u{61c}', '\u{200e}',
        '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202e}', '\u{2066}',
    ];

    #[test]
    fn what_commands_a_terminal_is_shown_instead() {
        for bad in BAD.into_iter().chain(['\u{2069}']) {
            let text = format!("a{bad}b");
            for shown in [line(&text), lines(&text), document(&text)] {
                assert!(!shown.contains(bad) && shown.starts_with('a') && shown.ends_with('b'), "{shown}");
            }
            let read: String = serde_json::from_str(&format!("\"{}\"", document(&text))).unwrap();
            assert_eq!(read, text);
        }
        assert_eq!(line("\u{1b}[2J\ta\nb\u{202e}"), r"\u{1b}[2J\ta\nb\u{202e}");
        assert_eq!(lines("a\nb\r\n"), "a\nb\\r\n");
        assert_eq!(quoted("a\nb\u{9b}"), "  | a\n  | b\\u{9b}");
    }

    #[test]
    fn what_people_write_stays() {
        for text in ["Bärn 東京 שלום مرحبا", "می\u{200c}خواهم", "👩\u{200d}👩\u{200d}👧", "a \"b\" \\ 'c'"]
        {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
        }
    }
}
