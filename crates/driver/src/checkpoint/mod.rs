//! Checkpoints: the results of a run, recorded batch by batch, for the next run in case this one is interrupted.
//!
//! A result is stored under a digest of all that it depends on: the base, the task and its fingerprint, the content of
//! every layer that the task can read, and the content of the batch. So a run finds only results that its own batches
//! would have, whatever else has changed meanwhile.
//!
//! Results wait in memory, then in a file without a name, for the next checkpoint. It uploads the packs that they refer to,
//! and then the results: one that is found never refers to a pack that is not there. A run that ends before its first
//! checkpoint writes none.

pub(crate) mod codec;
pub(crate) mod resume;

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Seek, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use deltic_compiler::Task;
use deltic_core::{Digest, Hasher};
use deltic_store::{Draft, PackName, Snapshot, TaskRecord, Tree};
use tempfile::SpooledTempFile;

use crate::input::view::View;
use crate::report::observe::{Event, Observer};

/// The bytes of pending results that are held in memory.
const MEMORY_BYTES: usize = 4 << 20;

/// The bytes of results that are written as one object.
const OBJECT_BYTES: usize = 16 << 20;

/// The most bytes of a result that is recorded: all of it is held in memory.
pub(crate) const MAX_RESULT_BYTES: usize = 16 << 20;

/// How often a run makes a checkpoint, from which the next run goes on if this one is interrupted.
#[derive(Clone)]
pub struct Checkpoint {
    /// The least time between two checkpoints, and before the first. Zero makes one after each batch; then even a small run
    /// looks for the results of an interrupted one.
    pub every: Duration,
    /// A monotonic clock: the time that has passed since a fixed moment.
    pub clock: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").field("every", &self.every).finish_non_exhaustive()
    }
}

/// The checkpoints of a run.
pub(crate) struct Checkpoints<'a> {
    store: deltic_store::CheckpointStore,
    base: &'a Snapshot,
    checkpoint: &'a Checkpoint,
    /// Whether the run is incremental, and not in full by request.
    incremental: bool,
    observer: &'a dyn Observer,
    pending: Mutex<Pending>,
    /// Held by the thread that writes.
    writing: Mutex<()>,
}

/// Results that were recorded since the last checkpoint.
struct Pending {
    file: SpooledTempFile,
    results: Vec<PendingResult>,
    /// When the last checkpoint began.
    since: Duration,
}

struct PendingResult {
    key: Digest,
    len: usize,
    /// The packs that it refers to.
    packs: Vec<PackName>,
}

impl Pending {
    fn new(since: Duration) -> Pending {
        Pending { file: SpooledTempFile::new(MEMORY_BYTES), results: Vec::new(), since }
    }

    /// If the file fails, all pending results are dropped: the file may end within a result, and later ones would be read
    /// from the wrong place.
    fn add(&mut self, key: Digest, result: &[u8], packs: Vec<PackName>) -> std::io::Result<()> {
        let written = self.file.write_all(result);
        match written {
            Ok(()) => self.results.push(PendingResult { key, len: result.len(), packs }),
            Err(_) => *self = Pending::new(self.since),
        }
        written
    }
}

