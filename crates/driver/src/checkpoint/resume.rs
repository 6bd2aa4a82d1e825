//! A kernel that records its results, and resumes from the results of an interrupted run.
//!
//! It is between the engine and the task's kernel, and works on whole batches. Batches are cut alike in each run, so most of
//! them are found, and one that is not found is run. Groups that come as a stream are always run, and batches with a
//! failure are not recorded.

use std::sync::atomic::{AtomicU64, Ordering};

use deltic_compiler::Pattern;
use deltic_core::{Digest, Hasher};
use deltic_store::meta_of_entry;

use crate::Result;
use crate::checkpoint::codec::{packs_of, read_mapped, read_reduced, write_mapped, write_reduced};
use crate::checkpoint::{Checkpoints, MAX_RESULT_BYTES};
use crate::engine::kernel::{TaskKernel, pieces};
use crate::engine::{Fetch, Item, Kernel, MapBatch, Mapped, Reduced};
use crate::report::Counts;
use crate::sort::rows::{Row, RowStream, Rows};

/// The number of inputs or outputs of a stage that run before the store is asked for earlier results. Results that no run
/// would ask for are not recorded either. So a small run, which is quickly repeated, makes no requests for checkpoints.
const NOT_ASKED: u64 = 64;

const FRONTS: u64 = 1;
const BACKS: u64 = 2;

/// The checkpoints of a run, for one stage.
pub(crate) struct StageCheckpoint<'a> {
    pub(crate) checkpoints: &'a Checkpoints<'a>,
    /// The digest of what all of its results depend on.
    pub(crate) key: Digest,
}

impl StageCheckpoint<'_> {
    /// Decodes results of back-ends; `None` if they refer to packs that their object does not list.
    fn usable(&self, found: &[u8]) -> Option<Vec<Reduced>> {
        let found = read_reduced(found)?;
        let usable = packs_of(&found).iter().all(|pack| self.checkpoints.may_refer_to(pack));
        usable.then_some(found)
    }
}

/// The kernel of a task, with checkpoints if the run makes them.
pub(crate) struct Resuming<'a> {
    kernel: &'a TaskKernel<'a>,
    checkpoint: Option<&'a StageCheckpoint<'a>>,
    fronts: Half,
    backs: Half,
}

/// What front-ends, or back-ends, have counted.
#[derive(Default)]
struct Half {
    batches: AtomicU64,
    keys: AtomicU64,
    /// Keys whose results were found.
    resumed: AtomicU64,
}

impl Half {
    /// Counts a batch; returns whether to look for its result, and to record it.
    fn looks(&self, checkpoint: &StageCheckpoint<'_>, keys: usize) -> bool {
        let batches = self.batches.fetch_add(1, Ordering::Relaxed);
        let before = self.keys.fetch_add(keys as u64, Ordering::Relaxed);
        batches > 0 || checkpoint.checkpoints.always_looks() || before + keys as u64 > NOT_ASKED
    }

    fn resume(&self, keys: usize) {
        self.resumed.fetch_add(keys as u64, Ordering::Relaxed);
    }
}

impl<'a> Resuming<'a> {
    pub(crate) fn new(kernel: &'a TaskKernel<'a>, checkpoint: Option<&'a StageCheckpoint<'a>>) -> Resuming<'a> {
        Resuming { kernel, checkpoint, fronts: Half::default(), backs: Half::default() }
    }

    /// Counts what was resumed, and not as compiled.
    pub(crate) fn count(&self, counts: &mut Counts) {
        counts.fronts_resumed = self.fronts.resumed.load(Ordering::Relaxed);
        counts.resumed = self.backs.resumed.load(Ordering::Relaxed);
        counts.compiled = counts.compiled.saturating_sub(counts.resumed);
    }

    /// The checkpoint for front-ends. Those of direct tasks need keys alone, and are faster to run than to find.
    fn of_fronts(&self) -> Option<&'a StageCheckpoint<'a>> {
        self.checkpoint.filter(|_| matches!(self.kernel.task.pattern(), Pattern::Group(_)))
    }

    /// The checkpoint for back-ends. None once a front-end has failed: then their results depend on more than their rows.
    fn of_backs(&self) -> Option<&'a StageCheckpoint<'a>> {
        self.checkpoint.filter(|_| !self.kernel.holds_any())
    }

    /// The digest of what the results of back-ends depend on: their rows, but not the places of the payloads that these refer to.
    fn key_of_rows(&self, checkpoint: &StageCheckpoint<'_>, rows: &Rows) -> Digest {
        let refers_to_input = matches!(self.kernel.task.pattern(), Pattern::Direct { .. } | Pattern::IncrementalDep(_));
        let mut hasher = checkpoint.hasher(BACKS);
        for row in rows.iter() {
            let value = if refers_to_input { meta_of_entry(row.value) } else { row.value };
            hasher.bytes(row.out).bytes(row.item).bytes(value);
        }
        hasher.finish()
    }
}

