//! The local engine: rayon threads in this process.
//!
//! Work is cut into batches of bounded size and weight, which [`workers`](crate::engine::workers) runs. The calling thread
//! cuts the next batches and takes results while the pool works. If payloads come over a network, it also begins to read
//! those of many batches ahead.

use std::cell::RefCell;
use std::sync::OnceLock;

use crate::engine::workers::{Done, Workers};
use crate::engine::{
    BackSession, Engine, Fetch, Item, Kernel, MapBatch, Mapped, ReduceSink, Reduced, Sealed, StageSession,
};
use crate::sort::external::{Shuffle, Sorted};
use crate::sort::key_set::KeySet;
use crate::sort::key_set::Walk;
use crate::sort::rows::{RowStream, Rows, SortedRows};
use crate::{Error, Result};

/// The most items or rows in a batch.
const BATCH_ITEMS: usize = 256;
/// The most payload bytes in a batch, unless one item alone has more.
const BATCH_BYTES: u64 = 2 << 20;
/// Payload bytes that are read ahead from a remote store for each thread: more than one thread can process while a request
/// is under way.
const AHEAD_BYTES: u64 = 24 << 20;
/// Batches that are begun for each thread on a remote store.
const AHEAD_BATCHES: usize = 16;
/// Bytes of rows that are cut into batches for each thread before they are compiled.
const CUT_BYTES: u64 = 8 << 20;
/// A group with more bytes of rows than this is given to its back-end as a stream.
const HOT_BYTES: u64 = 8 << 20;

/// Runs stages on the threads of this machine.
#[derive(Debug)]
pub struct LocalEngine {
    threads: usize,
    row_memory: usize,
    ranges: usize,
    pool: OnceLock<std::result::Result<rayon::ThreadPool, String>>,
}

impl LocalEngine {
    /// The bytes of rows that are held in memory by default.
    pub const ROW_MEMORY: usize = 48 << 20;

    /// An engine with this number of threads; 0 means one for each processor.
    pub fn new(threads: usize) -> LocalEngine {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        LocalEngine { threads, row_memory: LocalEngine::ROW_MEMORY, ranges: 1, pool: OnceLock::new() }
    }

    /// Holds about this number of bytes of rows in memory for each running task; the rest goes to temporary files. At most
    /// two tasks run at once.
    #[must_use]
    pub fn with_row_memory(mut self, bytes: usize) -> LocalEngine {
        self.row_memory = bytes;
        self
    }

    /// Runs a full stage over this number of key ranges, one after the other. Each range writes its part of every tree, and
    /// the parts are stitched: the output is the same. On one machine this gains nothing. It is how a stage can be divided
    /// among several machines, and tests use it.
    #[must_use]
    pub fn with_ranges(mut self, ranges: usize) -> LocalEngine {
        self.ranges = ranges.max(1);
        self
    }

    fn pool(&self) -> Result<&rayon::ThreadPool> {
        let start = || {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(self.threads);
            builder.thread_name(|n| format!("deltic-{n}")).build().map_err(|e| e.to_string())
        };
        self.pool
            .get_or_init(start)
            .as_ref()
            .map_err(|error| Error::machine("threads could not be started", std::io::Error::other(error.clone()), ""))
    }

    /// The workers that run the batches of a stage.
    fn workers<'a>(&'a self, kernel: &'a dyn Kernel) -> Workers<'a> {
        let ahead = kernel.is_remote();
        let threads = self.threads as u64;
        Workers {
            kernel,
            pool: Box::new(|| self.pool()),
            threads: self.threads,
            reads_ahead: ahead,
            // Enough that a slow batch does not leave the other workers idle, few enough that memory stays bounded.
            batches: self.threads * if ahead { AHEAD_BATCHES } else { 3 },
            coming_bytes: threads * if ahead { AHEAD_BYTES } else { CUT_BYTES },
            done_bytes: (self.row_memory as u64 / 2).max(BATCH_BYTES),
        }
    }
}

impl Sealed for LocalEngine {}

impl Engine for LocalEngine {
    fn ranges(&self) -> usize {
        self.ranges
    }

    fn row_memory(&self) -> usize {
        self.row_memory
    }

    fn side_by_side(&self) -> usize {
        // A task leaves threads idle when it ends, and two tasks seldom end together.
        self.threads.min(2)
    }

