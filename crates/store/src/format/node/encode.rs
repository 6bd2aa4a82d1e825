//! From columns to a node's digest and bytes. `docs/format.md` has the layout.

use deltic_core::{Digest, Hasher};

use super::{Columns, MAX_ENTRIES, MAX_EXPANSION, MAX_SECTION_BYTES, RESTART, Where};
use crate::format::entry::Codec;
use crate::format::varint::{put, zigzag};
use crate::{Error, Result};

/// What a node begins with.
pub(super) const MAGIC: [u8; 4] = *b"DLTN";
/// The version of the node's layout.
pub(super) const LAYOUT: u8 = 1;
/// Flag: the meta section is a zstd frame.
pub(super) const COMPRESSED: u8 = 1;
/// Bytes of the check at a node's end.
pub(super) const CHECK_BYTES: usize = 8;

/// The stream is digested in pieces of about this length: nodes of honest keys fit into one.
const PIECE_BYTES: usize = 1 << 16;

/// Digests the logical stream of a node. `stream` is a buffer to use again; it holds a piece and a key at most.
pub(super) fn digest(level: u8, columns: &Columns, stream: &mut Vec<u8>) -> Digest {
    stream.clear();
    let mut hasher = Hasher::new("deltic node 1");
    hasher.number(u64::from(level)).number(columns.len() as u64);
    for index in 0..columns.len() {
        let key = columns.key(index);
        put(stream, key.len() as u64);
        stream.extend_from_slice(key);
        stream.extend_from_slice(columns.digests[index].as_bytes());
        put(stream, columns.lens[index]);
        if level == 0 {
            let fields = columns.fields(index);
            put(stream, fields.len() as u64);
            stream.extend_from_slice(fields);
        } else {
            put(stream, columns.counts[index]);
        }
        if stream.len() >= PIECE_BYTES {
            hasher.raw(stream);
            stream.clear();
        }
    }
    hasher.raw(stream).finish()
}

/// The first bytes of the BLAKE3 of everything before. They distinguish a damaged node from a wrong reference to it.
pub(super) fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECK_BYTES]);
    check
}

/// Digests and encodes nodes one after the other, in buffers that it keeps.
pub(crate) struct NodeWriter {
    section: Vec<u8>,
    stream: Vec<u8>,
    ends: Vec<u64>,
    compressor: zstd::bulk::Compressor<'static>,
}

impl NodeWriter {
    pub(crate) fn new() -> Result<NodeWriter> {
        let compressor =
            zstd::bulk::Compressor::new(1).map_err(|e| Error::internal("zstd could not be set up").because(&e))?;
        Ok(NodeWriter { section: Vec::new(), stream: Vec::new(), ends: Vec::new(), compressor })
    }

    pub(crate) fn digest(&mut self, level: u8, columns: &Columns) -> Digest {
        digest(level, columns, &mut self.stream)
    }

    /// Encodes a node.
    pub(crate) fn encode(&mut self, level: u8, columns: &Columns) -> Result<Vec<u8>> {
        let too_big = |what: &str| {
            let key = String::from_utf8_lossy(columns.key(0)).into_owned();
            Error::invalid(format!("the tree's node from key `{}` on {what}", key.escape_debug()))
        };
        if columns.len() > MAX_ENTRIES {
            return Err(too_big(&format!(
                "has more than {MAX_ENTRIES} entries: its keys were chosen to break the tree"
            )));
        }
        self.section.clear();
        write_section(level, columns, &mut self.section, &mut self.ends);
        if self.section.len() > MAX_SECTION_BYTES {
            return Err(too_big("is too big; use shorter keys or a smaller `inline_bytes`"));
        }
        let packed = self.compressor.compress(&self.section).ok().filter(|packed| {
            let (raw, packed) = (self.section.len(), packed.len());
            packed <= raw - raw / 8 && raw <= packed.saturating_mul(MAX_EXPANSION)
        });
        let stored = packed.as_ref().unwrap_or(&self.section);
        let flags = if packed.is_some() { COMPRESSED } else { 0 };
        let mut out = Vec::with_capacity(stored.len() + columns.len() * Digest::LEN + 32);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[LAYOUT, level, flags, 0]);
        put(&mut out, columns.len() as u64);
        put(&mut out, self.section.len() as u64);
        if packed.is_some() {
            put(&mut out, stored.len() as u64);
        }
        out.extend_from_slice(stored);
        for index in 0..columns.len() {
            // The digest of an inline payload is computed again from its bytes.
            if matches!(columns.places[index], Where::Pack { .. }) {
                out.extend_from_slice(columns.digests[index].as_bytes());
            }
        }
        let check = check(&out);
        out.extend_from_slice(&check);
        Ok(out)
    }
}

/// Writes the meta section, column by column. `ends` is a buffer to use again.
pub(super) fn write_section(level: u8, columns: &Columns, out: &mut Vec<u8>, ends: &mut Vec<u64>) {
    write_keys(columns, out);
    columns.lens.iter().for_each(|len| put(out, *len));
    if level > 0 {
        columns.counts.iter().for_each(|count| put(out, *count));
    } else {
        out.push(u8::from(!columns.field_ends.is_empty()));
        if !columns.field_ends.is_empty() {
            for index in 0..columns.len() {
                let fields = columns.fields(index);
                put(out, fields.len() as u64);
                out.extend_from_slice(fields);
            }
        }
    }
    put(out, columns.packs.len() as u64);
    for pack in &columns.packs {
        put(out, pack.base.0);
        out.extend_from_slice(&pack.run.0.to_le_bytes());
        put(out, u64::from(pack.seq));
    }
    write_places(level, columns, out, ends);
    if level == 0 {
        out.extend_from_slice(&columns.inline);
    }
}

fn write_keys(columns: &Columns, out: &mut Vec<u8>) {
    let mut before: &[u8] = &[];
    for index in 0..columns.len() {
        let key = columns.key(index);
        let shared = match index % RESTART {
            0 => 0,
            _ => key.iter().zip(before).take_while(|(a, b)| a == b).count(),
        };
        put(out, shared as u64);
        put(out, (key.len() - shared) as u64);
        out.extend_from_slice(&key[shared..]);
        before = key;
    }
}

/// Writes where payloads or children lie, in three columns. An offset is relative to the end of the blob before it in the same
/// pack: blobs that were written in order cost a zero each.
fn write_places(level: u8, columns: &Columns, out: &mut Vec<u8>, ends: &mut Vec<u64>) {
    for place in &columns.places {
        match *place {
            Where::Inline { .. } => put(out, 0),
            Where::Pack { pack, codec, .. } => put(out, 1 + (u64::from(pack) << 1 | u64::from(codec.code()))),
        }
    }
    ends.clear();
    ends.resize(columns.packs.len(), 0);
    for place in &columns.places {
        if let Where::Pack { pack, offset, stored, .. } = *place {
            let end = &mut ends[pack as usize];
            put(out, zigzag(offset.wrapping_sub(*end) as i64));
            *end = offset.wrapping_add(stored);
        }
    }
    for place in &columns.places {
        if let Where::Pack { stored, codec, .. } = *place
            && (level > 0 || codec != Codec::Raw)
        {
            put(out, stored);
        }
    }
}