impl StageCheckpoint<'_> {
    fn hasher(&self, phase: u64) -> Hasher {
        let mut hasher = Hasher::new("deltic progress batch 1");
        hasher.digest(&self.key).number(phase);
        hasher
    }

    /// The digest of what the results of front-ends depend on.
    fn key_of_items(&self, items: &[Item]) -> Digest {
        let mut hasher = self.hasher(FRONTS);
        for Item { key, entry } in items {
            hasher.number(u64::from(key.layer.0)).bytes(&key.name).digest(&entry.meta.digest);
            hasher.number(entry.meta.len).text(entry.meta.fields.as_str());
        }
        hasher.finish()
    }
}

/// Whether these are the results of the first of these items, in order. They may be fewer, if they emitted enough.
fn are_first(mapped: &[Mapped], items: &[Item]) -> bool {
    let same = |(mapped, item): (&Mapped, &Item)| mapped.item == item.key;
    !mapped.is_empty() && mapped.len() <= items.len() && mapped.iter().zip(items).all(same)
}

/// Whether these are the results of exactly these outputs, in order.
fn are_of(reduced: &[Reduced], rows: &Rows) -> bool {
    let mut outs: Vec<&[u8]> = rows.iter().map(|row| row.out).collect();
    outs.dedup();
    outs.len() == reduced.len() && outs.iter().zip(reduced).all(|(out, reduced)| *reduced.out.to_bytes() == **out)
}

fn groups(rows: &Rows) -> usize {
    let mut last: Option<&[u8]> = None;
    rows.iter().filter(|row| last.replace(row.out) != Some(row.out)).count()
}

impl Kernel for Resuming<'_> {
    fn is_remote(&self) -> bool {
        self.kernel.is_remote()
    }

    fn go_on(&self) -> Result<()> {
        self.kernel.go_on()
    }

    fn give_up(&self) {
        self.kernel.give_up();
    }

    fn begin_map(&self, items: &[Item]) -> Result<Fetch> {
        match self.of_fronts() {
            Some(checkpoint) if checkpoint.checkpoints.is_known(|| checkpoint.key_of_items(items)) => {
                Ok(Fetch::default())
            }
            _ => self.kernel.begin_map(items),
        }
    }

    fn map(&self, items: Vec<Item>, fetch: Fetch) -> Result<MapBatch> {
        let Some(checkpoint) = self.of_fronts() else { return self.kernel.map(items, fetch) };
        if !self.fronts.looks(checkpoint, items.len()) {
            return self.kernel.map(items, fetch);
        }
        let key = checkpoint.key_of_items(&items);
        let found = checkpoint.checkpoints.find(&key).and_then(|found| read_mapped(&found));
        if let Some(mut batch) = found.filter(|found| are_first(&found.mapped, &items)) {
            let taken = batch.mapped.len();
            self.fronts.resume(taken);
            batch.rest = pieces(items.into_iter().skip(taken).collect(), None, taken);
            return Ok(batch);
        }
        let batch = self.kernel.map(items, fetch)?;
        if batch.weight() <= MAX_RESULT_BYTES as u64
            && let Some(result) = write_mapped(&batch)
        {
            checkpoint.checkpoints.record(key, &result, Vec::new());
        }
        Ok(batch)
    }

    fn begin_reduce(&self, rows: &Rows) -> Result<Fetch> {
        match self.of_backs() {
            Some(checkpoint) if checkpoint.checkpoints.is_known(|| self.key_of_rows(checkpoint, rows)) => {
                Ok(Fetch::default())
            }
            _ => self.kernel.begin_reduce(rows),
        }
    }

    fn weight(&self, row: Row<'_>) -> u64 {
        self.kernel.weight(row)
    }

    fn reduce(&self, rows: &mut dyn RowStream, fetch: Fetch) -> Result<Vec<Reduced>> {
        let (Some(checkpoint), Some(batch)) = (self.of_backs(), rows.in_memory()) else {
            return self.kernel.reduce(rows, fetch);
        };
        if !self.backs.looks(checkpoint, groups(batch)) {
            return self.kernel.reduce(rows, fetch);
        }
        let key = self.key_of_rows(checkpoint, batch);
        let found = checkpoint.checkpoints.find(&key).and_then(|found| checkpoint.usable(&found));
        if let Some(reduced) = found.filter(|found| are_of(found, batch)) {
            self.backs.resume(reduced.len());
            return Ok(reduced);
        }
        let reduced = self.kernel.reduce(rows, fetch)?;
        if let Some(result) = write_reduced(&reduced) {
            checkpoint.checkpoints.record(key, &result, packs_of(&reduced));
        }
        Ok(reduced)
    }
}
