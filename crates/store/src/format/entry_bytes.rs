//! An entry as bytes, for what goes from thread to thread, from process to process, or into a checkpoint.
//!
//! Nodes have entries in columns, and no catalog depends on these bytes: `docs/format.md` does not describe them.

use bytes::Bytes;
use deltic_core::{Digest, Fields, Meta, RunId, Version};

use crate::format::entry::{Codec, Entry, Place};
use crate::format::object_name::PackName;

const INLINE: u8 = 0;
const PACK_RAW: u8 = 1;
const PACK_ZSTD: u8 = 2;

/// Appends an entry: digest, length, fields with their length, then where the payload lies.
pub fn write_entry(entry: &Entry, out: &mut Vec<u8>) {
    let Entry { meta, place } = entry;
    out.extend_from_slice(meta.digest.as_bytes());
    out.extend_from_slice(&meta.len.to_le_bytes());
    let fields = meta.fields.as_str().as_bytes();
    out.extend_from_slice(&(fields.len() as u16).to_le_bytes());
    out.extend_from_slice(fields);
    match place {
        Place::Inline(bytes) => {
            out.push(INLINE);
            out.extend_from_slice(bytes);
        }
        Place::Pack { pack, offset, stored, codec } => {
            out.push(if *codec == Codec::Zstd { PACK_ZSTD } else { PACK_RAW });
            for number in [pack.base.0, pack.run.0, u64::from(pack.seq), *offset, *stored] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }
}

/// The part of an entry's bytes that says what it is, without where the payload lies; all of them for anything else.
pub fn meta_of_entry(bytes: &[u8]) -> &[u8] {
    const FIELDS: usize = Digest::LEN + 8;
    let fields = bytes.get(FIELDS..).and_then(|rest| rest.first_chunk());
    let end = fields.map(|len| FIELDS + 2 + usize::from(u16::from_le_bytes(*len)));
    end.and_then(|end| bytes.get(..end)).unwrap_or(bytes)
}

/// The length of an entry's payload; 0 for anything else.
pub fn entry_len(bytes: &[u8]) -> u64 {
    bytes.get(Digest::LEN..).and_then(|rest| rest.first_chunk()).map_or(0, |len| u64::from_le_bytes(*len))
}

/// Reads an entry that takes all of `bytes`; `None` for anything else. Memory: at most twice their length and 8 KiB.
pub fn read_entry(mut bytes: &[u8]) -> Option<Entry> {
    let bytes = &mut bytes;
    let digest = Digest::from_bytes(*take(bytes)?);
    let len = u64::from_le_bytes(*take(bytes)?);
    let fields = u16::from_le_bytes(*take(bytes)?) as usize;
    let fields = Fields::from_canonical(bytes.split_off(..fields)?).ok()?;
    let [kind] = *take(bytes)?;
    let place = match kind {
        INLINE => Place::Inline(Bytes::copy_from_slice(bytes)),
        PACK_RAW | PACK_ZSTD => {
            let mut number = || take(bytes).map(|bytes| u64::from_le_bytes(*bytes));
            let (base, run, seq) = (Version(number()?), RunId(number()?), u32::try_from(number()?).ok()?);
            let (offset, stored) = (number()?, number()?);
            let codec = if kind == PACK_ZSTD { Codec::Zstd } else { Codec::Raw };
            if !bytes.is_empty() {
                return None;
            }
            Place::Pack { pack: PackName { base, run, seq }, offset, stored, codec }
        }
        _ => return None,
    };
    Some(Entry { meta: Meta { digest, len, fields }, place })
}

/// Takes `N` bytes from the front; `None` if there are fewer.
fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry with fields for each kind of place.
    fn entries() -> [Entry; 3] {
        let mut fields = Fields::default();
        fields.set("a", "b").unwrap();
        let pack = PackName { base: Version(7), run: RunId(8), seq: 9 };
        let places = [
            Place::Inline(Bytes::from_static(b"abc")),
            Place::Pack { pack, offset: 1 << 40, stored: 3, codec: Codec::Raw },
            Place::Pack { pack, offset: 0, stored: 2, codec: Codec::Zstd },
        ];
        let meta = Meta { digest: Digest::of(b"abc"), len: 3, fields };
        places.map(|place| Entry { meta: meta.clone(), place })
    }

    #[test]
    fn entries_survive() {
        for Entry { meta, place } in entries() {
            for fields in [&meta.fields, &Fields::default()] {
                let meta = Meta { fields: fields.clone(), ..meta };
                let entry = Entry { meta, place: place.clone() };
                let mut bytes = Vec::new();
                write_entry(&entry, &mut bytes);
                assert_eq!((read_entry(&bytes), entry_len(&bytes)), (Some(entry), 3));
                assert_eq!(read_entry(&bytes[..40]), None);
                let other = Entry { place: Place::Inline(Bytes::new()), ..read_entry(&bytes).unwrap() };
                let mut elsewhere = Vec::new();
                write_entry(&other, &mut elsewhere);
                assert_eq!(meta_of_entry(&bytes), meta_of_entry(&elsewhere));
                assert_eq!(meta_of_entry(&bytes).len(), 42 + fields.as_str().len());
                if matches!(place, Place::Pack { .. }) {
                    bytes.push(0);
                    assert_eq!(read_entry(&bytes), None, "it takes all of them");
                }
            }
        }
    }
}
