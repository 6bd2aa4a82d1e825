//! A checkpoint object (`progress/…`): results, each under a key, and an index at the end. The index names the packs that the
//! results refer to.
//!
//! `docs/format.md` has the layout.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use deltic_core::{Digest, RunId, Version};

use crate::format::object_name::PackName;
use crate::format::varint::{self, Malformed, Reader};

/// What a checkpoint object begins with; the last byte is the format's version.
const HEADER: [u8; 8] = *b"DLTPROG\x01";
/// What it ends with.
const END: [u8; 8] = *b"\x01GORPTLD";
/// Length of the index, its BLAKE3, and the end mark.
pub(crate) const FOOTER_LEN: u64 = 8 + Digest::LEN as u64 + END.len() as u64;

/// The longest result that is read, and so the longest that is worth writing.
const MAX_RESULT_BYTES: u64 = 64 << 20;

/// The content of an index: the packs that results refer to; and for each key where its result lies, and the result's digest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) packs: Vec<(PackName, u64)>,
    pub(crate) results: Vec<(Digest, Range<u64>, Digest)>,
}

/// Encodes a checkpoint object, in pieces.
pub(crate) fn encode(results: &[(Digest, Bytes)], packs: &[(PackName, u64)]) -> Vec<Bytes> {
    let packs: BTreeSet<&(PackName, u64)> = packs.iter().collect();
    let mut index = Vec::new();
    varint::put(&mut index, packs.len() as u64);
    for (name, bytes) in packs {
        varint::put(&mut index, name.base.0);
        index.extend_from_slice(&name.run.0.to_le_bytes());
        varint::put(&mut index, u64::from(name.seq));
        varint::put(&mut index, *bytes);
    }
    varint::put(&mut index, results.len() as u64);
    let mut pieces = vec![Bytes::from_static(&HEADER)];
    for (key, result) in results {
        index.extend_from_slice(key.as_bytes());
        varint::put(&mut index, result.len() as u64);
        index.extend_from_slice(Digest::of(result).as_bytes());
        pieces.push(result.clone());
    }
    let (len, digest) = (index.len() as u64, Digest::of(&index));
    index.extend_from_slice(&len.to_le_bytes());
    index.extend_from_slice(digest.as_bytes());
    index.extend_from_slice(&END);
    pieces.push(Bytes::from(index));
    pieces
}

/// The length of the index, from the last bytes of an object; none when no checkpoint object ends like this.
pub(crate) fn index_len(tail: &[u8]) -> Option<u64> {
    let footer = &tail[tail.len().checked_sub(FOOTER_LEN as usize)?..];
    footer.ends_with(&END).then(|| Reader(footer).array().ok().map(u64::from_le_bytes))?
}

/// Reads index and footer of an object of `size` bytes. Memory: at most eight times their length.
pub(crate) fn read_index(tail: &[u8], size: u64) -> std::result::Result<Index, Malformed> {
    let split = tail.len().checked_sub(FOOTER_LEN as usize).ok_or(Malformed("it is too short"))?;
    let (bytes, footer) = tail.split_at(split);
    let mut footer = Reader(footer);
    let _len: [u8; 8] = footer.array()?;
    if Digest::of(bytes) != Digest::from_bytes(footer.array()?) {
        return Err(Malformed("its index does not match the digest in its footer"));
    }
    let mut index = Reader(bytes);
    let mut packs = Vec::new();
    for _ in 0..index.count(bytes.len())? {
        let (base, run) = (Version(index.number()?), RunId(u64::from_le_bytes(index.array()?)));
        let seq = u32::try_from(index.number()?).map_err(|_| Malformed("it names an impossible pack"))?;
        packs.push((PackName { base, run, seq }, index.number()?));
    }
    let mut results = Vec::new();
    let mut offset = HEADER.len() as u64;
    for _ in 0..index.count(bytes.len())? {
        let key = Digest::from_bytes(index.array()?);
        let len = index.number()?;
        let end = offset.checked_add(len).ok_or(Malformed("its index does not add up"))?;
        let digest = Digest::from_bytes(index.array()?);
        if len <= MAX_RESULT_BYTES {
            results.push((key, offset..end, digest));
        }
        offset = end;
    }
    index.end()?;
    if offset.checked_add(tail.len() as u64) != Some(size) {
        return Err(Malformed("its index does not add up to its length"));
    }
    Ok(Index { packs, results })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An object, and the content of its index.
    pub(crate) fn sample() -> (Vec<u8>, Index) {
        let pack = |seq| PackName { base: Version(7), run: RunId(8), seq };
        let results = [(Digest::of(b"a"), Bytes::from_static(b"result a")), (Digest::of(b"b"), Bytes::new())];
        let bytes = encode(&results, &[(pack(3), 500), (pack(1), 7), (pack(3), 500)]).concat();
        let index = Index {
            packs: vec![(pack(1), 7), (pack(3), 500)],
            results: vec![
                (Digest::of(b"a"), 8..16, Digest::of(b"result a")),
                (Digest::of(b"b"), 16..16, Digest::of(b"")),
            ],
        };
        (bytes, index)
    }

    /// The digest in an object's footer made right, as far as there is one.
    pub(crate) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let footer = bytes.len().saturating_sub(FOOTER_LEN as usize);
        let index = index_len(&bytes).and_then(|len| usize::try_from(len).ok()).and_then(|len| footer.checked_sub(len));
        if let Some(index) = index {
            let digest = Digest::of(&bytes[index..footer]);
            bytes[footer + 8..footer + 8 + Digest::LEN].copy_from_slice(digest.as_bytes());
        }
        bytes
    }

    /// Reads the index of an object that is there as a whole.
    pub(crate) fn read(bytes: &[u8]) -> Option<Index> {
        let len = usize::try_from(index_len(bytes)?.checked_add(FOOTER_LEN)?).ok()?;
        read_index(&bytes[bytes.len().checked_sub(len)?..], bytes.len() as u64).ok()
    }

    #[test]
    fn an_index_is_read_as_it_was_written() {
        let (bytes, index) = sample();
        assert_eq!(read(&bytes), Some(index));
    }

    #[test]
    fn every_flip_outside_the_results_is_noticed() {
        let (bytes, _) = sample();
        for at in 16..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(read(&flipped), None, "byte {at} bit {bit}");
            }
        }
        for len in 0..bytes.len() {
            assert_eq!(read(&bytes[..len]), None, "{len} bytes");
            assert_eq!(read(&[&bytes[..], &bytes[..len]].concat()).filter(|_| len > 0), None);
        }
    }
}
