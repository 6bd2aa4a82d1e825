//! Looks as bytes: what a reader asked for, as the tables `reads` and `readers` have it. All that writes or reads such
//! bytes does it here.
//!
//! A look is its kind, its layer and the name asked for, so that all looks at one partition lie together; a listing has
//! the length of its prefix first, so that all prefixes of one length do. A look at a part of a partition has the
//! projection and the argument behind the name, each after a zero byte.

use deltic_compiler::{Projected, Seen};
use deltic_core::{Digest, NameBytes};

use crate::key::LayerIndex;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookKind {
    /// For a partition.
    Partition,
    /// Whether there is a partition.
    Presence,
    /// For the partitions whose names begin with a prefix.
    Within,
    /// For a part of a partition.
    Part,
}

impl LookKind {
    /// The kind as it is stored.
    pub(crate) fn tag(self) -> u8 {
        match self {
            LookKind::Partition => 0,
            LookKind::Presence => 1,
            LookKind::Within => 2,
            LookKind::Part => 3,
        }
    }

    /// The kind that is stored so.
    pub(crate) fn of_tag(tag: u8) -> Option<LookKind> {
        let all = [LookKind::Partition, LookKind::Presence, LookKind::Within, LookKind::Part];
        all.into_iter().find(|kind| kind.tag() == tag)
    }

    /// What all looks of this kind at a layer begin with.
    pub(crate) fn prefix(self, layer: LayerIndex) -> [u8; 3] {
        let [high, low] = layer.to_bytes();
        [self.tag(), high, low]
    }
}

/// A look as it is stored, and the digest of the part that it found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Look {
    pub(crate) bytes: Vec<u8>,
    pub(crate) found: Option<Digest>,
}

impl Look {
    /// What a reader saw, as it is stored.
    pub(crate) fn of(seen: &Seen) -> Look {
        let (kind, layer, name) = asked(seen);
        if let Seen::Part(_, _, Projected { projection, argument }, digest) = seen {
            let bytes =
                [&part_prefix(layer, name)[..], projection.as_bytes(), &[SEPARATOR], argument.as_bytes()].concat();
            return Look { bytes, found: Some(*digest) };
        }
        let mut bytes = kind.prefix(layer).to_vec();
        if kind == LookKind::Within {
            // No name and so no useful prefix is longer than 2,000 bytes; one that is matches nothing.
            bytes.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
        bytes.extend_from_slice(name);
        Look { bytes, found: None }
    }

    /// The look with another number in the place of its layer's; none for bytes that are no look, and where the layer has
    /// no number now.
    pub(crate) fn renumbered(mut self, now: impl Fn(LayerIndex) -> Option<LayerIndex>) -> Option<Look> {
        let (layer, _) = LayerIndex::split(self.bytes.get(1..)?)?;
        self.bytes.get_mut(1..3)?.copy_from_slice(&now(layer)?.to_bytes());
        Some(self)
    }
}

/// Stands between the name, the projection and the argument of a look at a part. None of the first two contains it.
const SEPARATOR: u8 = 0;

/// What all looks at parts of one partition begin with.
pub(crate) fn part_prefix(layer: LayerIndex, name: &[u8]) -> Vec<u8> {
    [&LookKind::Part.prefix(layer), name, &[SEPARATOR]].concat()
}

/// The kind of a look, its layer and the name asked for.
pub(crate) fn asked(seen: &Seen) -> (LookKind, LayerIndex, &NameBytes) {
    let (kind, layer, name) = match seen {
        Seen::Partition(layer, name) => (LookKind::Partition, layer, name),
        Seen::Presence(layer, name) => (LookKind::Presence, layer, name),
        Seen::Within(layer, name) => (LookKind::Within, layer, name),
        Seen::Part(layer, name, ..) => (LookKind::Part, layer, name),
    };
    (kind, LayerIndex(*layer), name)
}

/// A look that was read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredLook<'a> {
    pub(crate) kind: LookKind,
    pub(crate) layer: LayerIndex,
    /// The name of the partition, or the prefix of a listing.
    pub(crate) name: &'a [u8],
    /// Of a look at a part: the projection and the argument.
    pub(crate) part: Option<(&'a [u8], &'a [u8])>,
}

impl StoredLook<'_> {
    /// Reads what [`Look::of`] writes; `None` for anything else.
    pub(crate) fn read(bytes: &[u8]) -> Option<StoredLook<'_>> {
        let (tag, rest) = bytes.split_first()?;
        let (kind, (layer, rest)) = (LookKind::of_tag(*tag)?, LayerIndex::split(rest)?);
        let (name, part) = match kind {
            LookKind::Partition | LookKind::Presence => (rest, None),
            LookKind::Within => (within_length(rest)?.1, None),
            LookKind::Part => {
                let (name, rest) = split_field(rest)?;
                (name, Some(split_field(rest)?))
            }
        };
        Some(StoredLook { kind, layer, name, part })
    }
}

/// The length that a listing's prefix is stored with, and what is behind it: of bytes behind [`LookKind::prefix`].
pub(crate) fn within_length(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*length), rest))
}

/// What is in front of the first separator, and what is behind it.
pub(crate) fn split_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == SEPARATOR)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_read_as_they_were_written() {
        let name = || b"name".as_slice().into();
        let part = Projected { projection: "row".to_owned(), argument: "7".to_owned() };
        let seen = [
            Seen::Partition(300, name()),
            Seen::Presence(300, name()),
            Seen::Within(300, name()),
            Seen::Part(300, name(), part, Digest::of(b"part")),
        ];
        for (tag, seen) in (0u8..).zip(&seen) {
            let look = Look::of(seen);
            let (kind, layer, name) = asked(seen);
            let part = (kind == LookKind::Part).then_some((b"row".as_slice(), b"7".as_slice()));
            assert_eq!(StoredLook::read(&look.bytes), Some(StoredLook { kind, layer, name, part }));
            assert_eq!((kind.tag(), LookKind::of_tag(tag)), (tag, Some(kind)));
            assert_eq!(look.bytes[..3], [tag, 1, 44]);
            let other = look.clone().renumbered(|layer| (layer.0 == 300).then_some(LayerIndex(2))).unwrap();
            assert_eq!((&other.bytes[..3], &other.bytes[3..]), (&[tag, 0, 2][..], &look.bytes[3..]));
            assert_eq!(look.renumbered(|_| None), None);
        }
        assert_eq!(LookKind::of_tag(4), None);
    }
}
