//! The interface between the driver and the machine.
//!
//! An engine runs a stage's kernel over a stream of work: `map` over inputs, a shuffle by output, `reduce` over groups. It
//! decides where and in what order the kernel runs; the driver decides on what. All that passes through the interface is
//! plain data, so a kernel could as well run in another process.
//!
//! An engine must hand over results in the order of their keys, whatever the number of workers: nothing that the
//! driver writes may depend on timing.

pub(crate) mod kernel;
pub(crate) mod local;
mod workers;

use deltic_compiler::Seen;
use deltic_core::{Digest, Payload};
use deltic_store::{Entry, Payloads};

use crate::key::{InputKey, OutputKey};
use crate::sort::key_set::KeySet;
use crate::sort::rows::{Row, RowStream, Rows};
use crate::{Failure, Result};

/// Runs the code of tasks. Engines differ in speed only: their results are the same, byte for byte.
///
/// There is one, [`LocalEngine`](crate::LocalEngine). The types of its methods are not public yet, so other crates can not
/// implement one.
pub trait Engine: Sealed + Send + Sync {
    /// About the bytes of rows that may be held in memory; the rest goes to files.
    fn row_memory(&self) -> usize;

    /// The number of key ranges over which a full stage runs, one after the other.
    fn ranges(&self) -> usize {
        1
    }

    /// The most tasks that may run at the same time. Each of them may take the row memory.
    fn side_by_side(&self) -> usize {
        1
    }

    /// Opens a session for one stage of one run.
    fn stage<'a>(&'a self, kernel: &'a dyn Kernel) -> Box<dyn StageSession + 'a>;
}

/// Limits implementations of [`Engine`] to this crate.
pub trait Sealed {}

/// The run of one stage: any number of `map`s and `add`s, whose rows are kept until they are sorted.
pub trait StageSession {
    /// Runs front-ends over items, which come in the order of their keys, and passes the result of each to `take`, in the
    /// same order. Rows stay with the session for the reduce.
    fn map(
        &mut self,
        items: &mut dyn Iterator<Item = Result<Item>>,
        take: &mut dyn FnMut(Mapped) -> Result<()>,
    ) -> Result<()>;

    /// Adds rows that no front-end needs to run for.
    fn add(&mut self, rows: Rows) -> Result<()>;

    /// Sorts the rows by output. There are no others after it.
    fn sorted<'a>(self: Box<Self>) -> Result<Box<dyn BackSession + 'a>>
    where
        Self: 'a;
}

/// The sorted rows of a stage: `reduce`s over them, range after range. Holds them, in memory and in files, until it is dropped.
pub trait BackSession {
    /// Runs back-ends, of the outputs before `end` that were not reduced yet, or of all. With `wanted`, only these outputs are
    /// compiled; wanted outputs without a row yield nothing.
    fn reduce(&mut self, end: Option<&[u8]>, wanted: Option<&KeySet>, sink: &mut dyn ReduceSink) -> Result<()>;
}

/// Takes the rows and the results of a reduce. Each of the two comes in order, but they are not in step with each other.
pub trait ReduceSink {
    /// Takes a row that a back-end gets, in order.
    fn row(&mut self, row: Row<'_>) -> Result<()>;

    /// Takes the result of an output, in order.
    fn reduced(&mut self, reduced: Reduced) -> Result<()>;
}

/// The code of a stage as a worker runs it: a pure function of its batch, which may run twice.
pub trait Kernel: Sync {
    /// Whether payloads come over a network, so that an engine should begin to read for many batches at once.
    fn is_remote(&self) -> bool;

    /// Fails if the run was stopped, and after [`give_up`](Kernel::give_up). An engine calls it between batches.
    fn go_on(&self) -> Result<()>;

    /// Makes running batches fail before their next call of user code, because the stage has failed. The engine reports its
    /// own error.
    fn give_up(&self);

    /// Begins to read the payloads that `map` will need, and returns at once.
    fn begin_map(&self, items: &[Item]) -> Result<Fetch>;

    /// Runs the front-ends of items, in order, until all have run or have emitted enough for one batch. Payloads that were
    /// not begun are read now.
    fn map(&self, items: Vec<Item>, fetch: Fetch) -> Result<MapBatch>;

    /// Begins to read the payloads that `reduce` will need, and returns at once.
    fn begin_reduce(&self, rows: &Rows) -> Result<Fetch>;