impl<'a> Checkpoints<'a> {
    pub(crate) fn new(
        draft: &Draft,
        base: &'a Snapshot,
        checkpoint: &'a Checkpoint,
        incremental: bool,
        observer: &'a dyn Observer,
    ) -> Checkpoints<'a> {
        let pending = Mutex::new(Pending::new((checkpoint.clock)()));
        let (store, writing) = (draft.checkpoints(), Mutex::default());
        Checkpoints { store, base, checkpoint, incremental, observer, pending, writing }
    }

    /// What the results of a task depend on, besides what is in a batch.
    ///
    /// A run in full by request, or with an input that is to be reprocessed, may have a cause that the driver does not know.
    /// So such a run uses only results of runs with the same request.
    pub(crate) fn key_of_task(
        &self,
        task: &Task,
        record: &TaskRecord,
        view: &View,
        published: &[Tree],
        is_reprocessed: bool,
    ) -> Digest {
        let mut hasher = Hasher::new("deltic progress 2");
        hasher.digest(&self.base.record_digest()).text(task.id().as_str()).digest(&record.fingerprint);
        hasher.number(u64::from(self.incremental)).number(u64::from(is_reprocessed));
        for (_, name, layer) in view.iter() {
            hasher.text(&name.to_string()).digest(&layer.now().digest());
        }
        for tree in published {
            hasher.digest(&tree.digest());
        }
        hasher.finish()
    }

    /// The result that an earlier run has stored under a key.
    pub(crate) fn find(&self, key: &Digest) -> Option<Bytes> {
        self.store.find(key)
    }

    /// Whether even a small run looks for results of an earlier one.
    pub(crate) fn always_looks(&self) -> bool {
        self.checkpoint.every.is_zero()
    }

    /// Whether a result of an earlier run may refer to a pack.
    pub(crate) fn may_refer_to(&self, pack: &PackName) -> bool {
        self.store.may_refer_to(pack)
    }

    /// Whether an earlier run is known to have stored a result under a key, without a request.
    pub(crate) fn is_known(&self, key: impl FnOnce() -> Digest) -> bool {
        self.store.has_result(key)
    }

    /// Records a result. If it is time for a checkpoint, this thread makes it.
    pub(crate) fn record(&self, key: Digest, result: &[u8], packs: Vec<PackName>) {
        if result.len() > MAX_RESULT_BYTES {
            return;
        }
        let mut pending = self.pending();
        if let Err(error) = pending.add(key, result, packs) {
            tracing::warn!(%error, "results can not be recorded: if this run is interrupted, the next one makes them again");
            return;
        }
        let is_time = (self.checkpoint.clock)().saturating_sub(pending.since) >= self.checkpoint.every;
        drop(pending);
        if is_time && let Ok(writing) = self.writing.try_lock() {
            self.write_pending(&writing);
        }
    }

    /// Makes a checkpoint of all recorded results.
    pub(crate) fn flush(&self) {
        self.write_pending(&self.writing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Removes the checkpoints of this run, and those that it has used.
    pub(crate) fn remove(&self) {
        self.store.remove();
    }

    fn write_pending(&self, _writing: &MutexGuard<'_, ()>) {
        let written = {
            let mut pending = self.pending();
            let fresh = Pending::new((self.checkpoint.clock)());
            std::mem::replace(&mut *pending, fresh)
        };
        if written.results.is_empty() {
            return;
        }
        self.observer.event(&Event::Checkpoint { results: written.results.len() as u64 });
        // The run goes on without it: a checkpoint that fails costs time only if the run is interrupted.
        if let Err(error) = self.store.flush().map_err(Failed::from).and_then(|()| self.write(written)) {
            tracing::warn!(%error, "the checkpoint failed: if this run is interrupted, the next one makes these results again");
        }
    }

    fn write(&self, mut written: Pending) -> Result<(), Failed> {
        let stored = self.store.stored();
        written.file.rewind()?;
        let mut object = Object::default();
        for PendingResult { key, len, packs } in written.results {
            let mut result = vec![0; len];
            written.file.read_exact(&mut result)?;
            // Another worker is still writing to a pack of it: the result waits for the next checkpoint.
            if !packs.iter().all(|pack| stored.contains_key(pack)) {
                self.pending().add(key, &result, packs)?;
                continue;
            }
            object.add(key, result, &packs, &stored);
            if object.bytes >= OBJECT_BYTES {
                std::mem::take(&mut object).write(&self.store)?;
            }
        }
        object.write(&self.store)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Results that are written together.
#[derive(Default)]
struct Object {
    results: Vec<(Digest, Bytes)>,
    bytes: usize,
    packs: Vec<(PackName, u64)>,
}

impl Object {
    fn add(&mut self, key: Digest, result: Vec<u8>, packs: &[PackName], stored: &HashMap<PackName, u64>) {
        self.bytes += result.len();
        self.results.push((key, result.into()));
        let lengths = packs.iter().filter_map(|pack| Some((*pack, *stored.get(pack)?)));
        self.packs.extend(lengths);
    }

    fn write(self, store: &deltic_store::CheckpointStore) -> Result<(), Failed> {
        if !self.results.is_empty() {
            store.write(&self.results, &self.packs)?;
        }
        Ok(())
    }
}

/// Why a checkpoint failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Store(#[from] deltic_store::Error),
    #[error("temporary files: {0}")]
    File(#[from] std::io::Error),
}
