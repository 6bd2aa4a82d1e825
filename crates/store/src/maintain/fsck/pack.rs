//! Checks the packs that retained versions need: that each exists and is whole, that its index lists what trees refer to, and, if
//! asked for, the bytes of its payloads.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;

use super::findings::{Bad, Findings, Referred, reason};
use crate::catalog::Catalog;
use crate::format::entry::Codec;
use crate::format::object_name::ListedPack;
use crate::format::object_name::{ObjectName, PackName};
use crate::format::pack::{BlobKind, PackBlob, PackIndex};
use crate::{Error, Result};

/// Bytes of a pack that are read at once.
const PIECE_BYTES: u64 = 8 << 20;

pub(super) fn check(catalog: &Catalog, payloads: bool, findings: &mut Findings) -> Result<()> {
    let lengths: BTreeMap<PackName, u64> =
        catalog.client().packs()?.into_iter().map(|pack| (pack.name, pack.bytes)).collect();
    for (pack, referred) in std::mem::take(&mut findings.referred) {
        let object = ObjectName::Pack(pack);
        let Some(bytes) = lengths.get(&pack) else {
            findings.damaged(Bad::Pack(pack), &object, "the object is missing, but other objects refer to it");
            continue;
        };
        findings.checked.packs.add(&ListedPack { name: pack, bytes: *bytes });
        let index = match catalog.pack_index(pack, *bytes) {
            Ok(index) => index,
            Err(error) => {
                // A pack without a readable index can still be read: go by the references, and compare the bytes.
                findings.damaged(Bad::Other, &object, reason(&error)?);
                PackIndex { blobs: referred.iter().map(|(offset, one)| one.blob(*offset)).collect() }
            }
        };
        let listed: BTreeMap<u64, &PackBlob> = index.blobs.iter().map(|blob| (blob.offset, blob)).collect();
        let mut window = Window { catalog, pack, size: *bytes, start: 0, bytes: Bytes::new() };
        for (offset, one) in &referred {
            if listed.get(offset).is_none_or(|blob| **blob != one.blob(*offset)) {
                let what = "its index does not list blobs as they are referred to";
                findings.damaged(Bad::Blob(pack, *offset), &object, what);
            }
            if one.node || !payloads {
                continue;
            }
            findings.checked.payloads += 1;
            let mut checked = payload(&mut window, one, *offset);
            if let Err(error) = &checked
                && catalog.client().should_reread(error)
            {
                window.bytes = Bytes::new();
                checked = payload(&mut window, one, *offset);
            }
            if let Err(error) = checked {
                findings.damaged(Bad::Blob(pack, *offset), &object, reason(&error)?);
            }
        }
    }
    Ok(())
}

impl Referred {
    fn blob(&self, offset: u64) -> PackBlob {
        let kind = if self.node { BlobKind::Node } else { BlobKind::Payload };
        PackBlob { kind, codec: self.codec, offset, stored: self.stored, digest: self.digest }
    }
}

/// Compares a payload's bytes with its length and digest.
fn payload(window: &mut Window<'_>, one: &Referred, offset: u64) -> Result<()> {
    let (catalog, object) = (window.catalog, ObjectName::Pack(window.pack));
    let pieces = Pieces { window, next: offset, end: offset.saturating_add(one.stored) };
    let mut hasher = blake3::Hasher::new();
    // One byte more than the payload has: so a longer one is noticed.
    let most = one.len.saturating_add(1);
    let hashed = match one.codec {
        Codec::Raw => hasher.update_reader(pieces.take(most)).map(|_| ()),
        Codec::Zstd => zstd::stream::read::Decoder::new(pieces)
            .and_then(|pieces| hasher.update_reader(pieces.take(most)).map(|_| ())),
    };
    // An error of the store passes unchanged; an error of zstd is about the payload.
    if let Err(Ok(error)) = hashed.map_err(std::io::Error::downcast::<Error>) {
        return Err(error);
    }
    if hasher.count() == one.len && hasher.finalize().as_bytes() == one.digest.as_bytes() {
        return Ok(());
    }
    Err(Error::corrupt(catalog.url(), object, "bytes of payloads do not match their digests"))
}

/// Reads a pack from its beginning to its end, so that blobs side by side share a request.
struct Window<'a> {
    catalog: &'a Catalog,
    pack: PackName,
    size: u64,
    start: u64,
    bytes: Bytes,
}

/// The stored bytes of a blob.
struct Pieces<'a, 'b> {
    window: &'b mut Window<'a>,
    next: u64,
    end: u64,
}

impl Read for Pieces<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let window = &mut *self.window;
        if self.next >= self.end {
            return Ok(0);
        }
        let within = window.start..window.start + window.bytes.len() as u64;
        if !within.contains(&self.next) {
            // A blob that reaches beyond the pack is requested all the same: the answer is the error.
            let end = self.next.saturating_add(PIECE_BYTES).min(window.size.max(self.end));
            let wanted = [(ObjectName::Pack(window.pack), self.next..end)];
            let mut bodies = window.catalog.client().get_ranges(&wanted)?;
            (window.start, window.bytes) = (self.next, bodies.pop().unwrap_or_default());
        }
        let bytes = &window.bytes[(self.next - window.start) as usize..];
        let taken = bytes.len().min(buffer.len()).min((self.end - self.next) as usize);
        buffer[..taken].copy_from_slice(&bytes[..taken]);
        self.next += taken as u64;
        Ok(taken)
    }
}
