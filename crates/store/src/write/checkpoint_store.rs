//! The checkpoints of a run: results that are kept beside the packs, so that a later run on the same base can reuse them if this
//! one is interrupted.
//!
//! An object of progress holds results, each under a key, and names the packs that they refer to. Only whoever wrote a result
//! understands its bytes. The object is written after those packs are uploaded. A run on the same base looks results up by key.
//! It may refer to packs of that base, since it commits on that base or not at all (rule G2 of [`gc`](crate::Catalog::gc)).
//!
//! Nothing depends on these objects. One that is damaged, cut short or gone is skipped. So is one with a pack that is missing or
//! has another length, and a result whose bytes do not match their digest.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use deltic_core::{Digest, RunId};

use crate::Result;
use crate::catalog::Catalog;
use crate::catalog::snapshot::Snapshot;
use crate::format::object_name::{ListedPack, ObjectName, PackName};
use crate::format::progress::{FOOTER_LEN, Index, encode, index_len, read_index};
use crate::packs::writer::PackWriter;

/// Bytes at the end of an object that are read first: more than most indexes have.
const TAIL_BYTES: u64 = 32 << 10;

/// Ends of objects that are read at once.
const TAILS_AHEAD: usize = 64;

/// The longest index that is read.
const MAX_INDEX_BYTES: u64 = 8 << 20;

/// The most results of earlier runs that are held, about 130 bytes for each: a result is a batch of up to 256 partitions. What is
/// beyond is done again.
const MOST_RESULTS: usize = 1 << 18;

/// The progress of one draft, and that of earlier ones on the same base. Outlives the draft.
pub struct Progress {
    catalog: Catalog,
    writer: Arc<PackWriter>,
    next: AtomicU32,
    /// What this run has written.
    written: Mutex<Vec<PackName>>,
    /// What earlier ones have left, once somebody has asked.
    earlier: OnceLock<Earlier>,
}

/// The results of other runs on the base.
#[derive(Default)]
struct Earlier {
    objects: Vec<PackName>,
    results: HashMap<Digest, Place>,
}

/// Where a result lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    object: PackName,
    offset: u64,
    len: u64,
    digest: Digest,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Progress(of run {} on {:?} version {})", self.writer.run, self.catalog, self.writer.base)
    }
}

impl Progress {
    pub(crate) fn new(base: &Snapshot, writer: Arc<PackWriter>) -> Progress {
        let catalog = base.catalog().clone();
        Progress { catalog, writer, next: AtomicU32::new(0), written: Mutex::default(), earlier: OnceLock::new() }
    }

    /// The run that it is the progress of.
    pub fn run(&self) -> RunId {
        self.writer.run
    }

    /// Uploads what was put so far, so that results can refer to it. Workers may go on meanwhile: what they are putting at
    /// this moment may be left out.
    pub fn settle(&self) -> Result<()> {
        self.writer.settle()
    }

    /// The packs of this run that are uploaded, with their lengths: all that results may refer to.
    pub fn stored(&self) -> HashMap<PackName, u64> {
        self.writer.stored()
    }

    /// Writes results, each under a key, and the packs that they refer to: one request.
    pub fn write(&self, results: &[(Digest, Bytes)], packs: &[(PackName, u64)]) -> Result<()> {
        let seq = self.next.fetch_add(1, Ordering::Relaxed);
        let name = PackName { base: self.writer.base, run: self.writer.run, seq };
        // Noted first: of a request that failed nobody knows what it did.
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        self.catalog.client().overwrite(&ObjectName::Progress(name), &encode(results, packs))
    }

    /// Whether an earlier run has left a result under a key, which is worked out only where there is any. Makes no request:
    /// false before the first [`Progress::find`].
    pub fn is_known(&self, key: impl FnOnce() -> Digest) -> bool {
        let earlier = self.earlier.get().filter(|earlier| !earlier.results.is_empty());
        earlier.is_some_and(|earlier| earlier.results.contains_key(&key()))
    }

