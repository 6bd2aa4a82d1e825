//! The checkpoints of a run: results that are stored beside the packs, so that a later run on the same base can reuse them if this
//! one is interrupted.
//!
//! A checkpoint object holds results, each under a key, and names the packs that they refer to. Only the code that wrote a result
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

/// How many ends of objects are read at once.
const TAILS_AHEAD: usize = 64;

/// The longest index that is read.
const MAX_INDEX_BYTES: u64 = 8 << 20;

/// The most results of earlier runs that are held, about 130 bytes for each: a result is a batch of up to 256 partitions. The work of
/// further results is done again.
const MAX_RESULTS: usize = 1 << 18;

/// The checkpoints of one draft, and those of earlier drafts on the same base. Outlives the draft.
pub struct CheckpointStore {
    catalog: Catalog,
    writer: Arc<PackWriter>,
    next: AtomicU32,
    /// What this run has written.
    written: Mutex<Vec<PackName>>,
    /// What earlier runs have left, after the first look-up.
    earlier: OnceLock<Earlier>,
}

/// The results of other runs on the base.
#[derive(Default)]
struct Earlier {
    objects: Vec<PackName>,
    results: HashMap<Digest, ResultPlace>,
}

/// Where a result lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ResultPlace {
    object: PackName,
    offset: u64,
    len: u64,
    digest: Digest,
}

impl std::fmt::Debug for CheckpointStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CheckpointStore(of run {} on {:?} version {})", self.writer.run, self.catalog, self.writer.base)
    }
}

impl CheckpointStore {
    pub(crate) fn new(base: &Snapshot, writer: Arc<PackWriter>) -> CheckpointStore {
        let catalog = base.catalog().clone();
        CheckpointStore {
            catalog,
            writer,
            next: AtomicU32::new(0),
            written: Mutex::default(),
            earlier: OnceLock::new(),
        }
    }

    /// The run that writes these checkpoints.
    pub fn run(&self) -> RunId {
        self.writer.run
    }

    /// Uploads what was put so far, so that results can refer to it. Workers may go on meanwhile: what they are putting at this
    /// moment may not be uploaded.
    pub fn flush(&self) -> Result<()> {
        self.writer.upload_open()
    }

    /// The packs of this run that are uploaded, with their lengths. Results may refer to these only.
    pub fn stored(&self) -> HashMap<PackName, u64> {
        self.writer.stored()
    }

    /// Writes results, each under a key, and the packs that they refer to: one request. The packs must be uploaded already: see
    /// [`CheckpointStore::stored`].
    ///
    /// Errors: the store did not answer or refused. The object may exist all the same; [`CheckpointStore::remove`] removes it too.
    pub fn write(&self, results: &[(Digest, Bytes)], packs: &[(PackName, u64)]) -> Result<()> {
        let seq = self.next.fetch_add(1, Ordering::Relaxed);
        let name = PackName { base: self.writer.base, run: self.writer.run, seq };
        // Remember the name first: a failed request may have written the object all the same.
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        self.catalog.client().overwrite(&ObjectName::Progress(name), &encode(results, packs))
    }

    /// Whether an earlier run has left a result under a key. Calls `key` only where there are results at all. Makes no request: false
    /// before the first [`CheckpointStore::find`].
    pub fn has_result(&self, key: impl FnOnce() -> Digest) -> bool {
        let earlier = self.earlier.get().filter(|earlier| !earlier.results.is_empty());
        earlier.is_some_and(|earlier| earlier.results.contains_key(&key()))
    }

    /// The result that an earlier run has left under a key; `None` where there is none that can be used.
    ///
    /// Cost: a request. The first call also makes a listing, and where there are checkpoint objects a second listing and a request
    /// for each of them.
    pub fn find(&self, key: &Digest) -> Option<Bytes> {
        let earlier = self.earlier.get_or_init(|| self.look().unwrap_or_else(|error| skip(&error)));
        let place = earlier.results.get(key)?;
        if place.len == 0 {
            // Stores refuse to read an empty range.
            return Some(Bytes::new()).filter(|bytes| Digest::of(bytes) == place.digest);
        }
        let wanted = (ObjectName::Progress(place.object), place.offset..place.offset + place.len);
        match self.catalog.client().get_each(&[wanted]).pop()? {
            Ok(bytes) => Some(bytes).filter(|bytes| Digest::of(bytes) == place.digest),
            Err(error) => skip(&error),
        }
    }

    /// Whether a result that was found may refer to a pack: a usable checkpoint object names the pack, and it exists at
    /// its full length. Makes no request.
    pub fn may_refer_to(&self, pack: &PackName) -> bool {
        self.writer.taken_over.contains(pack)
    }

    /// Removes the checkpoints of this run, and those of earlier runs that it has found. Call it when the version exists, or is not
    /// needed. The sweep removes what this call can not: a
    /// failure is logged and is no error. Cost: a request for each checkpoint object, or for many at once where the store can.
    pub fn remove(&self) {
        let mut names = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        names.extend(self.earlier.get().into_iter().flat_map(|earlier| &earlier.objects));
        if let Err(error) = self.catalog.client().remove_progress(&names) {
            skip::<()>(&error);
        }
    }

    /// Finds the checkpoints of other runs on the base.
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
            let index = index.unwrap_or_else(|error| skip(&error));
            let Some(Index { packs: needed, results }) = index else { continue };
            // A pack that is missing or has another length is damaged: a version that refers to it could not be read.
            let usable = |(name, bytes): &(PackName, u64)| bases.contains(&name.base) && packs.get(name) == Some(bytes);
            if earlier.results.len() + results.len() > MAX_RESULTS {
                tracing::warn!(object = %object.name, "earlier runs have left more results than are held: the rest is done again");
                continue;
            }
            if needed.iter().all(usable) {
                self.writer.taken_over.add_listed(needed.iter().map(|&(name, bytes)| ListedPack { name, bytes }));
                let place = |(key, range, digest): (Digest, Range<u64>, Digest)| {
                    let (offset, len) = (range.start, range.end - range.start);
                    (key, ResultPlace { object: object.name, offset, len, digest })
                };
                earlier.results.extend(results.into_iter().map(place));
            }
        }
        Ok(earlier)
    }

    /// Decodes the index of an object from its last bytes. Reads more of them where the index is longer.
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
        Ok(read_index(index, object.bytes)
            .inspect_err(|what| tracing::warn!(%what, "a checkpoint is skipped: its work is done again"))
            .ok())
    }
}

/// Logs that a checkpoint is not used.
fn skip<T: Default>(error: &crate::Error) -> T {
    tracing::warn!(%error, "a checkpoint is skipped: its work is done again");
    T::default()
}
