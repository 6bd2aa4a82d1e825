//! A part of a tree: the operations on a range of keys that are left after most of its nodes were written.
//!
//! `tree::part` says what the operations in it mean. A part brings along which packs it may refer to, and how long they are, so
//! that whoever stitches can see whether they are there. Nothing stored has this form: a part goes from the process that made
//! it to the one that stitches, and both are of one build. So it has a format number to be refused by, and no description
//! in `docs/format.md`.
//!
//! Its bytes: the format number; the digest of the tree that is edited; the version that the part was made on, and the run; whether
//! it was handed over, and if so the packs, each with its length; for each level that a part builds, what comes
//! before the first end of a node, whether there is one, after which key its rest goes on, and that rest; the operations
//! for the level above; the last key; the BLAKE3 of all that. Lists and keys have their lengths before them. Invariant: the keys of a
//! part that was read ascend, in the order in which they are stitched, and so do the names of its packs.

#[cfg(test)]
pub(crate) mod tests;

use deltic_core::{Digest, RunId, Version};

use crate::format::entry::{Codec, Entry, NodePlace, Place};
use crate::format::entry_bytes::{read_entry, write_entry};
use crate::format::node::{MAX_KEY_BYTES, NodeRef};
use crate::format::object_name::{ListedPack, PackName};
use crate::format::varint::{Malformed, Reader, put};
use crate::{Error, Result};

/// Levels that a part builds by itself.
pub(crate) const PART_LEVELS: usize = 2;

/// What a part begins with.
const FORMAT: u8 = 2;

/// An operation on a key: puts an item, or with `None` deletes what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) key: Box<[u8]>,
    pub(crate) item: Option<OwnedItem>,
}

/// What is put under a key: an entry in a leaf, a child in an inner node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnedItem {
    Entry(Entry),
    Child(NodeRef),
}

/// What a part leaves open of a level.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LevelEnds {
    /// The operations up to the first end of a node; all of them where the range has none.
    pub(crate) head: Vec<Op>,
    /// What comes after the last end of a node.
    pub(crate) tail: Option<Tail>,
}

/// What comes after the last end of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tail {
    /// The key of that end, unless it ended a node of the base too. The rest of a base node may lie after it.
    pub(crate) after: Option<Box<[u8]>>,
    pub(crate) ops: Vec<Op>,
}

/// The result of editing a range of keys with a [`crate::PartEditor`]. [`crate::TreeEditor::stitch`] joins it with those of the
/// other ranges. Plain data: it refers to packs, and holds none of their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreePart {
    /// The digest of the tree that is edited.
    pub(crate) base: Digest,
    /// The version that it was made on.
    pub(crate) version: Version,
    /// The run that made it.
    pub(crate) run: RunId,
    /// The packs that are no older than `version` and that it may refer to, by name; none before it was handed over.
    pub(crate) packs: Option<Vec<ListedPack>>,
    pub(crate) levels: [LevelEnds; PART_LEVELS],
    /// The operations for the level above.
    pub(crate) above: Vec<Op>,
    /// The last key that was put or deleted; none where there was no operation.
    pub(crate) last: Option<Box<[u8]>>,
}

impl TreePart {
    /// How many operations are left for stitching: on entries, on leaves, and on the nodes above leaves.
    pub fn counts(&self) -> [usize; PART_LEVELS + 1] {
        let ends = |ends: &LevelEnds| ends.head.len() + ends.tail.as_ref().map_or(0, |tail| tail.ops.len());
        [ends(&self.levels[0]), ends(&self.levels[1]), self.above.len()]
    }

    /// Writes it down, for another process; [`crate::Draft::hand_over`] comes before. Length: some 80 bytes for each of its
    /// operations, and keys; and some 20 for each pack of the draft that made it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        out.extend_from_slice(self.base.as_bytes());
        put(&mut out, self.version.0);
        out.extend_from_slice(&self.run.0.to_le_bytes());
        out.push(u8::from(self.packs.is_some()));
        self.packs.iter().for_each(|packs| write_packs(&mut out, packs));
        for LevelEnds { head, tail } in &self.levels {
            write_ops(&mut out, head);
            match tail {
                None => out.push(0),
                Some(Tail { after, ops }) => {
                    out.push(1 + u8::from(after.is_some()));
                    after.iter().for_each(|key| write_bytes(&mut out, key));
                    write_ops(&mut out, ops);
                }
            }
        }
        write_ops(&mut out, &self.above);
        out.push(u8::from(self.last.is_some()));
        self.last.iter().for_each(|key| write_bytes(&mut out, key));
        let digest = Digest::of(&out);
        out.extend_from_slice(digest.as_bytes());
        out
    }

    /// Reads what [`TreePart::to_bytes`] has written. Memory: at most 192 times the bytes.
    ///
    /// Fails with [`crate::ErrorKind::InvalidInput`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<TreePart> {
        read(bytes).map_err(|what| Error::invalid(format!("a part of a tree can not be read: {what}; make it again")))
    }
}

