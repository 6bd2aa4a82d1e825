//! The result of a batch as bytes, for checkpoints.
//!
//! Lengths are four little-endian bytes. Keys end with a zero byte. A decoded result takes at most 64 times the
//! length of its bytes, and 4 KiB, whatever the bytes are; reads of partitions with short names come close to that. Who
//! changes this form must change the digest that results are stored under, `deltic progress batch` in [`resume`](crate::checkpoint::resume).

use std::collections::BTreeSet;

use deltic_compiler::{Projected, Seen};
use deltic_core::Digest;
use deltic_store::{Entry, PackName, Place, read_entry, write_entry};

use crate::engine::{MapBatch, Mapped, Outcome, Reduced};
use crate::key::{InputKey, LayerIndex, OutputKey};
use crate::sort::rows::Rows;
use crate::state::read_keys::{ReadKind, asked};

const NOTHING: u8 = 0;
const SAME: u8 = 1;
const NEW: u8 = 2;
const SEVERAL: u8 = 3;

/// The results of front-ends; `None` if one failed, which is to be tried again.
pub(crate) fn write_mapped(batch: &MapBatch) -> Option<Vec<u8>> {
    if batch.mapped.iter().any(|mapped| mapped.failed.is_some()) {
        return None;
    }
    let mut out = Vec::with_capacity(batch.rows.bytes());
    put_len(batch.mapped.len(), &mut out);
    for Mapped { item, edges, reads, .. } in &batch.mapped {
        item.write(&mut out);
        put_len(edges.len(), &mut out);
        for (to, digest) in edges {
            to.write(&mut out);
            out.extend_from_slice(digest.as_bytes());
        }
        write_reads(reads, &mut out);
    }
    put_len(batch.rows.len(), &mut out);
    for row in batch.rows.iter() {
        for part in [row.out, row.item, row.value] {
            put_bytes(part, &mut out);
        }
    }
    Some(out)
}

/// Decodes it; `None` for other bytes.
pub(crate) fn read_mapped(mut bytes: &[u8]) -> Option<MapBatch> {
    let bytes = &mut bytes;
    let mapped = several(bytes, LEAST_OF_ONE, |bytes| {
        let item = InputKey::read(bytes)?;
        let edges = several(bytes, Digest::LEN, |bytes| Some((OutputKey::read(bytes)?, digest(bytes)?)))?;
        Some(Mapped { item, edges, reads: several(bytes, LEAST, read_seen)?, failed: None })
    })?;
    let mut rows = Rows::default();
    for _ in 0..len(bytes)? {
        let (out, item, value) = (short(bytes)?, short(bytes)?, part(bytes)?);
        rows.push(out, item, value);
    }
    bytes.is_empty().then_some(MapBatch { mapped, rows, rest: Vec::new() })
}

/// The results of back-ends; `None` if one failed or was held back, which is to be tried again.
pub(crate) fn write_reduced(batch: &[Reduced]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    put_len(batch.len(), &mut out);
    for Reduced { out: to, item, outcome, reads } in batch {
        to.write(&mut out);
        item.write(&mut out);
        match outcome {
            Outcome::Nothing => out.push(NOTHING),
            Outcome::Same => out.push(SAME),
            Outcome::New(entry) => {
                out.push(NEW);
                put_entry(entry, &mut out);
            }
            Outcome::Failed(_) | Outcome::Held => return None,
            Outcome::Several(made) => {
                out.push(SEVERAL);
                put_len(made.len(), &mut out);
                for (partition, entry) in made {
                    partition.write(&mut out);
                    match entry {
                        None => out.push(SAME),
                        Some(entry) => {
                            out.push(NEW);
                            put_entry(entry, &mut out);
                        }
                    }
                }
            }
        }
        write_reads(reads, &mut out);
    }
    Some(out)
}

/// Decodes it; `None` for other bytes.
pub(crate) fn read_reduced(mut bytes: &[u8]) -> Option<Vec<Reduced>> {
    let bytes = &mut bytes;
    let batch = several(bytes, LEAST_OF_ONE, |bytes| {
        let (out, item) = (OutputKey::read(bytes)?, InputKey::read(bytes)?);
        let outcome = match *bytes.split_off_first()? {
            NOTHING => Outcome::Nothing,
            SAME => Outcome::Same,
            NEW => Outcome::New(read_entry(part(bytes)?)?),
            SEVERAL => {
                let made = several(bytes, LEAST, |bytes| {
                    let partition = OutputKey::read(bytes)?;
                    let entry = match *bytes.split_off_first()? {
                        SAME => None,
                        NEW => Some(read_entry(part(bytes)?)?),
                        _ => return None,
                    };
                    Some((partition, entry))
                })?;
                Outcome::Several(made)
            }
            _ => return None,
        };
        Some(Reduced { out, item, outcome, reads: several(bytes, LEAST, read_seen)? })
    })?;
    bytes.is_empty().then_some(batch)
}

