//! From bytes to a node. Whatever the bytes are, decoding does not panic. It allocates at most 40 times the length of the section
//! and 128 KiB. The section is at most as long as the node, or 256 times as long where it is compressed. Only keys of 16 KiB
//! that differ in their ends reach that bound; honest keys take about 4 times.

use std::cell::RefCell;

use deltic_core::{Digest, Fields, RunId, Version};

use super::encode::{CHECK_BYTES, COMPRESSED, LAYOUT, MAGIC, check};
use super::{Columns, MAX_ENTRIES, MAX_EXPANSION, MAX_KEY_BYTES, MAX_SECTION_BYTES, Node, RESTART, Where};
use crate::format::entry::Codec;
use crate::format::inflate::inflate;
use crate::format::object_name::PackName;
use crate::format::varint::{Malformed, Reader, unzigzag};

thread_local! {
    /// The buffer for what is digested, which each thread keeps: growing one for each node takes longer than filling it.
    static STREAM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Node {
    /// Decodes and digests a node.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Node, Malformed> {
        let (body, found) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(Malformed("it is too short"))?;
        if check(body) != *found {
            return Err(Malformed("its bytes do not match its check"));
        }
        Node::decode_unchecked(body)
    }

    /// Decodes what comes before the check.
    pub(super) fn decode_unchecked(body: &[u8]) -> Result<Node, Malformed> {
        let mut reader = Reader(body);
        if reader.array()? != MAGIC {
            return Err(Malformed("it does not begin as a node"));
        }
        let [layout, level, flags, zero] = reader.array()?;
        if layout != LAYOUT {
            return Err(Malformed("its layout is not known"));
        }
        if flags & !COMPRESSED != 0 || zero != 0 || level > 64 {
            return Err(Malformed("its header is not known"));
        }
        let count = reader.count(MAX_ENTRIES)?;
        if count == 0 {
            return Err(Malformed("it has no entries"));
        }
        let raw = reader.count(MAX_SECTION_BYTES)?;
        let section = if flags & COMPRESSED == 0 {
            std::borrow::Cow::Borrowed(reader.take(raw)?)
        } else {
            let stored = reader.count(MAX_SECTION_BYTES)?;
            let packed = reader.take(stored)?;
            if raw > stored.saturating_mul(MAX_EXPANSION) {
                return Err(Malformed("its section grows too much"));
            }
            let section = inflate(packed, raw).ok_or(Malformed("it can not be decompressed"))?;
            if section.len() != raw {
                return Err(Malformed("its section has another length"));
            }
            std::borrow::Cow::Owned(section)
        };
        // Each entry takes bytes in every column, so this bounds what is allocated for `count` entries.
        if section.len() < 3 * count {
            return Err(Malformed("its section is too short for its entries"));
        }
        let mut columns = read_section(level, count, &section)?;
        read_digests(&mut columns, &mut reader)?;
        reader.end()?;
        let node = STREAM.with_borrow_mut(|stream| Node::new(level, columns, stream));
        node.ok_or(Malformed("its counts overflow"))
    }
}

fn read_section(level: u8, count: usize, section: &[u8]) -> Result<Columns, Malformed> {
    let mut reader = Reader(section);
    let mut columns = Columns::default();
    read_keys(&mut columns, count, &mut reader)?;
    columns.lens = numbers(&mut reader, count)?;
    if level > 0 {
        columns.counts = numbers(&mut reader, count)?;
        if columns.counts.contains(&0) {
            return Err(Malformed("a child has no entries"));
        }
    } else if reader.byte()? != 0 {
        columns.field_ends.reserve_exact(count);
        for _ in 0..count {
            let len = reader.count(Fields::MAX_BYTES)?;
            let fields = reader.take(len)?;
            Fields::from_canonical(fields).map_err(|_| Malformed("its user fields are not canonical"))?;
            columns.fields.extend_from_slice(fields);
            columns.field_ends.push(columns.fields.len() as u32);
        }
        if columns.fields.is_empty() {
            return Err(Malformed("it has a column of user fields without any"));
        }
    }
    let packs = reader.count(count)?;
    for _ in 0..packs {
        let base = Version(reader.number()?);
        let run = RunId(u64::from_le_bytes(reader.array()?));
        let seq = u32::try_from(reader.number()?).map_err(|_| Malformed("a pack's number is out of range"))?;
        columns.packs.push(PackName { base, run, seq });
    }
    read_places(&mut columns, level, count, &mut reader)?;
    if level == 0 {
        columns.inline = reader.0.to_vec();
    } else {
        reader.end()?;
    }
    place_inline(&mut columns)?;
    Ok(columns)
}

