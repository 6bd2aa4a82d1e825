//! The local engine: rayon threads in this process.
//!
//! Work is cut into batches of bounded size. A single batch runs on the calling thread, and the thread pool is started
//! when there is a second one, so small runs cost nothing. The calling thread cuts the next batches and takes results
//! while the pool works. Where payloads come over a network it also begins to read those of many batches ahead, so
//! that the pool finds them there.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{OnceLock, mpsc};

use crate::elements::Walk;
use crate::engine::{Engine, Fetch, Item, Kernel, MapBatch, Mapped, ReduceSink, Reduced, StageSession};
use crate::rows::{RowStream, Rows, SortedRows};
use crate::shuffle::{Shuffle, Sorted};
use crate::{Elements, Error, Result};

/// The most items or rows in a batch.
const BATCH_ITEMS: usize = 256;
/// The most payload bytes in a batch, unless one item alone has more.
const BATCH_BYTES: u64 = 2 << 20;
/// Payload bytes that are read ahead from a remote store for each thread: what one thread computes with while a
/// request is under way, with room to spare.
const AHEAD_BYTES: u64 = 24 << 20;
/// Batches that are begun for each thread on a remote store.
const AHEAD_BATCHES: u64 = 16;
/// A group with more bytes of rows than this is given to its back-end as a stream.
const HOT_BYTES: u64 = 8 << 20;

/// Runs stages on the threads of this machine.
#[derive(Debug)]
pub struct LocalEngine {
    threads: usize,
    row_memory: usize,
    pool: OnceLock<std::result::Result<rayon::ThreadPool, String>>,
}

impl LocalEngine {
    /// How many bytes of rows are held in memory unless told otherwise.
    pub const ROW_MEMORY: usize = 48 << 20;

    /// An engine with so many threads; 0 means one for each processor.
    pub fn new(threads: usize) -> LocalEngine {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        LocalEngine { threads, row_memory: LocalEngine::ROW_MEMORY, pool: OnceLock::new() }
    }

    /// Holds about so many bytes of rows in memory; what is beyond goes to temporary files.
    #[must_use]
    pub fn with_row_memory(mut self, bytes: usize) -> LocalEngine {
        self.row_memory = bytes;
        self
    }

    fn pool(&self) -> Result<&rayon::ThreadPool> {
        let start = || {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(self.threads);
            builder.thread_name(|n| format!("deltic-{n}")).build().map_err(|e| e.to_string())
        };
        self.pool.get_or_init(start).as_ref().map_err(|e| Error::Engine(format!("starting threads: {e}")))
    }

    /// Applies `work` to batches, several at once, and hands results over in order. The error of the first batch that
    /// failed, in order, is the one that is reported. Batches come with the bytes that are being read for them; where
    /// they come over a network, more of them are cut early.
    fn each<B: Send, R: Send>(
        &self,
        kernel: &dyn Kernel,
        mut next: impl FnMut() -> Result<Option<(B, u64)>>,
        work: impl Fn(B) -> Result<R> + Sync,
        mut take: impl FnMut(R) -> Result<()>,
    ) -> Result<()> {
        let ahead = kernel.is_remote();
        let mut next = || kernel.go_on().and_then(|()| next());
        let Some(first) = next()? else { return Ok(()) };
        let second = if self.threads > 1 || ahead { next()? } else { None };
        let Some(second) = second else {
            take(work(first.0)?)?;
            while let Some((batch, _)) = next()? {
                take(work(batch)?)?;
            }
            return Ok(());
        };
        let mut ready = vec![second, first];
        // Enough that a slow batch does not leave the other workers idle, few enough that memory stays bounded.
        let most = self.threads as u64 * if ahead { AHEAD_BATCHES } else { 3 };
        let most_bytes = self.threads as u64 * AHEAD_BYTES;
        let (sender, receiver) = mpsc::channel();
        let work = &work;
        self.pool()?.in_place_scope(|scope| {
            let (mut sent, mut taken, mut ended) = (0, 0, false);
            let (mut flying, mut lengths) = (0, VecDeque::new());
            let mut waiting: BTreeMap<u64, Result<R>> = BTreeMap::new();
            loop {
                while !ended && sent - taken < most && flying < most_bytes {
                    let batch = match ready.pop() {
                        Some(batch) => Some(batch),
                        None => next()?,
                    };
                    let Some((batch, bytes)) = batch else {
                        ended = true;
                        break;
                    };
                    flying += bytes;
                    lengths.push_back(bytes);
                    let (sender, number) = (sender.clone(), sent);
                    scope.spawn(move |_| {
                        // User code is guarded already; this keeps a mistake of ours from waiting for ever.
                        let done = catch_unwind(AssertUnwindSafe(|| work(batch)));
                        let failed = |_| Err(Error::Engine("a worker panicked".to_owned()));
                        // Nobody listens any more when an earlier batch failed.
                        let _ = sender.send((number, done.unwrap_or_else(failed)));
                    });
                    sent += 1;
                }
                if taken == sent {
                    return Ok(());
                }
                let Ok((number, result)) = receiver.recv() else {
                    return Err(Error::Engine("the workers are gone".to_owned()));
                };
                waiting.insert(number, result);
                while let Some(result) = waiting.remove(&taken) {
                    taken += 1;
                    flying -= lengths.pop_front().unwrap_or_default();
                    take(result?)?;
                }
            }
        })
    }
}