fn write_reads(reads: &[Seen], out: &mut Vec<u8>) {
    put_len(reads.len(), out);
    for seen in reads {
        let (kind, layer, name) = asked(seen);
        out.push(kind.tag());
        InputKey::new(layer, name.clone()).write(out);
        if let Seen::Part(_, _, Projected { projection, argument }, found) = seen {
            put_bytes(projection.as_bytes(), out);
            put_bytes(argument.as_bytes(), out);
            out.extend_from_slice(found.as_bytes());
        }
    }
}

fn read_seen(bytes: &mut &[u8]) -> Option<Seen> {
    let kind = ReadKind::of_tag(*bytes.split_off_first()?)?;
    let InputKey { layer: LayerIndex(layer), name, .. } = InputKey::read(bytes)?;
    Some(match kind {
        ReadKind::Partition => Seen::Partition(layer, name),
        ReadKind::Presence => Seen::Presence(layer, name),
        ReadKind::Within => Seen::Within(layer, name),
        ReadKind::Part => {
            let mut text = || String::from_utf8(part(bytes)?.to_vec()).ok();
            let (projection, argument) = (text()?, text()?);
            Seen::Part(layer, name, Projected { projection, argument }, digest(bytes)?)
        }
    })
}

/// The packs that outcomes refer to, each once, in order.
pub(crate) fn packs_of(batch: &[Reduced]) -> Vec<PackName> {
    let entries = batch.iter().flat_map(|reduced| match &reduced.outcome {
        Outcome::New(entry) => vec![entry],
        Outcome::Several(made) => made.iter().filter_map(|(_, entry)| entry.as_ref()).collect(),
        Outcome::Nothing | Outcome::Same | Outcome::Failed(_) | Outcome::Held => Vec::new(),
    });
    let packs: BTreeSet<PackName> = entries
        .filter_map(|entry| match entry.place {
            Place::Pack { pack, .. } => Some(pack),
            Place::Inline(_) => None,
        })
        .collect();
    packs.into_iter().collect()
}

fn put_entry(entry: &Entry, out: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    write_entry(entry, &mut bytes);
    put_bytes(&bytes, out);
}

fn put_len(len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(len as u32).to_le_bytes());
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_len(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// The fewest bytes of a key with another field.
const LEAST: usize = 4;

/// The fewest bytes of the result of a front- or back-end.
const LEAST_OF_ONE: usize = 11;

/// Decodes a number of items and the items, each of at least `least` bytes.
fn several<T>(bytes: &mut &[u8], least: usize, mut one: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let count = len(bytes)?;
    let mut all = Vec::with_capacity(count.min(bytes.len() / least));
    for _ in 0..count {
        all.push(one(bytes)?);
    }
    Some(all)
}

fn len(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*take(bytes)?)).ok()
}

fn part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = len(bytes)?;
    bytes.split_off(..len)
}

/// A key of a row, whose length fits into a row.
fn short<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    part(bytes).filter(|part| part.len() <= usize::from(u16::MAX))
}

/// Takes `N` bytes from the front; `None` if there are fewer.
fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(head)
}