    /// The result that an earlier run has left under a key; `None` where there is none that can be used.
    ///
    /// Cost: a request. The first time also a listing; and where there is progress another one, and a request for each of
    /// its objects.
    pub fn find(&self, key: &Digest) -> Option<Bytes> {
        let earlier = self.earlier.get_or_init(|| self.look().unwrap_or_else(|error| passed_over(&error)));
        let place = earlier.results.get(key)?;
        if place.len == 0 {
            // Stores refuse to read nothing.
            return Some(Bytes::new()).filter(|bytes| Digest::of(bytes) == place.digest);
        }
        let wanted = (ObjectName::Progress(place.object), place.offset..place.offset + place.len);
        match self.catalog.client().get_each(&[wanted]).pop()? {
            Ok(bytes) => Some(bytes).filter(|bytes| Digest::of(bytes) == place.digest),
            Err(error) => passed_over(&error),
        }
    }

    /// Whether a result that was found may refer to a pack: it is there at its full length, and an object that can be used
    /// names it. Makes no request.
    pub fn may_refer_to(&self, pack: &PackName) -> bool {
        self.writer.taken_over.contains(pack)
    }

    /// Removes what this run has written, and what it knows of earlier ones: the version is there, or is not needed. What
    /// can not be removed is left to the sweep.
    pub fn remove(&self) {
        let mut names = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        names.extend(self.earlier.get().into_iter().flat_map(|earlier| &earlier.objects));
        if let Err(error) = self.catalog.client().remove_progress(&names) {
            passed_over::<()>(&error);
        }
    }

    /// Looks for what other runs on the base have left.
    fn look(&self) -> Result<Earlier> {
        let (client, mut earlier) = (self.catalog.client(), Earlier::default());
        let bases = self.catalog.rules().bases_to_take_over(self.writer.base);
        let mut found = client.progress()?;
        found.retain(|object| object.name.run != self.writer.run);
        found.retain(|object| bases.contains(&object.name.base) && object.bytes >= FOOTER_LEN);
        if found.is_empty() {
            return Ok(earlier);
        }
        let packs: HashMap<PackName, u64> =
            client.packs_since(*bases.start())?.into_iter().map(|pack| (pack.name, pack.bytes)).collect();
        let tail = |object: &ListedPack| object.bytes.saturating_sub(TAIL_BYTES)..object.bytes;
        let tails = found.chunks(TAILS_AHEAD).flat_map(|batch| {
            let wanted = batch.iter().map(|object| (ObjectName::Progress(object.name), tail(object)));
            client.get_each(&wanted.collect::<Vec<_>>())
        });
        for (object, tail) in found.iter().zip(tails) {
            earlier.objects.push(object.name);
            let index = tail.and_then(|tail| self.index(object, tail));
            let index = index.unwrap_or_else(|error| passed_over(&error));
            let Some(Index { packs: needed, results }) = index else { continue };
            let usable = |(name, bytes): &(PackName, u64)| bases.contains(&name.base) && packs.get(name) == Some(bytes);
            if earlier.results.len() + results.len() > MOST_RESULTS {
                tracing::warn!(object = %object.name, "an earlier run has left more than is held: the rest is done again");
                continue;
            }
            if needed.iter().all(usable) {
                self.writer.taken_over.add_listed(needed.iter().map(|&(name, bytes)| ListedPack { name, bytes }));
                let place = |(key, range, digest): (Digest, Range<u64>, Digest)| {
                    let (offset, len) = (range.start, range.end - range.start);
                    (key, Place { object: object.name, offset, len, digest })
                };
                earlier.results.extend(results.into_iter().map(place));
            }
        }
        Ok(earlier)
    }

    /// Reads the index of an object from its last bytes, or asks for more of them.
    fn index(&self, object: &ListedPack, tail: Bytes) -> Result<Option<Index>> {
        let Some(len) = index_len(&tail).filter(|len| *len <= MAX_INDEX_BYTES.min(object.bytes - FOOTER_LEN)) else {
            return Ok(None);
        };
        let needed = len + FOOTER_LEN;
        let tail = if needed <= tail.len() as u64 {
            tail
        } else {
            let range = object.bytes - needed..object.bytes;
            self.catalog.client().get_ranges(&[(ObjectName::Progress(object.name), range)])?.concat().into()
        };
        let index = &tail[tail.len() - needed as usize..];
        Ok(read_index(index, object.bytes).inspect_err(|what| tracing::warn!(%what, "progress is passed over")).ok())
    }
}

/// Says that something is not used.
fn passed_over<T: Default>(error: &crate::Error) -> T {
    tracing::warn!(%error, "progress is passed over");
    T::default()
}