impl Engine for LocalEngine {
    fn row_memory(&self) -> usize {
        self.row_memory
    }

    fn side_by_side(&self) -> usize {
        // One task leaves threads idle where it comes to an end, hardly where another one runs beside it.
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
        self.engine.each(
            kernel,
            || {
                let Some(items) = cut(&mut items)? else { return Ok(None) };
                let fetch = if ahead { kernel.begin_map(&items)? } else { Fetch::default() };
                let bytes = fetch.bytes;
                Ok(Some(((items, fetch), bytes)))
            },
            |(items, fetch)| kernel.map(items, fetch),
            |MapBatch { mapped, rows }| {
                shuffle.push(rows)?;
                mapped.into_iter().try_for_each(&mut *take)
            },
        )
    }

    fn add(&mut self, rows: Rows) -> Result<()> {
        self.shuffle.push(rows)
    }

    fn reduce(self: Box<Self>, wanted: Option<&Elements>, sink: &mut dyn ReduceSink) -> Result<()> {
        let LocalSession { engine, kernel, shuffle } = *self;
        let sink = RefCell::new(sink);
        let mut groups =
            Groups { rows: shuffle.finish()?, wanted: wanted.map(Elements::walk), carried: Rows::default() };
        let ahead = kernel.is_remote();
        engine.each(
            kernel,
            || {
                let Some(batch) = groups.cut(kernel, &sink)? else { return Ok(None) };
                let fetch = match &batch {
                    Batch::Rows(rows) if ahead => kernel.begin_reduce(rows)?,
                    _ => Fetch::default(),
                };
                let bytes = fetch.bytes;
                Ok(Some(((batch, fetch), bytes)))
            },
            |(batch, fetch)| match batch {
                Batch::Rows(rows) => kernel.reduce(&mut SortedRows::new(&rows), fetch),
                Batch::Done(reduced) => Ok(reduced),
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

/// A batch of whole groups, or a group too large for one that has been compiled already.
enum Batch {
    Rows(Rows),
    Done(Vec<Reduced>),
}

/// Cuts sorted rows into batches of whole groups.
struct Groups<'w> {
    rows: Sorted,
    wanted: Option<Walk<'w>>,
    /// The first rows of the next batch.
    carried: Rows,
}

impl Groups<'_> {
    fn cut(&mut self, kernel: &dyn Kernel, sink: &RefCell<&mut dyn ReduceSink>) -> Result<Option<Batch>> {
        let mut batch = std::mem::take(&mut self.carried);
        let (mut group, mut before) = (0, 0);
        // What the batch will take in memory besides its rows.
        let mut weight: u64 = batch.iter().map(|row| kernel.weight(row)).sum();
        loop {
            let last = batch.len().checked_sub(1).map(|last| batch.get(last));
            let Some(row) = self.next_wanted()? else { break };
            let starts_group = last.is_none_or(|last| last.out != row.out);
            if starts_group {
                if batch.len() >= BATCH_ITEMS || batch.bytes() as u64 + weight >= BATCH_BYTES {
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
                    // The groups before it first.
                    self.carried = batch.split_off(group);
                    return Ok(Some(Batch::Rows(batch)));
                }
                let mut hot = HotGroup { head: batch, next: 0, rest: &mut self.rows, sink, told: false };
                return Ok(Some(Batch::Done(kernel.reduce(&mut hot, Fetch::default())?)));
            }
        }
        Ok((!batch.is_empty()).then_some(Batch::Rows(batch)))
    }

    /// The next row of a wanted output; the others are passed over.
    fn next_wanted(&mut self) -> Result<Option<crate::rows::Row<'_>>> {
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
        self.rows.peek()
    }
}

/// One group as a stream: the rows in memory already, then those still to come.
struct HotGroup<'a, 'b> {
    head: Rows,
    next: usize,
    rest: &'a mut Sorted,
    sink: &'a RefCell<&'b mut dyn ReduceSink>,
    /// Whether the sink was told of the row at hand, once the head is through.
    told: bool,
}

impl RowStream for HotGroup<'_, '_> {
    fn peek(&mut self) -> Result<Option<crate::rows::Row<'_>>> {
        if self.next < self.head.len() {
            return Ok(Some(self.head.get(self.next)));
        }
        let out = self.head.get(0).out;
        let Some(row) = self.rest.peek()?.filter(|row| row.out == out) else { return Ok(None) };
        if !std::mem::replace(&mut self.told, true) {
            self.sink.borrow_mut().row(row)?;
        }
        Ok(Some(row))
    }

    fn advance(&mut self) -> Result<()> {
        if self.next < self.head.len() {
            self.next += 1;
            return Ok(());
        }
        self.told = false;
        self.rest.advance()
    }
}
