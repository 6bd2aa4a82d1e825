//! The first place where two payloads differ, as a person reads it.

use std::fmt;

use deltic_core::Payload;
use serde::Serialize;

/// Bytes that are shown of each payload.
const SHOWN: usize = 16;

/// The first place where two payloads differ: the published and the compiled one, or those of a first and a second compilation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstDifference {
    /// The offset in bytes, from 0; none if only the user fields differ.
    pub offset: Option<u64>,
    /// The length of each, in bytes.
    pub lengths: [u64; 2],
    /// A few bytes of each from there on: in quotes if they are text, else as hexadecimal digits. The user fields, if only
    /// these differ.
    pub shown: [String; 2],
}

impl FirstDifference {
    /// Compares payloads; none if they are equal, user fields included.
    pub fn of(one: &Payload, other: &Payload) -> Option<FirstDifference> {
        let lengths = [one.len(), other.len()];
        if one.bytes() == other.bytes() {
            let shown = [one, other].map(|payload| format!("{:?}", payload.fields()));
            return (one.fields() != other.fields()).then_some(FirstDifference { offset: None, lengths, shown });
        }
        let equal = one.bytes().iter().zip(other.bytes().iter()).take_while(|(one, other)| one == other).count();
        let shown = [one, other].map(|payload| shown(payload.bytes().get(equal..).unwrap_or_default()));
        Some(FirstDifference { offset: Some(equal as u64), lengths, shown })
    }
}

impl fmt::Display for FirstDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([one, other], [one_len, other_len]) = (&self.shown, self.lengths);
        match self.offset {
            None => write!(f, "in its user fields: {one} and {other}"),
            Some(offset) if one_len == other_len => write!(f, "from byte {offset} of {one_len}: {one} and {other}"),
            Some(offset) => write!(f, "from byte {offset} of {one_len} and {other_len}: {one} and {other}"),
        }
    }
}

/// The first of some bytes, as text if they are text, with a mark if there are more.
fn shown(bytes: &[u8]) -> String {
    let first = &bytes[..bytes.len().min(SHOWN)];
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    let text = match std::str::from_utf8(first) {
        Ok(text) => Some(text),
        // A character that is cut off at the end is left out.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&first[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    match text.filter(|text| text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace())) {
        _ if bytes.is_empty() => "its end".to_owned(),
        Some(text) => format!("{text:?}{more}"),
        None => {
            use std::fmt::Write as _;
            first.iter().fold("0x".to_owned(), |mut hex, byte| {
                // Writing to a string does not fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            }) + more
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(one: impl Into<Payload>, other: impl Into<Payload>) -> String {
        FirstDifference::of(&one.into(), &other.into()).map_or_else(String::new, |found| found.to_string())
    }

    #[test]
    fn the_first_difference_is_shown() {
        assert_eq!(text("same", "same"), "");
        assert_eq!(text("abcd", "abxd"), "from byte 2 of 4: \"cd\" and \"xd\"");
        assert_eq!(text("ab", "abc\n"), "from byte 2 of 2 and 4: its end and \"c\\n\"");
        assert_eq!(text(vec![1, 2, 255], vec![1, 3]), "from byte 1 of 3 and 2: 0x02ff and 0x03");
        assert_eq!(text("a", "0123456789012345678"), "from byte 0 of 1 and 19: \"a\" and \"0123456789012345\"…");
        // The ö is cut in the middle.
        assert_eq!(text("", "012345678901234ö"), "from byte 0 of 0 and 17: its end and \"012345678901234\"…");
        let field = Payload::from("a").with_field("k", "v").unwrap();
        assert!(text("a", field).starts_with("in its user fields: "));
    }
}