fn read_keys(columns: &mut Columns, count: usize, reader: &mut Reader<'_>) -> Result<(), Malformed> {
    columns.key_ends.reserve_exact(count);
    // Keys of one length are the rule. The bound is what the section can hold of any keys.
    let most = reader.0.len().saturating_mul(RESTART);
    let mut before = 0..0;
    for index in 0..count {
        let shared = reader.count(before.len())?;
        if shared > 0 && index % RESTART == 0 {
            return Err(Malformed("a key that must be whole is not"));
        }
        let rest_len = reader.count(MAX_KEY_BYTES - shared)?;
        let rest = reader.take(rest_len)?;
        let start = columns.keys.len();
        columns.keys.extend_from_within(before.start..before.start + shared);
        columns.keys.extend_from_slice(rest);
        let end = columns.keys.len();
        if index > 0 && columns.keys[before] >= columns.keys[start..] {
            return Err(Malformed("its keys do not ascend"));
        }
        if index == 0 {
            columns.keys.reserve_exact((end * (count - 1)).min(most));
        }
        before = start..end;
        columns.key_ends.push(end as u32);
    }
    Ok(())
}

fn read_places(columns: &mut Columns, level: u8, count: usize, reader: &mut Reader<'_>) -> Result<(), Malformed> {
    columns.places.reserve_exact(count);
    for _ in 0..count {
        let place = match reader.number()?.checked_sub(1) {
            None if level == 0 => Where::Inline { start: 0 },
            None => return Err(Malformed("a child lies in the node itself")),
            Some(tag) => {
                let pack = u32::try_from(tag >> 1).map_err(|_| Malformed("a pack's number is out of range"))?;
                if pack as usize >= columns.packs.len() {
                    return Err(Malformed("a place names no pack"));
                }
                let codec = Codec::from_code((tag & 1) as u8)?;
                if level > 0 && codec != Codec::Raw {
                    return Err(Malformed("a child has a codec"));
                }
                Where::Pack { pack, offset: 0, stored: 0, codec }
            }
        };
        columns.places.push(place);
    }
    // Offsets are relative to the end of the blob before, so lengths have to be known first.
    let mut lengths = reader.clone();
    for place in &columns.places {
        if matches!(place, Where::Pack { .. }) {
            lengths.number()?;
        }
    }
    let mut ends = vec![0u64; columns.packs.len()];
    for (place, len) in columns.places.iter_mut().zip(&columns.lens) {
        if let Where::Pack { pack, offset, stored, codec } = place {
            *stored = if level > 0 || *codec != Codec::Raw { lengths.number()? } else { *len };
            let end = &mut ends[*pack as usize];
            *offset = end.wrapping_add_signed(unzigzag(reader.number()?));
            *end = offset.wrapping_add(*stored);
            if *stored == 0 || *end < *offset {
                return Err(Malformed("a place has an impossible offset or length"));
            }
        }
    }
    *reader = lengths;
    Ok(())
}

/// Sets where each inline payload begins in the inline bytes, and checks that the payloads use them up.
fn place_inline(columns: &mut Columns) -> Result<(), Malformed> {
    let mut start = 0u64;
    for (place, len) in columns.places.iter_mut().zip(&columns.lens) {
        if let Where::Inline { start: at } = place {
            *at = u32::try_from(start).map_err(|_| Malformed("its inline payloads are too long"))?;
            start = start.checked_add(*len).ok_or(Malformed("its inline payloads are too long"))?;
        }
    }
    if start == columns.inline.len() as u64 { Ok(()) } else { Err(Malformed("its inline payloads do not add up")) }
}

fn read_digests(columns: &mut Columns, reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let mut digests = Vec::with_capacity(columns.len());
    for index in 0..columns.len() {
        digests.push(match columns.places[index] {
            Where::Inline { .. } => Digest::of(columns.inline_bytes(index)),
            Where::Pack { .. } => Digest::from_bytes(reader.array()?),
        });
    }
    columns.digests = digests;
    Ok(())
}

fn numbers(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, Malformed> {
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        numbers.push(reader.number()?);
    }
    Ok(numbers)
}
