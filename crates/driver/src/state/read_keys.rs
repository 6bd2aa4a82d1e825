//! Read keys: what a front- or back-end asked its context for, as bytes. The tables `reads` and `readers` have them as keys.
//! This is the only code that writes or parses them.
//!
//! A read key is the kind, the layer and the name, so that all reads of one partition lie together. A listing has the
//! length of its prefix before the prefix, so that all prefixes of one length lie together. A read of a part of a
//! partition has the projection and the argument behind the name, each after a zero byte.

use deltic_compiler::{Projected, Seen};
use deltic_core::{Digest, NameBytes};

use crate::key::LayerIndex;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadKind {
    /// A partition.
    Partition,
    /// Whether a partition exists.
    Presence,
    /// The partitions whose names begin with a prefix.
    Within,
    /// A part of a partition.
    Part,
}

impl ReadKind {
    /// The kind as it is stored.
    pub(crate) fn tag(self) -> u8 {
        match self {
            ReadKind::Partition => 0,
            ReadKind::Presence => 1,
            ReadKind::Within => 2,
            ReadKind::Part => 3,
        }
    }

    /// The kind that is stored so.
    pub(crate) fn of_tag(tag: u8) -> Option<ReadKind> {
        let all = [ReadKind::Partition, ReadKind::Presence, ReadKind::Within, ReadKind::Part];
        all.into_iter().find(|kind| kind.tag() == tag)
    }

    /// The bytes that all read keys of this kind and layer begin with.
    pub(crate) fn prefix(self, layer: LayerIndex) -> [u8; 3] {
        let [high, low] = layer.to_bytes();
        [self.tag(), high, low]
    }
}

/// A read key, and the digest of the part that was read, if it was a part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordedRead {
    pub(crate) key: Vec<u8>,
    pub(crate) part: Option<Digest>,
}

impl RecordedRead {
    /// A read as it is stored.
    pub(crate) fn of(seen: &Seen) -> RecordedRead {
        let (kind, layer, name) = asked(seen);
        if let Seen::Part(_, _, Projected { projection, argument }, digest) = seen {
            let key =
                [&part_prefix(layer, name)[..], projection.as_bytes(), &[SEPARATOR], argument.as_bytes()].concat();
            return RecordedRead { key, part: Some(*digest) };
        }
        let mut key = kind.prefix(layer).to_vec();
        if kind == ReadKind::Within {
            // No name is longer than 2,000 bytes, so a longer prefix matches nothing.
            key.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
        key.extend_from_slice(name);
        RecordedRead { key, part: None }
    }

    /// The read with another layer number; none if the bytes are no read key, or the layer has no number now.
    pub(crate) fn renumbered(mut self, now: impl Fn(LayerIndex) -> Option<LayerIndex>) -> Option<RecordedRead> {
        let (layer, _) = LayerIndex::split(self.key.get(1..)?)?;
        self.key.get_mut(1..3)?.copy_from_slice(&now(layer)?.to_bytes());
        Some(self)
    }
}

/// Separates the name, the projection and the argument. The name and the projection do not contain it.
const SEPARATOR: u8 = 0;

/// The bytes that all read keys of parts of one partition begin with.
pub(crate) fn part_prefix(layer: LayerIndex, name: &[u8]) -> Vec<u8> {
    [&ReadKind::Part.prefix(layer), name, &[SEPARATOR]].concat()
}

/// The kind of a read, its layer and the name.
pub(crate) fn asked(seen: &Seen) -> (ReadKind, LayerIndex, &NameBytes) {
    let (kind, layer, name) = match seen {
        Seen::Partition(layer, name) => (ReadKind::Partition, layer, name),
        Seen::Presence(layer, name) => (ReadKind::Presence, layer, name),
        Seen::Within(layer, name) => (ReadKind::Within, layer, name),
        Seen::Part(layer, name, ..) => (ReadKind::Part, layer, name),
    };
    (kind, LayerIndex(*layer), name)
}

/// A read key, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadKey<'a> {
    pub(crate) kind: ReadKind,
    pub(crate) layer: LayerIndex,
    /// The name of the partition, or the prefix of a listing.
    pub(crate) name: &'a [u8],
    /// For a part: the projection and the argument.
    pub(crate) part: Option<(&'a [u8], &'a [u8])>,
}

impl ReadKey<'_> {
    /// Parses a key that [`RecordedRead::of`] writes; `None` for other bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Option<ReadKey<'_>> {
        let (tag, rest) = bytes.split_first()?;
        let (kind, (layer, rest)) = (ReadKind::of_tag(*tag)?, LayerIndex::split(rest)?);
        let (name, part) = match kind {
            ReadKind::Partition | ReadKind::Presence => (rest, None),
            ReadKind::Within => (within_length(rest)?.1, None),
            ReadKind::Part => {
                let (name, rest) = split_field(rest)?;
                (name, Some(split_field(rest)?))
            }
        };
        Some(ReadKey { kind, layer, name, part })
    }
}

/// The length of a listing's prefix, and the bytes behind it. `bytes` are those behind [`ReadKind::prefix`].
pub(crate) fn within_length(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*length), rest))
}

/// The bytes before the first separator, and those behind it.
pub(crate) fn split_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == SEPARATOR)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_keys_are_parsed_as_they_were_written() {
        let name = || b"name".as_slice().into();
        let part = Projected { projection: "row".to_owned(), argument: "7".to_owned() };
        let seen = [
            Seen::Partition(300, name()),
            Seen::Presence(300, name()),
            Seen::Within(300, name()),
            Seen::Part(300, name(), part, Digest::of(b"part")),
        ];
        for (tag, seen) in (0u8..).zip(&seen) {
            let read = RecordedRead::of(seen);
            let (kind, layer, name) = asked(seen);
            let part = (kind == ReadKind::Part).then_some((b"row".as_slice(), b"7".as_slice()));
            assert_eq!(ReadKey::parse(&read.key), Some(ReadKey { kind, layer, name, part }));
            assert_eq!((kind.tag(), ReadKind::of_tag(tag)), (tag, Some(kind)));
            assert_eq!(read.key[..3], [tag, 1, 44]);
            let other = read.clone().renumbered(|layer| (layer.0 == 300).then_some(LayerIndex(2))).unwrap();
            assert_eq!((&other.key[..3], &other.key[3..]), (&[tag, 0, 2][..], &read.key[3..]));
            assert_eq!(read.renumbered(|_| None), None);
        }
        assert_eq!(ReadKind::of_tag(4), None);
    }
}
