//! Ranges of keys.

use std::ops::Bound;

/// A range of keys: from an inclusive start to an exclusive end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    pub(crate) start: Box<[u8]>,
    pub(crate) end: Option<Box<[u8]>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange { start: Box::default(), end: None }
    }

    /// The keys that begin with `prefix`; for a tile's quadkey, the tile and all below it.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if last < 0xff {
                end.push(last + 1);
                return KeyRange { start: prefix.into(), end: Some(end.into()) };
            }
        }
        KeyRange { start: prefix.into(), end: None }
    }

    /// The keys between two bounds. The range is empty if the lower bound is not below the upper one.
    pub fn new(lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> KeyRange {
        // The least key greater than another is that key with a zero byte added.
        let after = |key: &[u8]| key.iter().copied().chain([0]).collect::<Box<[u8]>>();
        let start = match lower {
            Bound::Included(key) => key.into(),
            Bound::Excluded(key) => after(key),
            Bound::Unbounded => Box::default(),
        };
        let end = match upper {
            Bound::Included(key) => Some(after(key)),
            Bound::Excluded(key) => Some(key.into()),
            Bound::Unbounded => None,
        };
        KeyRange { start, end }
    }

    /// Whether a key lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        *key >= *self.start && !self.ends_before(key)
    }

    /// Whether the range ends before `key`: neither it nor anything after it is in the range.
    pub(crate) fn ends_before(&self, key: &[u8]) -> bool {
        self.end.as_deref().is_some_and(|end| key >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_bounds() {
        let range = KeyRange::prefix(b"a\xff");
        assert!(range.contains(b"a\xff") && range.contains(b"a\xff\xff\xff") && !range.contains(b"b"));
        assert!(KeyRange::prefix(b"\xff\xff").contains(b"\xff\xff\x01") && KeyRange::prefix(b"").contains(b""));
        let range = KeyRange::new(Bound::Excluded(b"a"), Bound::Included(b"c"));
        assert!(!range.contains(b"a") && range.contains(b"a\0") && range.contains(b"c") && !range.contains(b"c\0"));
    }
}
