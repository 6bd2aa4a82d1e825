//! A kernel that notes what it made, and takes over what a run has noted that did not get to its end.
//!
//! It stands between the engine and the task's kernel, and works on whole batches: batches are cut alike in each run, so
//! most of them are found, and one that is not is run. Groups that come as a stream pass through, and batches in which
//! something failed are not noted.

use std::sync::atomic::{AtomicU64, Ordering};

use deltic_compiler::Pattern;
use deltic_core::{Digest, Hasher};

use crate::Result;
use crate::checkpoint::codec::{packs_of, read_mapped, read_reduced, write_mapped, write_reduced};
use crate::checkpoint::{MAX_NOTE_BYTES, Progress};
use crate::engine::codec::meta_of_entry;
use crate::engine::kernel::{TaskKernel, pieces};
use crate::engine::{Fetch, Item, Kernel, MapBatch, Mapped, Reduced};
use crate::report::Counts;
use crate::sort::rows::{Row, RowStream, Rows};

/// So many inputs or outputs of a stage are run before anybody asks the store whether they were run before, and nothing is noted
/// that nobody would ask for: so a small run, which is quickly done again, makes no request for it, however it ends.
const NOT_ASKED: u64 = 64;

const FRONTS: u64 = 1;
const BACKS: u64 = 2;

/// The progress of a task's stage.
pub(crate) struct StageProgress<'a> {
    pub(crate) progress: &'a Progress<'a>,
    /// What all of its results depend on.
    pub(crate) key: Digest,
}

impl StageProgress<'_> {
    /// Reads what became of outputs. It is nothing to refer to where it names packs that its object did not name.
    fn usable(&self, found: &[u8]) -> Option<Vec<Reduced>> {
        let found = read_reduced(found)?;
        let usable = packs_of(&found).iter().all(|pack| self.progress.may_refer_to(pack));
        usable.then_some(found)
    }
}

/// The kernel of a task, with its progress where that is kept.
pub(crate) struct Resuming<'a> {
    kernel: &'a TaskKernel<'a>,
    kept: Option<&'a StageProgress<'a>>,
    fronts: Phase,
    backs: Phase,
}

/// Front-ends or back-ends.
#[derive(Default)]
struct Phase {
    batches: AtomicU64,
    keys: AtomicU64,
    /// Keys whose results were taken over.
    resumed: AtomicU64,
}

impl Phase {
    /// Takes note of a batch; whether to ask the store for it, and to note it.
    fn asks(&self, kept: &StageProgress<'_>, keys: usize) -> bool {
        let batches = self.batches.fetch_add(1, Ordering::Relaxed);
        let before = self.keys.fetch_add(keys as u64, Ordering::Relaxed);
        batches > 0 || kept.progress.asks_always() || before + keys as u64 > NOT_ASKED
    }

    fn took_over(&self, keys: usize) {
        self.resumed.fetch_add(keys as u64, Ordering::Relaxed);
    }
}

impl<'a> Resuming<'a> {
    pub(crate) fn new(kernel: &'a TaskKernel<'a>, kept: Option<&'a StageProgress<'a>>) -> Resuming<'a> {
        Resuming { kernel, kept, fronts: Phase::default(), backs: Phase::default() }
    }

    /// Sets what was taken over apart from what was run.
    pub(crate) fn count(&self, counts: &mut Counts) {
        counts.fronts_resumed = self.fronts.resumed.load(Ordering::Relaxed);
        counts.resumed = self.backs.resumed.load(Ordering::Relaxed);
        counts.compiled = counts.compiled.saturating_sub(counts.resumed);
    }

    /// The progress of front-ends. Those of direct tasks look at keys alone, and are sooner run than found.
    fn of_fronts(&self) -> Option<&'a StageProgress<'a>> {
        self.kept.filter(|_| matches!(self.kernel.task.pattern(), Pattern::Group(_)))
    }

    /// The progress of back-ends. Whether one is to run depends on more than its rows once a front-end has failed.
    fn of_backs(&self) -> Option<&'a StageProgress<'a>> {
        self.kept.filter(|_| !self.kernel.holds_any())
    }

    /// What the results of back-ends depend on: their rows, but not where the payloads lie that rows stand for.
    fn key_of_rows(&self, kept: &StageProgress<'_>, rows: &Rows) -> Digest {
        let stands_for_input =
            matches!(self.kernel.task.pattern(), Pattern::Direct { .. } | Pattern::IncrementalDep(_));
        let mut hasher = kept.hasher(BACKS);
        for row in rows.iter() {
            let value = if stands_for_input { meta_of_entry(row.value) } else { row.value };
            hasher.bytes(row.out).bytes(row.item).bytes(value);
        }
        hasher.finish()
    }
}