    /// The bytes that a row takes in memory while its group is compiled, besides its own: those of the payload it refers to.
    fn weight(&self, row: Row<'_>) -> u64;

    /// Runs the back-end of each group of sorted rows, hashes its results and stores those that are not published already.
    /// Payloads that were not begun are read now.
    fn reduce(&self, rows: &mut dyn RowStream, fetch: Fetch) -> Result<Vec<Reduced>>;
}

/// The payloads of a batch that are being read; none by default.
#[derive(Debug, Default)]
pub struct Fetch {
    /// For each layer that payloads are read from, their places in the batch.
    pub(crate) begun: Option<Vec<(Vec<usize>, Payloads)>>,
    /// Payloads that were read already.
    pub(crate) ready: Option<Vec<Payload>>,
    /// The bytes that are being read.
    pub(crate) bytes: u64,
}

impl Fetch {
    /// Payloads that were read already, in the order of the batch.
    pub(crate) fn ready(payloads: Vec<Payload>) -> Fetch {
        Fetch { ready: Some(payloads), ..Fetch::default() }
    }

    /// Waits for the payloads, in the order of the batch; `None` if nothing was begun.
    pub(crate) fn wait(self) -> Result<Option<Vec<Payload>>> {
        if self.ready.is_some() {
            return Ok(self.ready);
        }
        let Some(begun) = self.begun else { return Ok(None) };
        let mut payloads = vec![Payload::default(); begun.iter().map(|(places, _)| places.len()).sum()];
        for (places, layer) in begun {
            for (place, payload) in places.into_iter().zip(layer.wait()?) {
                payloads[place] = payload;
            }
        }
        Ok(Some(payloads))
    }
}

/// An input and where its payload lies.
#[derive(Debug, Clone)]
pub struct Item {
    /// The input.
    pub key: InputKey,
    /// Its entry in the layer.
    pub entry: Entry,
}

/// The results of the front-ends of a batch.
#[derive(Debug, Default)]
pub struct MapBatch {
    /// The result of each item, in order.
    pub mapped: Vec<Mapped>,
    /// The rows for the shuffle, in order of items and of emission.
    pub rows: Rows,
    /// The items that did not run because the others emitted enough, in order, as batches with the payloads that were read
    /// for them. An engine runs them next.
    pub rest: Vec<(Vec<Item>, Fetch)>,
}

/// Bytes that the front-ends of one batch emit before the rest of the batch becomes batches of its own; one item alone
/// may emit more.
pub(crate) const EMITTED_BYTES: u64 = 4 << 20;

/// About how many bytes an edge, a read or a partition of a group takes.
const PART_BYTES: usize = 128;

impl MapBatch {
    /// About how many bytes it takes, besides what is left of the batch.
    pub(crate) fn weight(&self) -> u64 {
        self.rows.bytes() as u64 + self.mapped.iter().map(Mapped::weight).sum::<u64>()
    }
}

impl Mapped {
    /// About how many bytes it takes.
    pub(crate) fn weight(&self) -> u64 {
        (PART_BYTES * (1 + self.edges.len() + self.reads.len())) as u64
    }
}

impl Reduced {
    /// About how many bytes it takes.
    pub(crate) fn weight(&self) -> u64 {
        let made = if let Outcome::Several(made) = &self.outcome { 2 * made.len() } else { 2 };
        (PART_BYTES * (made + self.reads.len())) as u64
    }
}

/// The result of a front-end for one item.
#[derive(Debug)]
pub struct Mapped {
    /// The item.
    pub item: InputKey,
    /// The outputs to which it emitted, in order, each with the digest of the values.
    pub edges: Vec<(OutputKey, Digest)>,
    /// What it read, in order.
    pub reads: Vec<Seen>,
    /// The failure, if it failed; then it has no edges and no reads.
    pub failed: Option<Box<Failure>>,
}

/// The result of a back-end for one output.
#[derive(Debug)]
pub struct Reduced {
    /// The output.
    pub out: OutputKey,
    /// Its first contributor.
    pub item: InputKey,
    /// The outcome.
    pub outcome: Outcome,
    /// What the back-end read, in order.
    pub reads: Vec<Seen>,
}

/// The outcome of a back-end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// No payload.
    Nothing,
    /// The payload that is published already.
    Same,
    /// A new payload, which is stored.
    New(Entry),
    /// The partitions of a group that is no partition itself, in the order of their keys: each with its entry if its
    /// payload is new, and none if just that is published.
    Several(Vec<(OutputKey, Option<Entry>)>),
    /// No result, because the back-end failed.
    Failed(Box<Failure>),
    /// No result, because the back-end was not run: an input that contributes to the output failed.
    Held,
}