    fn stage<'a>(&'a self, kernel: &'a dyn Kernel) -> Box<dyn StageSession + 'a> {
        Box::new(LocalSession { engine: self, kernel, shuffle: Shuffle::new(self.row_memory) })
    }
}

struct LocalSession<'a> {
    engine: &'a LocalEngine,
    kernel: &'a dyn Kernel,
    shuffle: Shuffle,
}

impl StageSession for LocalSession<'_> {
    fn map(
        &mut self,
        items: &mut dyn Iterator<Item = Result<Item>>,
        take: &mut dyn FnMut(Mapped) -> Result<()>,
    ) -> Result<()> {
        let (kernel, shuffle) = (self.kernel, &mut self.shuffle);
        let mut items = items.peekable();
        let ahead = kernel.is_remote();
        self.engine.workers(kernel).each(
            || {
                let Some(items) = cut(&mut items)? else { return Ok(None) };
                let fetch = if ahead { kernel.begin_map(&items)? } else { Fetch::default() };
                let bytes = fetch.bytes;
                Ok(Some(((items, fetch), bytes)))
            },
            |(items, fetch)| {
                let mut batch = kernel.map(items, fetch)?;
                let (weight, rest) = (batch.weight(), std::mem::take(&mut batch.rest));
                Ok(Done { result: batch, weight, rest })
            },
            |MapBatch { mapped, rows, .. }| {
                shuffle.push(rows)?;
                mapped.into_iter().try_for_each(&mut *take)
            },
        )
    }

    fn add(&mut self, rows: Rows) -> Result<()> {
        self.shuffle.push(rows)
    }

    fn sorted<'a>(self: Box<Self>) -> Result<Box<dyn BackSession + 'a>>
    where
        Self: 'a,
    {
        let LocalSession { engine, kernel, shuffle } = *self;
        Ok(Box::new(LocalBackSession { engine, kernel, rows: shuffle.finish()? }))
    }
}

struct LocalBackSession<'a> {
    engine: &'a LocalEngine,
    kernel: &'a dyn Kernel,
    rows: Sorted,
}

impl BackSession for LocalBackSession<'_> {
    fn reduce(&mut self, end: Option<&[u8]>, wanted: Option<&KeySet>, sink: &mut dyn ReduceSink) -> Result<()> {
        let (engine, kernel) = (self.engine, self.kernel);
        let sink = RefCell::new(sink);
        let mut groups =
            Groups { rows: &mut self.rows, end, wanted: wanted.map(KeySet::walk), carried: Rows::default() };
        let ahead = kernel.is_remote();
        engine.workers(kernel).each(
            || {
                let Some(batch) = groups.cut(kernel, &sink)? else { return Ok(None) };
                let (fetch, bytes) = match &batch {
                    Batch::Rows(rows) if ahead => (kernel.begin_reduce(rows)?, rows.memory() as u64),
                    Batch::Rows(rows) => (Fetch::default(), rows.memory() as u64),
                    Batch::Done(_) => (Fetch::default(), 0),
                };
                let bytes = bytes + fetch.bytes;
                Ok(Some(((batch, fetch), bytes)))
            },
            |(batch, fetch)| {
                let reduced = match batch {
                    Batch::Rows(rows) => kernel.reduce(&mut SortedRows::new(&rows), fetch)?,
                    Batch::Done(reduced) => reduced,
                };
                Ok(Done { weight: reduced.iter().map(Reduced::weight).sum(), result: reduced, rest: Vec::new() })
            },
            |reduced| reduced.into_iter().try_for_each(|one| sink.borrow_mut().reduced(one)),
        )
    }
}

/// Cuts a batch off a stream of items.
fn cut(items: &mut std::iter::Peekable<&mut dyn Iterator<Item = Result<Item>>>) -> Result<Option<Vec<Item>>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH_ITEMS {
        let fits = |item: &Result<Item>| match item {
            Ok(item) => batch.is_empty() || bytes + item.entry.meta.len <= BATCH_BYTES,
            Err(_) => true,
        };
        let Some(item) = items.next_if(fits) else { break };
        let item = item?;
        bytes += item.entry.meta.len;
        batch.push(item);
    }
    Ok((!batch.is_empty()).then_some(batch))
}