fn read(bytes: &[u8]) -> std::result::Result<TreePart, Malformed> {
    let (body, digest) = bytes.split_last_chunk().ok_or(Malformed("it is too short"))?;
    let mut reader = Reader(body);
    if reader.byte()? != FORMAT {
        return Err(Malformed("its format is not known"));
    }
    if Digest::of(body) != Digest::from_bytes(*digest) {
        return Err(Malformed("its bytes do not match its digest"));
    }
    let base = Digest::from_bytes(reader.array()?);
    let (version, run) = (Version(reader.number()?), RunId(u64::from_le_bytes(reader.array()?)));
    let packs = match reader.byte()? {
        // Nobody knows which packs it refers to, and whether they are there.
        0 => return Err(Malformed("it was not handed over by the draft that made it")),
        1 => Some(read_packs(&mut reader)?),
        _ => return Err(Malformed("it is neither handed over nor not")),
    };
    let mut levels: [LevelEnds; PART_LEVELS] = Default::default();
    for (level, ends) in levels.iter_mut().enumerate() {
        ends.head = read_ops(&mut reader, level)?;
        ends.tail = match reader.byte()? {
            0 => None,
            has @ (1 | 2) => {
                let after = if has == 2 { Some(read_key(&mut reader)?) } else { None };
                Some(Tail { after, ops: read_ops(&mut reader, level)? })
            }
            _ => return Err(Malformed("the flag of a tail is not known")),
        };
    }
    let above = read_ops(&mut reader, PART_LEVELS)?;
    let last = match reader.byte()? {
        0 => None,
        1 => Some(read_key(&mut reader)?),
        _ => return Err(Malformed("the flag of the last key is not known")),
    };
    let part = TreePart { base, version, run, packs, levels, above, last };
    reader.end()?;
    part.check()?;
    Ok(part)
}

impl TreePart {
    /// Checks what was read: keys ascend, and a level without an end of a node has no operations for the levels above.
    fn check(&self) -> std::result::Result<(), Malformed> {
        let mut last: Option<&[u8]> = None;
        let mut is_below_ended = true;
        for LevelEnds { head, tail } in &self.levels {
            if !is_below_ended && !head.is_empty() || tail.is_some() && head.is_empty() {
                return Err(Malformed("it has operations above a level that it has not ended"));
            }
            ascend(&mut last, head)?;
            is_below_ended = tail.is_some();
        }
        if !is_below_ended && !self.above.is_empty() {
            return Err(Malformed("it has operations above a level that it has not ended"));
        }
        ascend(&mut last, &self.above)?;
        for tail in self.levels.iter().rev().filter_map(|ends| ends.tail.as_ref()) {
            if let Some(after) = tail.after.as_deref() {
                if last.is_some_and(|last| last > after) {
                    return Err(Malformed("its keys do not ascend"));
                }
                last = Some(after);
            }
            ascend(&mut last, &tail.ops)?;
        }
        if self.last.is_some() == last.is_some() && last <= self.last.as_deref() {
            Ok(())
        } else {
            Err(Malformed("its last key does not match its operations"))
        }
    }
}

/// Checks that operations, which are sorted, come after the last key before them.
fn ascend<'a>(last: &mut Option<&'a [u8]>, ops: &'a [Op]) -> std::result::Result<(), Malformed> {
    if ops.first().is_some_and(|op| last.is_some_and(|last| *last >= *op.key)) {
        return Err(Malformed("its keys do not ascend"));
    }
    *last = ops.last().map(|op| &*op.key).or(*last);
    Ok(())
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_pack(out: &mut Vec<u8>, pack: PackName) {
    put(out, pack.base.0);
    out.extend_from_slice(&pack.run.0.to_le_bytes());
    put(out, u64::from(pack.seq));
}

fn write_packs(out: &mut Vec<u8>, packs: &[ListedPack]) {
    put(out, packs.len() as u64);
    for pack in packs {
        write_pack(out, pack.name);
        put(out, pack.bytes);
    }
}