impl StageProgress<'_> {
    fn hasher(&self, phase: u64) -> Hasher {
        let mut hasher = Hasher::new("deltic progress batch 1");
        hasher.digest(&self.key).number(phase);
        hasher
    }

    /// What the results of front-ends depend on.
    fn key_of_items(&self, items: &[Item]) -> Digest {
        let mut hasher = self.hasher(FRONTS);
        for Item { key, entry } in items {
            hasher.number(u64::from(key.layer.0)).bytes(&key.name).digest(&entry.meta.digest);
            hasher.number(entry.meta.len).text(entry.meta.fields.as_str());
        }
        hasher.finish()
    }
}

/// Whether these are results of the first of these items, in order: of as many as emitted enough.
fn are_first(mapped: &[Mapped], items: &[Item]) -> bool {
    let same = |(mapped, item): (&Mapped, &Item)| mapped.item == item.key;
    !mapped.is_empty() && mapped.len() <= items.len() && mapped.iter().zip(items).all(same)
}

/// Whether these are results of just these outputs, in order.
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
            Some(kept) if kept.progress.is_known(|| kept.key_of_items(items)) => Ok(Fetch::default()),
            _ => self.kernel.begin_map(items),
        }
    }

    fn map(&self, items: Vec<Item>, fetch: Fetch) -> Result<MapBatch> {
        let Some(kept) = self.of_fronts() else { return self.kernel.map(items, fetch) };
        if !self.fronts.asks(kept, items.len()) {
            return self.kernel.map(items, fetch);
        }
        let key = kept.key_of_items(&items);
        let found = kept.progress.find(&key).and_then(|found| read_mapped(&found));
        if let Some(mut batch) = found.filter(|found| are_first(&found.mapped, &items)) {
            let taken = batch.mapped.len();
            self.fronts.took_over(taken);
            batch.rest = pieces(items.into_iter().skip(taken).collect(), None, taken);
            return Ok(batch);
        }
        let batch = self.kernel.map(items, fetch)?;
        if batch.weight() <= MAX_NOTE_BYTES as u64
            && let Some(result) = write_mapped(&batch)
        {
            kept.progress.note(key, &result, Vec::new());
        }
        Ok(batch)
    }

    fn begin_reduce(&self, rows: &Rows) -> Result<Fetch> {
        match self.of_backs() {
            Some(kept) if kept.progress.is_known(|| self.key_of_rows(kept, rows)) => Ok(Fetch::default()),
            _ => self.kernel.begin_reduce(rows),
        }
    }

    fn weight(&self, row: Row<'_>) -> u64 {
        self.kernel.weight(row)
    }

    fn reduce(&self, rows: &mut dyn RowStream, fetch: Fetch) -> Result<Vec<Reduced>> {
        let (Some(kept), Some(batch)) = (self.of_backs(), rows.in_memory()) else {
            return self.kernel.reduce(rows, fetch);
        };
        if !self.backs.asks(kept, groups(batch)) {
            return self.kernel.reduce(rows, fetch);
        }
        let key = self.key_of_rows(kept, batch);
        let found = kept.progress.find(&key).and_then(|found| kept.usable(&found));
        if let Some(reduced) = found.filter(|found| are_of(found, batch)) {
            self.backs.took_over(reduced.len());
            return Ok(reduced);
        }
        let reduced = self.kernel.reduce(rows, fetch)?;
        if let Some(result) = write_reduced(&reduced) {
            kept.progress.note(key, &result, packs_of(&reduced));
        }
        Ok(reduced)
    }
}