/// A batch of whole groups, or the result of a group that is too large for a batch and was compiled as a stream.
enum Batch {
    Rows(Rows),
    Done(Vec<Reduced>),
}

/// Cuts sorted rows into batches of whole groups.
struct Groups<'w> {
    rows: &'w mut Sorted,
    /// The output before which to end.
    end: Option<&'w [u8]>,
    wanted: Option<Walk<'w>>,
    /// The first rows of the next batch.
    carried: Rows,
}

impl Groups<'_> {
    fn cut(&mut self, kernel: &dyn Kernel, sink: &RefCell<&mut dyn ReduceSink>) -> Result<Option<Batch>> {
        let mut batch = std::mem::take(&mut self.carried);
        let (mut group, mut before) = (0, 0);
        // The bytes that the batch will take in memory besides its rows.
        let mut weight: u64 = batch.iter().map(|row| kernel.weight(row)).sum();
        loop {
            let last = batch.len().checked_sub(1).map(|last| batch.get(last));
            let Some(row) = self.next_wanted()? else { break };
            let starts_group = last.is_none_or(|last| last.out != row.out);
            if starts_group {
                let own = (row.out.len() + row.item.len() + row.value.len()) as u64 + kernel.weight(row);
                let is_full = batch.len() >= BATCH_ITEMS || batch.bytes() as u64 + weight >= BATCH_BYTES;
                // A large row begins a batch of its own, and is not copied behind others.
                if is_full || own >= BATCH_BYTES && !batch.is_empty() {
                    return Ok(Some(Batch::Rows(batch)));
                }
                (group, before) = (batch.len(), batch.bytes());
            }
            sink.borrow_mut().row(row)?;
            weight += kernel.weight(row);
            batch.push(row.out, row.item, row.value);
            self.rows.advance()?;
            if (batch.bytes() - before) as u64 > HOT_BYTES {
                if group > 0 {
                    // First the groups before it: results come in the order of outputs.
                    self.carried = batch.split_off(group);
                    batch.trim();
                    return Ok(Some(Batch::Rows(batch)));
                }
                let mut hot = HotGroup { head: batch, next: 0, rest: self.rows, sink, is_passed_on: false };
                return Ok(Some(Batch::Done(kernel.reduce(&mut hot, Fetch::default())?)));
            }
        }
        Ok((!batch.is_empty()).then_some(Batch::Rows(batch)))
    }

    /// The next row of a wanted output before `end`; rows of other outputs are passed over.
    fn next_wanted(&mut self) -> Result<Option<crate::sort::rows::Row<'_>>> {
        let end = self.end;
        if let Some(wanted) = &mut self.wanted {
            while let Some(row) = self.rows.peek()? {
                while wanted.peek()?.is_some_and(|(wanted, _)| wanted < row.out) {
                    wanted.advance()?;
                }
                if wanted.peek()?.is_some_and(|(wanted, _)| wanted == row.out) {
                    break;
                }
                self.rows.advance()?;
            }
        }
        Ok(self.rows.peek()?.filter(|row| end.is_none_or(|end| row.out < end)))
    }
}

/// One group as a stream: its rows in memory, then the rest.
struct HotGroup<'a, 'b> {
    head: Rows,
    next: usize,
    rest: &'a mut Sorted,
    sink: &'a RefCell<&'b mut dyn ReduceSink>,
    /// Whether the sink has the current row. The sink got all rows of the head before.
    is_passed_on: bool,
}

impl RowStream for HotGroup<'_, '_> {
    fn peek(&mut self) -> Result<Option<crate::sort::rows::Row<'_>>> {
        if self.next < self.head.len() {
            return Ok(Some(self.head.get(self.next)));
        }
        let out = self.head.get(0).out;
        let Some(row) = self.rest.peek()?.filter(|row| row.out == out) else { return Ok(None) };
        if !std::mem::replace(&mut self.is_passed_on, true) {
            self.sink.borrow_mut().row(row)?;
        }
        Ok(Some(row))
    }

    fn advance(&mut self) -> Result<()> {
        if self.next < self.head.len() {
            self.next += 1;
            return Ok(());
        }
        self.is_passed_on = false;
        self.rest.advance()
    }
}
