//! Runs a kernel on a thread of its own and in another order, and keeps the rows of a stream for a second time.

use std::collections::BTreeMap;

use deltic_core::Digest;

use crate::engine::kernel::{TaskKernel, pieces};
use crate::engine::{Fetch, Item, Kernel, MapBatch, Reduced};
use crate::key::EncodedKey;
use crate::sort::external::{Shuffle, Sorted};
use crate::sort::rows::{Row, RowStream, Rows, SortedRows};
use crate::{Error, Result};

/// The bytes in memory of rows that are kept for a second time: of a front-end over the whole input, or of a stream.
pub(crate) const MEMORY: usize = 8 << 20;

/// Runs a function on a thread of its own.
pub(crate) fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    let gone = |_| Error::internal("the thread that runs user code again panicked");
    std::thread::scope(|scope| scope.spawn(work).join().map_err(gone))
}

/// Shuffles, in an order that depends on the salt. Of two items or more, another one is the first.
fn shuffle<T>(all: &mut [T], salt: &str, bytes: impl Fn(&T) -> EncodedKey) {
    let first = all.first().map(&bytes);
    all.sort_by_cached_key(|one| Digest::of(&[salt.as_bytes(), &bytes(one)[..]].concat()));
    if all.first().map(&bytes) == first && !all.is_empty() {
        all.rotate_left(1);
    }
}

/// Runs front-ends in another order: of all items, or of the first ones if all emit too much for one batch.
pub(crate) fn map_some_shuffled(kernel: &TaskKernel<'_>, mut items: Vec<Item>, salt: &str) -> Result<MapBatch> {
    let mut rest = Vec::new();
    loop {
        let mut some = items.clone();
        shuffle(&mut some, salt, |item| item.key.to_bytes());
        let batch = kernel.map(some, Fetch::default())?;
        if batch.rest.is_empty() {
            return Ok(MapBatch { rest: pieces(rest, None, items.len()), ..in_order(batch) });
        }
        let mut left = items.split_off(batch.mapped.len());
        left.append(&mut rest);
        rest = left;
    }
}

/// Runs front-ends in another order; results are in the usual one.
pub(crate) fn map_shuffled(kernel: &TaskKernel<'_>, mut items: Vec<Item>, salt: &str) -> Result<MapBatch> {
    shuffle(&mut items, salt, |item| item.key.to_bytes());
    let mut all = MapBatch::default();
    let mut left = vec![(items, Fetch::default())];
    while let Some((items, fetch)) = left.pop() {
        let MapBatch { mapped, rows, rest } = kernel.map(items, fetch)?;
        all.mapped.extend(mapped);
        rows.iter().for_each(|row| all.rows.push(row.out, row.item, row.value));
        left.extend(rest.into_iter().rev());
    }
    Ok(in_order(all))
}

fn in_order(batch: MapBatch) -> MapBatch {
    let MapBatch { mut mapped, rows, rest } = batch;
    mapped.sort_by(|a, b| a.item.cmp(&b.item));
    let mut of_item: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    for (number, row) in rows.iter().enumerate() {
        of_item.entry(row.item).or_default().push(number);
    }
    let mut ordered = Rows::default();
    for row in of_item.into_values().flatten().map(|number| rows.get(number)) {
        ordered.push(row.out, row.item, row.value);
    }
    MapBatch { mapped, rows: ordered, rest }
}

/// Sorted rows by group, each with its output.
fn groups(rows: &Rows) -> Vec<(EncodedKey, Rows)> {
    let mut groups: Vec<(EncodedKey, Rows)> = Vec::new();
    for row in rows.iter() {
        if groups.last().is_none_or(|(out, _)| **out != *row.out) {
            groups.push((row.out.into(), Rows::default()));
        }
        if let Some((_, group)) = groups.last_mut() {
            group.push(row.out, row.item, row.value);
        }
    }
    groups
}

/// The result of one group.
pub(crate) type OfGroup = (EncodedKey, Result<Vec<Reduced>>);

/// Runs back-ends one by one in another order; results are in the usual one.
pub(crate) fn reduce_shuffled(kernel: &TaskKernel<'_>, rows: &Rows, salt: &str) -> Vec<OfGroup> {
    let mut groups = groups(rows);
    shuffle(&mut groups, salt, |(out, _)| out.clone());
    let mut all = Vec::with_capacity(groups.len());
    for (out, group) in groups {
        all.push((out, kernel.reduce(&mut SortedRows::new(&group), Fetch::default())));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// A stream that keeps its rows.
pub(crate) struct Tee<'a> {
    rows: &'a mut dyn RowStream,
    kept: Shuffle,
    batch: Rows,
}

impl Tee<'_> {
    pub(crate) fn new(rows: &mut dyn RowStream) -> Tee<'_> {
        Tee { rows, kept: Shuffle::new(MEMORY), batch: Rows::default() }
    }

    /// All rows of the stream. Those that were not read yet are read.
    pub(crate) fn finish(mut self) -> Result<Sorted> {
        while self.rows.peek()?.is_some() {
            self.advance()?;
        }
        self.kept.push(self.batch)?;
        self.kept.finish()
    }
}

impl RowStream for Tee<'_> {
    fn peek(&mut self) -> Result<Option<Row<'_>>> {
        self.rows.peek()
    }

    fn advance(&mut self) -> Result<()> {
        if let Some(row) = self.rows.peek()? {
            self.batch.push(row.out, row.item, row.value);
        }
        if self.batch.bytes() > MEMORY / 8 {
            self.kept.push(std::mem::take(&mut self.batch))?;
        }
        self.rows.advance()
    }
}
