//! What a run has done so far, noted batch by batch, and kept for the next run in case this one does not get to its end.
//!
//! A result is noted under a digest of all that it depends on: the base, the task and its fingerprint, the content of
//! every layer the task can see, and what was in the batch. So a run finds just those results that its own batches would
//! have, whatever else has changed meanwhile; and by the same token what it finds is what it would have made.
//!
//! Notes wait in memory, then in a file without a name, for the next checkpoint: it uploads the packs that they refer to,
//! then writes them beside these. So a run that ends before its first checkpoint writes nothing of the kind.

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

/// Bytes of notes that are held in memory.
const MEMORY_BYTES: usize = 4 << 20;

/// Bytes of results that are written as one object.
const OBJECT_BYTES: usize = 16 << 20;

/// A result with more bytes is not noted: it would be held in memory as a whole.
pub(crate) const MAX_NOTE_BYTES: usize = 16 << 20;

/// How often a run keeps what it has done, so that the next one can go on from there if it is interrupted.
#[derive(Clone)]
pub struct Checkpoint {
    /// At least so long lies between two checkpoints, and before the first. Zero is after each batch; then even a small run
    /// asks what an earlier one has left.
    pub every: Duration,
    /// The time since some moment in the past.
    pub clock: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").field("every", &self.every).finish_non_exhaustive()
    }
}

/// The progress of a run.
pub(crate) struct Progress<'a> {
    store: deltic_store::CheckpointStore,
    base: &'a Snapshot,
    checkpoint: &'a Checkpoint,
    /// Whether the run compiles what a change can affect, and not everything because somebody said so.
    incremental: bool,
    observer: &'a dyn Observer,
    notes: Mutex<Notes>,
    /// Held by whoever writes.
    writing: Mutex<()>,
}

/// What was noted and is not kept yet.
struct Notes {
    file: SpooledTempFile,
    notes: Vec<Note>,
    /// When the last checkpoint began.
    since: Duration,
}

struct Note {
    key: Digest,
    len: usize,
    /// What it refers to.
    packs: Vec<PackName>,
}

impl Notes {
    fn new(since: Duration) -> Notes {
        Notes { file: SpooledTempFile::new(MEMORY_BYTES), notes: Vec::new(), since }
    }

    /// Where the file does not take it, nothing is noted any more: whatever came after half a result would be read as part of it.
    fn add(&mut self, key: Digest, result: &[u8], packs: Vec<PackName>) -> std::io::Result<()> {
        let written = self.file.write_all(result);
        match written {
            Ok(()) => self.notes.push(Note { key, len: result.len(), packs }),
            Err(_) => *self = Notes::new(self.since),
        }
        written
    }
}

impl<'a> Progress<'a> {
    pub(crate) fn new(
        draft: &Draft,
        base: &'a Snapshot,
        checkpoint: &'a Checkpoint,
        incremental: bool,
        observer: &'a dyn Observer,
    ) -> Progress<'a> {
        let notes = Mutex::new(Notes::new((checkpoint.clock)()));
        Progress {
            store: draft.checkpoints(),
            base,
            checkpoint,
            incremental,
            observer,
            notes,
            writing: Mutex::default(),
        }
    }

    /// What the results of a task depend on, besides what is in a batch.
    ///
    /// Whoever asks for everything to be compiled, or for everything that reads an input, may do so because of something
    /// that a run does not know of. So such a run takes over from its like only.
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

    /// What an earlier run has noted under a key.
    pub(crate) fn find(&self, key: &Digest) -> Option<Bytes> {
        self.store.find(key)
    }

    /// Whether even a small run asks what an earlier one has noted.
    pub(crate) fn asks_always(&self) -> bool {
        self.checkpoint.every.is_zero()
    }

    /// Whether a result of an earlier run may refer to a pack.
    pub(crate) fn may_refer_to(&self, pack: &PackName) -> bool {
        self.store.may_refer_to(pack)
    }

    /// Whether an earlier run is known to have noted something under a key: without looking for it.
    pub(crate) fn is_known(&self, key: impl FnOnce() -> Digest) -> bool {
        self.store.has_result(key)
    }

    /// Notes a result. When it is time for a checkpoint, the thread that finds out makes it.
    pub(crate) fn note(&self, key: Digest, result: &[u8], packs: Vec<PackName>) {
        if result.len() > MAX_NOTE_BYTES {
            return;
        }
        let mut notes = self.notes();
        if let Err(error) = notes.add(key, result, packs) {
            tracing::warn!(%error, "what was done can not be noted: an interrupted run would have to do it again");
            return;
        }
        let is_time = (self.checkpoint.clock)().saturating_sub(notes.since) >= self.checkpoint.every;
        drop(notes);
        if is_time && let Ok(writing) = self.writing.try_lock() {
            self.keep_noted(&writing);
        }
    }

    /// Keeps everything that was noted.
    pub(crate) fn keep(&self) {
        self.keep_noted(&self.writing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Removes what was kept, by this run and by those it took over from.
    pub(crate) fn remove(&self) {
        self.store.remove();
    }

    fn keep_noted(&self, _writing: &MutexGuard<'_, ()>) {
        let noted = {
            let mut notes = self.notes();
            let fresh = Notes::new((self.checkpoint.clock)());
            std::mem::replace(&mut *notes, fresh)
        };
        if noted.notes.is_empty() {
            return;
        }
        self.observer.event(&Event::Keeping { results: noted.notes.len() as u64 });
        // Nothing depends on it, so a failure only costs time if the run is interrupted.
        if let Err(error) = self.store.flush().map_err(Failed::from).and_then(|()| self.write(noted)) {
            tracing::warn!(%error, "what was done is not kept: an interrupted run would have to do it again");
        }
    }

    fn write(&self, mut noted: Notes) -> Result<(), Failed> {
        let stored = self.store.stored();
        noted.file.rewind()?;
        let mut object = Object::default();
        for Note { key, len, packs } in noted.notes {
            let mut result = vec![0; len];
            noted.file.read_exact(&mut result)?;
            // A pack that another worker was writing to just now is there next time.
            if !packs.iter().all(|pack| stored.contains_key(pack)) {
                self.notes().add(key, &result, packs)?;
                continue;
            }
            object.add(key, result, &packs, &stored);
            if object.bytes >= OBJECT_BYTES {
                std::mem::take(&mut object).write(&self.store)?;
            }
        }
        object.write(&self.store)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Why something could not be kept.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Store(#[from] deltic_store::Error),
    #[error("temporary files: {0}")]
    File(#[from] std::io::Error),
}
