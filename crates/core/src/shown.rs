//! Text that others wrote, fit for a message: everything in it that could command a terminal is made visible.
//!
//! What is fit already stays as it is, so that a message may be made of messages, and whoever prints it may do the same
//! again.

use std::borrow::Cow;

/// Escapes, as Rust does, what commands rather than shows: control characters (C0, delete, C1), line and paragraph
/// separators, and marks that change the direction of writing. So a text stays on its line. Backslashes and quotes stay: what
/// was escaped is not escaped again.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if commands(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Whether a character commands rather than shows.
pub fn commands(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_is_escaped_once() {
        assert_eq!(shown("\u{1b}[2J\ta\nb\u{202e}\u{9b}\0"), r"\u{1b}[2J\ta\nb\u{202e}\u{9b}\u{0}");
        for text in ["a \"b\" \\ 'c'", r"\u{1b}[2J\n", "Bärn 東京", "می\u{200c}خواهم", "👩\u{200d}👧"] {
            assert!(matches!(shown(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        let once = shown("\r\u{2069}").into_owned();
        assert_eq!(shown(&once), once);
    }
}