/// A key has before it what is done to it: 0 deletes, 1 puts an entry, 2 a child.
fn write_ops(out: &mut Vec<u8>, ops: &[Op]) {
    put(out, ops.len() as u64);
    let mut bytes = Vec::new();
    for Op { key, item } in ops {
        out.push(match item {
            None => 0,
            Some(OwnedItem::Entry(_)) => 1,
            Some(OwnedItem::Child(_)) => 2,
        });
        write_bytes(out, key);
        match item {
            None => {}
            Some(OwnedItem::Entry(entry)) => {
                bytes.clear();
                write_entry(entry, &mut bytes);
                write_bytes(out, &bytes);
            }
            Some(OwnedItem::Child(NodeRef { digest, count, bytes, place, level: _ })) => {
                out.extend_from_slice(digest.as_bytes());
                put(out, *count);
                put(out, *bytes);
                write_pack(out, place.pack);
                put(out, place.offset);
                put(out, place.stored);
            }
        }
    }
}

fn read_key(reader: &mut Reader<'_>) -> std::result::Result<Box<[u8]>, Malformed> {
    let len = reader.count(MAX_KEY_BYTES)?;
    Ok(reader.take(len)?.into())
}

fn read_ops(reader: &mut Reader<'_>, level: usize) -> std::result::Result<Vec<Op>, Malformed> {
    let count = reader.number()?;
    let mut ops: Vec<Op> = Vec::new();
    for _ in 0..count {
        let tag = reader.byte()?;
        let key = read_key(reader)?;
        if ops.last().is_some_and(|last| last.key >= key) {
            return Err(Malformed("its keys do not ascend"));
        }
        let item = match (tag, level.checked_sub(1)) {
            (0, _) => None,
            (1, None) => Some(OwnedItem::Entry(read_put(reader)?)),
            (2, Some(below)) => Some(OwnedItem::Child(read_child(reader, below as u8)?)),
            _ => return Err(Malformed("an operation is none of its level")),
        };
        ops.push(Op { key, item });
    }
    Ok(ops)
}

fn read_put(reader: &mut Reader<'_>) -> std::result::Result<Entry, Malformed> {
    let len = reader.count(reader.0.len())?;
    let entry = read_entry(reader.take(len)?).ok_or(Malformed("an entry can not be read"))?;
    let is_whole = match &entry.place {
        // Nodes do not keep the digest of such a payload.
        Place::Inline(bytes) => bytes.len() as u64 == entry.meta.len && Digest::of(bytes) == entry.meta.digest,
        Place::Pack { offset, stored, codec, .. } => {
            check_place(*offset, *stored)?;
            *codec != Codec::Raw || *stored == entry.meta.len
        }
    };
    if is_whole { Ok(entry) } else { Err(Malformed("a payload is not as long as its entry says, or another one")) }
}

fn check_place(offset: u64, stored: u64) -> std::result::Result<(), Malformed> {
    let end = offset.checked_add(stored).filter(|_| stored > 0);
    end.map(|_| ()).ok_or(Malformed("a place makes no sense"))
}

fn read_child(reader: &mut Reader<'_>, level: u8) -> std::result::Result<NodeRef, Malformed> {
    let digest = Digest::from_bytes(reader.array()?);
    let (count, bytes) = (reader.number()?, reader.number()?);
    if count == 0 {
        return Err(Malformed("a child has no entries"));
    }
    Ok(NodeRef { digest, level, count, bytes, place: read_place(reader)? })
}

fn read_packs(reader: &mut Reader<'_>) -> std::result::Result<Vec<ListedPack>, Malformed> {
    let mut packs: Vec<ListedPack> = Vec::new();
    for _ in 0..reader.number()? {
        let pack = ListedPack { name: read_pack(reader)?, bytes: reader.number()? };
        if packs.last().is_some_and(|last| last.name >= pack.name) {
            return Err(Malformed("its packs are not in order"));
        }
        packs.push(pack);
    }
    Ok(packs)
}

fn read_pack(reader: &mut Reader<'_>) -> std::result::Result<PackName, Malformed> {
    let (base, run) = (Version(reader.number()?), RunId(u64::from_le_bytes(reader.array()?)));
    let seq = u32::try_from(reader.number()?).map_err(|_| Malformed("it names a pack that can not be"))?;
    Ok(PackName { base, run, seq })
}

fn read_place(reader: &mut Reader<'_>) -> std::result::Result<NodePlace, Malformed> {
    let (pack, offset, stored) = (read_pack(reader)?, reader.number()?, reader.number()?);
    check_place(offset, stored)?;
    Ok(NodePlace { pack, offset, stored })
}
