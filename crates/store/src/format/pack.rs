//! The bytes of a pack: a header, blobs, and an index of them at the end.
//!
//! Trees refer to blobs by offset and never read the index. With the index a pack can be checked and its contents listed
//! without any tree. `docs/format.md` has the layout.

use bytes::Bytes;
use deltic_core::Digest;

use crate::format::entry::Codec;
use crate::format::varint::{self, Malformed, Reader};

/// What a pack begins with; the last byte is the format's version.
pub(crate) const HEADER: [u8; 8] = *b"DLTPACK\x01";
/// What a pack ends with.
const END: [u8; 8] = *b"\x01KCAPTLD";
/// Length of the index, its BLAKE3, and the end mark.
pub(crate) const FOOTER_LEN: usize = 8 + Digest::LEN + END.len();
/// The longest index that is read: that of about two million blobs.
pub(crate) const MAX_INDEX_BYTES: u64 = 64 << 20;
/// A pack whose index is as long as this is full, however short its blobs are.
pub(crate) const FULL_INDEX_BYTES: usize = 16 << 20;

/// What a blob in a pack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobKind {
    /// The bytes of a partition.
    Payload,
    /// A node of a tree.
    Node,
}

/// A blob as the index of its pack lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackBlob {
    /// What it is.
    pub kind: BlobKind,
    /// How it is coded.
    pub codec: Codec,
    /// Where it begins.
    pub offset: u64,
    /// Its length in the pack.
    pub stored: u64,
    /// The payload's or the node's digest.
    pub digest: Digest,
}

/// The index of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackIndex {
    /// The blobs in the order they lie.
    pub blobs: Vec<PackBlob>,
}

impl BlobKind {
    fn code(self) -> u8 {
        match self {
            BlobKind::Payload => 1,
            BlobKind::Node => 2,
        }
    }

    fn from_code(code: u8) -> Result<BlobKind, Malformed> {
        match code {
            1 => Ok(BlobKind::Payload),
            2 => Ok(BlobKind::Node),
            _ => Err(Malformed("its index names an unknown kind of blob")),
        }
    }
}

/// Collects the index while blobs are appended.
#[derive(Debug, Default)]
pub(crate) struct IndexWriter(Vec<u8>);

impl IndexWriter {
    pub(crate) fn add(&mut self, kind: BlobKind, codec: Codec, stored: u64, digest: &Digest) {
        self.0.extend_from_slice(&[kind.code(), codec.code()]);
        varint::put(&mut self.0, stored);
        self.0.extend_from_slice(digest.as_bytes());
    }

    /// Bytes of index and footer so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len() + FOOTER_LEN
    }

    /// The index and the footer: everything after the last blob.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut bytes = self.0;
        let (len, digest) = (bytes.len() as u64, Digest::of(&bytes));
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(digest.as_bytes());
        bytes.extend_from_slice(&END);
        bytes
    }
}

impl PackIndex {
    /// Reads the index of a whole pack: header, footer, index, and that the blobs fill the pack exactly.
    #[cfg(test)]
    pub(crate) fn read(pack: &[u8]) -> Result<PackIndex, Malformed> {
        let body = pack.strip_prefix(&HEADER).ok_or(Malformed("it does not begin as a pack"))?;
        if body.len() < FOOTER_LEN {
            return Err(Malformed("it is too short to be a pack"));
        }
        let len = PackIndex::index_len(body).ok_or(Malformed("it does not end as a pack"))?;
        let start = usize::try_from(len).ok().and_then(|len| (body.len() - FOOTER_LEN).checked_sub(len));
        let (blobs, tail) = body.split_at(start.ok_or(Malformed("its index is longer than the pack"))?);
        PackIndex::read_ends(&HEADER, blobs.len() as u64, tail)
    }

    /// The length of the index, without footer, from the last bytes of a pack; none when no pack ends like this.
    pub(crate) fn index_len(tail: &[u8]) -> Option<u64> {
        let (_, footer) = tail.split_last_chunk::<FOOTER_LEN>()?;
        footer.ends_with(&END).then(|| Reader(footer).array().ok().map(u64::from_le_bytes))?
    }

    /// Reads the index of a pack from its header and its tail (index and footer). `blobs` is the number of bytes between them.
    pub(crate) fn read_ends(header: &[u8], blobs: u64, tail: &[u8]) -> Result<PackIndex, Malformed> {
        if *header != HEADER {
            return Err(Malformed("it does not begin as a pack"));
        }
        let (index, footer) = tail.split_last_chunk::<FOOTER_LEN>().ok_or(Malformed("it is too short to be a pack"))?;
        let mut footer = Reader(footer);
        let _len: [u8; 8] = footer.array()?;
        let digest = Digest::from_bytes(footer.array()?);
        if Digest::of(index) != digest {
            return Err(Malformed("its index does not match the digest in its footer"));
        }
        let mut index = Reader(index);
        let mut list = Vec::new();
        let mut offset = HEADER.len() as u64;
        while !index.0.is_empty() {
            let kind = BlobKind::from_code(index.byte()?)?;
            let codec = Codec::from_code(index.byte()?)?;
            let stored = index.number()?;
            let digest = Digest::from_bytes(index.array()?);
            list.push(PackBlob { kind, codec, offset, stored, digest });
            offset = offset.checked_add(stored).ok_or(Malformed("its index does not add up"))?;
        }
        if Some(offset) != (HEADER.len() as u64).checked_add(blobs) {
            return Err(Malformed("its index does not add up to its length"));
        }
        Ok(PackIndex { blobs: list })
    }
}

/// The parts of a pack that holds one payload.
pub(crate) fn single(payload: &Bytes, digest: &Digest) -> Vec<Bytes> {
    let mut index = IndexWriter::default();
    index.add(BlobKind::Payload, Codec::Raw, payload.len() as u64, digest);
    vec![Bytes::from_static(&HEADER), payload.clone(), Bytes::from(index.finish())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flip_outside_the_blobs_is_noticed() {
        let payload = Bytes::from_static(b"payload");
        let pack: Vec<u8> = single(&payload, &Digest::of(&payload)).concat();
        let index = PackIndex::read(&pack).unwrap();
        assert_eq!(index.blobs.len(), 1);
        assert_eq!((index.blobs[0].offset, index.blobs[0].stored), (8, 7));
        for at in (0..pack.len()).filter(|at| !(8..15).contains(at)) {
            for bit in 0..8 {
                let mut flipped = pack.clone();
                flipped[at] ^= 1 << bit;
                assert!(PackIndex::read(&flipped).is_err(), "byte {at} bit {bit}");
            }
        }
        for len in 0..pack.len() {
            assert!(PackIndex::read(&pack[..len]).is_err());
        }
    }
}
