//! Makes foreign text safe to print in a message: escapes everything in it that could control a terminal.
//!
//! Safe text does not change. So a message may contain other messages, and printing may escape the whole once more.

use std::borrow::Cow;

/// Escapes, as Rust does, the characters that control a terminal: control characters (C0, delete, C1), line and paragraph separators, and
/// marks that change the direction of writing. So a text stays on its line. Backslashes and quotes stay, so escaping twice changes
/// nothing.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(is_terminal_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_terminal_control(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Whether a character can control a terminal instead of being printed.
pub fn is_terminal_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_once() {
        assert_eq!(shown("\u{1b}[2J\ta\nb\u{202e}\u{9b}\0"), r"\u{1b}[2J\ta\nb\u{202e}\u{9b}\u{0}");
        for text in ["a \"b\" \\ 'c'", r"\u{1b}[2J\n", "Bärn 東京", "می\u{200c}خواهم", "👩\u{200d}👧"] {
            assert!(matches!(shown(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        let once = shown("\r\u{2069}").into_owned();
        assert_eq!(shown(&once), once);
    }
}
