//! The entries of a node in columns; also what a node is built in.

use std::ops::Range;

use deltic_core::{Digest, Fields, Meta};

use super::NodeRef;
use crate::format::entry::{Codec, Entry, NodePlace, Place};
use crate::format::object_name::PackName;

/// Entries of a leaf or children of an inner node, in key order. Columns that a level does not need stay empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Columns {
    /// All keys, one after the other, and where each ends.
    pub(super) keys: Vec<u8>,
    pub(super) key_ends: Vec<u32>,
    /// Payload digests, or digests of children.
    pub(super) digests: Vec<Digest>,
    /// Payload lengths, or the children's sums of them.
    pub(super) lens: Vec<u64>,
    /// Entries below each child; empty in a leaf.
    pub(super) counts: Vec<u64>,
    /// User fields in canonical form, and where each ends. No ends at all when no entry has fields.
    pub(super) fields: Vec<u8>,
    pub(super) field_ends: Vec<u32>,
    /// The packs that places refer to.
    pub(super) packs: Vec<PackName>,
    pub(super) places: Vec<Where>,
    /// Inline payloads, one after the other.
    pub(super) inline: Vec<u8>,
}

/// Where a payload or child lies: [`Place`] without allocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// In [`Columns::inline`], as long as the payload.
    Inline { start: u32 },
    /// In a pack, by its index in [`Columns::packs`].
    Pack { pack: u32, offset: u64, stored: u64, codec: Codec },
}

impl Columns {
    pub(crate) fn len(&self) -> usize {
        self.key_ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.key_ends.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        // The pattern names every column, so that nobody can forget a new one.
        let Columns { keys, key_ends, digests, lens, counts, fields, field_ends, packs, places, inline } = self;
        keys.clear();
        key_ends.clear();
        digests.clear();
        lens.clear();
        counts.clear();
        fields.clear();
        field_ends.clear();
        packs.clear();
        places.clear();
        inline.clear();
    }

