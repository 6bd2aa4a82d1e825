//! The local engine: rayon threads in this process.
//!
//! Work is cut into batches of bounded size. A single batch runs on the calling thread, and the thread pool is started
//! when there is a second one, so small runs cost nothing.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::engine::{Engine, Group, Item, Kernel, Mapped, Reduced, Row, RowValue, StageSession};
use crate::{Element, Error, Result};

/// The most items or groups in a batch.
const BATCH_ITEMS: usize = 256;
/// The most payload bytes in a batch, unless one item alone has more.
const BATCH_BYTES: u64 = 4 << 20;

/// Runs stages on the threads of this machine.
#[derive(Debug)]
pub struct LocalEngine {
    threads: usize,
    pool: OnceLock<std::result::Result<rayon::ThreadPool, String>>,
}

impl LocalEngine {
    /// An engine with so many threads; 0 means one for each processor.
    pub fn new(threads: usize) -> LocalEngine {
        LocalEngine { threads, pool: OnceLock::new() }
    }

    /// How many batches to work on at once.
    fn wave(&self) -> usize {
        let threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        // Several a thread: a slow batch does not leave the others idle for long.
        if threads == 1 { 1 } else { threads * 4 }
    }

    fn pool(&self) -> Result<&rayon::ThreadPool> {
        let start = || {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(self.threads);
            builder.thread_name(|n| format!("deltic-{n}")).build().map_err(|e| e.to_string())
        };
        self.pool.get_or_init(start).as_ref().map_err(|e| Error::Engine(format!("starting threads: {e}")))
    }

    /// Applies `work` to batches, several at once, and hands results over in order. The error of the first batch that
    /// failed, in order, is the one that is reported.
    fn each<B: Send, R: Send>(
        &self,
        mut batches: impl Iterator<Item = Result<B>>,
        work: impl Fn(B) -> Result<R> + Sync,
        mut take: impl FnMut(R) -> Result<()>,
    ) -> Result<()> {
        loop {
            let wave: Vec<B> = batches.by_ref().take(self.wave()).collect::<Result<_>>()?;
            match wave.len() {
                0 => return Ok(()),
                1 => wave.into_iter().try_for_each(|batch| take(work(batch)?))?,
                _ => {
                    let done: Vec<Result<R>> = self.pool()?.install(|| wave.into_par_iter().map(&work).collect());
                    done.into_iter().try_for_each(|result| take(result?))?;
                }
            }
        }
    }
}

impl Engine for LocalEngine {
    fn name(&self) -> &'static str {
        "local"
    }

    fn stage<'a>(&'a self, kernel: &'a dyn Kernel) -> Box<dyn StageSession + 'a> {
        Box::new(LocalSession { engine: self, kernel, rows: Vec::new() })
    }
}

struct LocalSession<'a> {
    engine: &'a LocalEngine,
    kernel: &'a dyn Kernel,
    rows: Vec<Row>,
}

impl StageSession for LocalSession<'_> {
    fn map(
        &mut self,
        items: &mut dyn Iterator<Item = Result<Item>>,
        take: &mut dyn FnMut(Mapped) -> Result<()>,
    ) -> Result<()> {
        let rows = &mut self.rows;
        let batches = Batches { of: items.peekable(), size: |item: &Item| item.entry.meta.len };
        self.engine.each(
            batches,
            |items| self.kernel.map(items),
            |mapped| {
                mapped.into_iter().try_for_each(|mut mapped| {
                    rows.append(&mut mapped.rows);
                    take(mapped)
                })
            },
        )
    }

    fn reduce(
        self: Box<Self>,
        wanted: Option<&BTreeSet<Element>>,
        take: &mut dyn FnMut(Reduced) -> Result<()>,
    ) -> Result<()> {
        let mut rows = self.rows;
        if let Some(wanted) = wanted {
            rows.retain(|row| wanted.contains(&row.out));
        }
        // Stable, so that one item's rows for one output stay in the order of emission.
        rows.sort_by(|a, b| a.out.cmp(&b.out).then_with(|| a.item.cmp(&b.item)));
        let groups = Groups { rows: rows.into_iter().peekable() };
        let size = |group: &Group| group.rows.iter().map(row_size).sum();
        let batches = Batches { of: groups.map(Ok).peekable(), size };
        self.engine.each(
            batches,
            |groups| self.kernel.reduce(groups),
            |reduced| reduced.into_iter().try_for_each(&mut *take),
        )
    }
}

fn row_size(row: &Row) -> u64 {
    match &row.value {
        RowValue::Bytes(bytes) => bytes.len() as u64,
        RowValue::Input(entry) => entry.meta.len,
    }
}

/// Cuts a stream into batches.
struct Batches<T, I: Iterator<Item = Result<T>>, S> {
    of: std::iter::Peekable<I>,
    size: S,
}

impl<T, I: Iterator<Item = Result<T>>, S: Fn(&T) -> u64> Iterator for Batches<T, I, S> {
    type Item = Result<Vec<T>>;

    fn next(&mut self) -> Option<Result<Vec<T>>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_ITEMS {
            match self.of.peek() {
                Some(Ok(one)) if batch.is_empty() || bytes + (self.size)(one) <= BATCH_BYTES => {
                    bytes += (self.size)(one);
                }
                Some(Err(_)) if batch.is_empty() => {}
                _ => break,
            }
            match self.of.next()? {
                Ok(one) => batch.push(one),
                Err(error) => return Some(Err(error)),
            }
        }
        if batch.is_empty() { None } else { Some(Ok(batch)) }
    }
}

/// Cuts sorted rows into groups.
struct Groups<I: Iterator<Item = Row>> {
    rows: std::iter::Peekable<I>,
}

impl<I: Iterator<Item = Row>> Iterator for Groups<I> {
    type Item = Group;

    fn next(&mut self) -> Option<Group> {
        let first = self.rows.next()?;
        let out = first.out.clone();
        let mut rows = vec![first];
        while let Some(row) = self.rows.next_if(|row| row.out == out) {
            rows.push(row);
        }
        Some(Group { out, rows })
    }
}