fn digest(bytes: &mut &[u8]) -> Option<Digest> {
    Some(Digest::from_bytes(*take(bytes)?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use bytes::Bytes;
    use deltic_core::{Fields, Meta, RunId, Version};
    use deltic_store::Codec;

    fn input(layer: u16, name: &str) -> InputKey {
        InputKey::new(LayerIndex(layer), name.as_bytes())
    }

    fn output(layer: u16, name: &str) -> OutputKey {
        OutputKey::new(LayerIndex(layer), name.as_bytes())
    }

    fn reads() -> Vec<Seen> {
        let InputKey { layer: LayerIndex(layer), name, .. } = input(3, "read");
        let part = Projected { projection: "row".to_owned(), argument: "ä 7".to_owned() };
        vec![
            Seen::Partition(layer, name.clone()),
            Seen::Presence(layer, name.clone()),
            Seen::Within(layer, name.clone()),
            Seen::Part(layer, name, part, Digest::of(b"part")),
        ]
    }

    fn entry(seq: u32) -> Entry {
        let pack = PackName { base: Version(7), run: RunId(8), seq };
        let place = Place::Pack { pack, offset: 1 << 40, stored: 3, codec: Codec::Raw };
        Entry { meta: Meta { digest: Digest::of(b"abc"), len: 3, fields: Fields::default() }, place }
    }

    pub(crate) fn mapped() -> MapBatch {
        let mut rows = Rows::default();
        rows.push(b"out", b"item", b"value");
        rows.push(b"", b"i", b"");
        let edges = vec![(output(0, "x"), Digest::of(b"x")), (output(1, ""), Digest::of(b""))];
        let one = Mapped { item: input(1, "a"), edges, reads: reads(), failed: None };
        MapBatch {
            mapped: vec![one, Mapped { item: input(2, ""), edges: Vec::new(), reads: Vec::new(), failed: None }],
            rows,
            rest: Vec::new(),
        }
    }

    pub(crate) fn reduced() -> Vec<Reduced> {
        let inline = Entry { place: Place::Inline(Bytes::from_static(b"abc")), ..entry(0) };
        let several = vec![(output(0, "p"), None), (output(0, "q"), Some(entry(2))), (output(1, "r"), Some(inline))];
        let outcomes = [
            Outcome::Nothing,
            Outcome::Same,
            Outcome::New(entry(5)),
            Outcome::New(entry(2)),
            Outcome::Several(several),
        ];
        let one = |outcome| Reduced { out: output(0, "o"), item: input(9, "i"), outcome, reads: reads() };
        outcomes.into_iter().map(one).collect()
    }

    #[test]
    fn results_are_decoded_as_they_were_written() {
        let bytes = write_mapped(&mapped()).unwrap();
        assert_eq!(format!("{:?}", read_mapped(&bytes).unwrap()), format!("{:?}", mapped()));
        let bytes = write_reduced(&reduced()).unwrap();
        assert_eq!(format!("{:?}", read_reduced(&bytes).unwrap()), format!("{:?}", reduced()));
        assert_eq!(packs_of(&reduced()).iter().map(|pack| pack.seq).collect::<Vec<_>>(), [2, 5]);
    }

    /// Who changes the form must change the digest's name too (`deltic progress batch` in `resume.rs`), or a new driver decodes
    /// what an old one has stored. Then these digests change.
    #[test]
    fn the_form_belongs_to_its_key() {
        let digest = |bytes: &[u8]| Digest::of(bytes).short();
        let (mapped, reduced) = (write_mapped(&mapped()).unwrap(), write_reduced(&reduced()).unwrap());
        assert_eq!((digest(&mapped).as_str(), digest(&reduced).as_str()), ("f269fd4dfdd8", "ef1b5dc717cf"));
    }

    #[test]
    fn what_failed_is_not_recorded() {
        let failure = || {
            let task = deltic_core::TaskId::new("t").unwrap();
            let key = "k".to_owned();
            let (phase, message) = (crate::Phase::Back, "no".to_owned());
            Box::new(crate::Failure { task, phase, key, input: None, message })
        };
        let mut batch = mapped();
        batch.mapped[1].failed = Some(failure());
        assert!(write_mapped(&batch).is_none());
        for outcome in [Outcome::Failed(failure()), Outcome::Held] {
            let mut batch = reduced();
            batch[2].outcome = outcome;
            assert!(write_reduced(&batch).is_none());
        }
    }

    /// Whatever the bytes are, nothing panics.
    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        let (mapped, reduced) = (write_mapped(&mapped()).unwrap(), write_reduced(&reduced()).unwrap());
        for len in 0..mapped.len() {
            assert!(read_mapped(&mapped[..len]).is_none(), "{len}");
        }
        for len in 0..reduced.len() {
            assert!(read_reduced(&reduced[..len]).is_none(), "{len}");
        }
        assert!(read_mapped(&[&mapped[..], b"x"].concat()).is_none());
        assert!(read_reduced(&[&reduced[..], b"x"].concat()).is_none());
        for (at, byte) in (0..reduced.len()).flat_map(|at| [0, 1, 0x7f, 0xff].map(|byte| (at, byte))) {
            let mut other = reduced.clone();
            other[at] = byte;
            drop(read_reduced(&other));
            let mut other = mapped.clone();
            let at = at % other.len();
            other[at] = byte;
            drop(read_mapped(&other));
        }
    }
}