    pub(crate) fn key(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.key_ends[index - 1] };
        &self.keys[start as usize..self.key_ends[index] as usize]
    }

    pub(crate) fn last_key(&self) -> Option<&[u8]> {
        self.len().checked_sub(1).map(|last| self.key(last))
    }

    pub(crate) fn digest(&self, index: usize) -> Digest {
        self.digests[index]
    }

    /// The packs that payloads or children lie in.
    pub(crate) fn packs(&self) -> &[PackName] {
        &self.packs
    }

    pub(super) fn fields(&self, index: usize) -> &[u8] {
        if self.field_ends.is_empty() {
            return &[];
        }
        let start = if index == 0 { 0 } else { self.field_ends[index - 1] };
        &self.fields[start as usize..self.field_ends[index] as usize]
    }

    pub(super) fn inline_bytes(&self, index: usize) -> &[u8] {
        match self.places[index] {
            Where::Inline { start } => &self.inline[start as usize..start as usize + self.lens[index] as usize],
            Where::Pack { .. } => &[],
        }
    }

    /// The part of an entry of a leaf that the digest covers.
    pub(crate) fn meta(&self, index: usize) -> Meta {
        let fields = self.fields(index);
        // Decoding has checked that fields are canonical.
        let fields =
            if fields.is_empty() { Fields::default() } else { Fields::from_canonical(fields).unwrap_or_default() };
        Meta { digest: self.digests[index], len: self.lens[index], fields }
    }

    /// Counts the entries from `index` on that equal those of another leaf from `at` on, in key and meta.
    ///
    /// Mostly one payload among many differs and no key does. So whole stretches are compared: first the digests, which differ
    /// most often, then the rest of the stretch column by column.
    pub(crate) fn equal_from(&self, index: usize, other: &Columns, at: usize) -> usize {
        let digests = self.digests[index..].iter().zip(&other.digests[at..]);
        let run = digests.take_while(|(one, two)| one == two).count();
        let (mine, theirs) = (index..index + run, at..at + run);
        let all = self.lens[mine.clone()] == other.lens[theirs.clone()]
            && self.key_bytes(mine.clone()) == other.key_bytes(theirs.clone())
            && self.field_ends.is_empty()
            && other.field_ends.is_empty()
            && mine.clone().zip(theirs.clone()).all(|(one, two)| self.key(one).len() == other.key(two).len());
        if all {
            return run;
        }
        let same = |(one, two): &(usize, usize)| {
            self.key(*one) == other.key(*two)
                && self.lens[*one] == other.lens[*two]
                && self.fields(*one) == other.fields(*two)
        };
        mine.zip(theirs).take_while(same).count()
    }

    /// The keys of a range, one after the other.
    fn key_bytes(&self, range: Range<usize>) -> &[u8] {
        let end = |index: usize| index.checked_sub(1).map_or(0, |before| self.key_ends[before] as usize);
        &self.keys[end(range.start)..end(range.end)]
    }

    /// Entries of the subtree, and the sum of their payloads' lengths; `None` when a sum overflows.
    pub(crate) fn totals(&self, level: u8) -> Option<(u64, u64)> {
        let sum = |numbers: &[u64]| numbers.iter().try_fold(0u64, |sum, number| sum.checked_add(*number));
        let count = if level == 0 { self.len() as u64 } else { sum(&self.counts)? };
        Some((count, sum(&self.lens)?))
    }

    /// The child at an index of an inner node of `level`.
    pub(crate) fn child(&self, index: usize, level: u8) -> Option<NodeRef> {
        let Where::Pack { pack, offset, stored, .. } = self.places[index] else {
            return None;
        };
        let place = NodePlace { pack: self.packs[pack as usize], offset, stored };
        let level = level.checked_sub(1)?;
        Some(NodeRef { digest: self.digests[index], level, count: self.counts[index], bytes: self.lens[index], place })
    }

    /// Entries before the one, or below the children before the one, at `index`.
    pub(crate) fn count_before(&self, index: usize) -> u64 {
        if self.counts.is_empty() { index as u64 } else { self.counts[..index].iter().sum() }
    }

    /// The index of the entry that has `left` entries before it in this subtree, or of the child that holds that entry. Leaves in
    /// `left` how many of them lie in the child.
    pub(crate) fn index_of(&self, left: &mut u64) -> usize {
        if self.counts.is_empty() {
            return usize::try_from(*left).map_or(self.len(), |index| index.min(self.len()));
        }
        for (index, count) in self.counts.iter().enumerate() {
            match left.checked_sub(*count) {
                Some(rest) => *left = rest,
                None => return index,
            }
        }
        self.len()
    }

    /// Where the payload of an entry of a leaf lies, and its length there; none when it lies in the leaf itself.
    pub(crate) fn stored(&self, index: usize) -> Option<(PackName, u64)> {
        match self.places[index] {
            Where::Inline { .. } => None,
            Where::Pack { pack, stored, .. } => Some((self.packs[pack as usize], stored)),
        }
    }

    pub(crate) fn push_entry(&mut self, key: &[u8], entry: &Entry) {
        let place = match &entry.place {
            Place::Inline(bytes) => self.push_inline(bytes),
            Place::Pack { pack, offset, stored, codec } => {
                Where::Pack { pack: self.pack_index(*pack), offset: *offset, stored: *stored, codec: *codec }
            }
        };
        self.push_fields(entry.meta.fields.as_str().as_bytes());
        self.push_key(key);
        self.digests.push(entry.meta.digest);
        self.lens.push(entry.meta.len);
        self.places.push(place);
    }

    pub(crate) fn push_child(&mut self, key: &[u8], child: &NodeRef) {
        let pack = self.pack_index(child.place.pack);
        self.push_key(key);
        self.digests.push(child.digest);
        self.lens.push(child.bytes);
        self.counts.push(child.count);
        self.places.push(Where::Pack {
            pack,
            offset: child.place.offset,
            stored: child.place.stored,
            codec: Codec::Raw,
        });
    }

    /// Copies a range of entries or children of another node of the same level.
    pub(crate) fn push_range(&mut self, from: &Columns, range: Range<usize>) {
        for index in range.clone() {
            let place = match from.places[index] {
                Where::Inline { .. } => self.push_inline(from.inline_bytes(index)),
                Where::Pack { pack, offset, stored, codec } => {
                    let pack = self.pack_index(from.packs[pack as usize]);
                    Where::Pack { pack, offset, stored, codec }
                }
            };
            self.places.push(place);
            self.push_fields(from.fields(index));
            self.push_key(from.key(index));
        }
        self.digests.extend_from_slice(&from.digests[range.clone()]);
        self.lens.extend_from_slice(&from.lens[range.clone()]);
        if !from.counts.is_empty() {
            self.counts.extend_from_slice(&from.counts[range]);
        }
    }

    pub(super) fn push_key(&mut self, key: &[u8]) {
        self.keys.extend_from_slice(key);
        self.key_ends.push(self.keys.len() as u32);
    }

    fn push_inline(&mut self, bytes: &[u8]) -> Where {
        let start = self.inline.len() as u32;
        self.inline.extend_from_slice(bytes);
        Where::Inline { start }
    }

    /// Adds the fields of the next entry. Call it before its key is pushed.
    fn push_fields(&mut self, fields: &[u8]) {
        if fields.is_empty() && self.field_ends.is_empty() {
            return;
        }
        // The first entry with fields creates the column; the entries before it have none.
        self.field_ends.resize(self.len(), 0);
        self.fields.extend_from_slice(fields);
        self.field_ends.push(self.fields.len() as u32);
    }

    fn pack_index(&mut self, pack: PackName) -> u32 {
        // Neighbours mostly lie in the same pack, the one that was used last.
        if let Some(Where::Pack { pack: last, .. }) = self.places.last()
            && self.packs[*last as usize] == pack
        {
            return *last;
        }
        let index = self.packs.iter().position(|known| *known == pack).unwrap_or_else(|| {
            self.packs.push(pack);
            self.packs.len() - 1
        });
        index as u32
    }

    pub(super) fn memory(&self) -> usize {
        self.keys.capacity()
            + 4 * (self.key_ends.capacity() + self.field_ends.capacity())
            + 32 * (self.digests.capacity() + self.packs.capacity())
            + 8 * (self.lens.capacity() + self.counts.capacity())
            + size_of::<Where>() * self.places.capacity()
            + self.fields.capacity()
            + self.inline.capacity()
    }
}
