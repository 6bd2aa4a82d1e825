//! Looks as bytes: what a reader asked for, as the tables `reads` and `readers` have it.
//!
//! A look is its kind, its layer and the name asked for, so that all looks at one partition lie together; a listing has its length
//! first, so that all prefixes of one length do. A look at a part has the projection and the argument behind that.

use deltic_compiler::{Projected, Seen};
use deltic_core::{Digest, NameBytes};

pub(crate) const PARTITION: u8 = 0;
pub(crate) const PRESENCE: u8 = 1;
pub(crate) const WITHIN: u8 = 2;
pub(crate) const PART: u8 = 3;

/// A look as it is kept, and the digest of the part that it found.
pub(crate) type Look = (Vec<u8>, Option<Digest>);

/// What looks at parts of one partition begin with.
pub(crate) fn part_prefix(layer: u16, name: &NameBytes) -> Vec<u8> {
    [&[PART], &layer.to_be_bytes()[..], name, &[0]].concat()
}

/// The kind of a look, its layer and its name.
pub(crate) fn kind(seen: &Seen) -> (u8, u16, &NameBytes) {
    match seen {
        Seen::Partition(layer, name) => (PARTITION, *layer, name),
        Seen::Presence(layer, name) => (PRESENCE, *layer, name),
        Seen::Within(layer, name) => (WITHIN, *layer, name),
        Seen::Part(layer, name, ..) => (PART, *layer, name),
    }
}

/// A look as it is kept.
pub(crate) fn look(seen: &Seen) -> Look {
    let (kind, layer, name) = kind(seen);
    if let Seen::Part(_, _, Projected { projection, argument }, digest) = seen {
        let mut out = part_prefix(layer, name);
        out.extend_from_slice(projection.as_bytes());
        out.push(0);
        out.extend_from_slice(argument.as_bytes());
        return (out, Some(*digest));
    }
    let mut out = vec![kind];
    out.extend_from_slice(&layer.to_be_bytes());
    if kind == WITHIN {
        // No name and so no useful prefix is longer than 2,000 bytes; one that is matches nothing.
        out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    out.extend_from_slice(name);
    (out, None)
}

/// A look with another number in the place of its layer's; none for bytes that are no look, and where the layer has none now.
pub(crate) fn renumbered(mut look: Vec<u8>, now: impl Fn(u16) -> Option<u16>) -> Option<Vec<u8>> {
    let layer = look.get_mut(1..)?.first_chunk_mut::<2>()?;
    *layer = now(u16::from_be_bytes(*layer))?.to_be_bytes();
    Some(look)
}
