//! The one seam between the driver and the machine.
//!
//! An engine runs a stage's kernel over a stream of work: `map` over inputs, a shuffle by output, `reduce` over
//! groups. It decides where and in what order; the driver decides what. Everything that crosses the seam is plain data
//! made of bytes, so a kernel can as well run behind a pipe.
//!
//! An engine must hand over results in the order of their keys, whatever the number of workers: nothing that the
//! driver writes may depend on timing.

pub(crate) mod codec;
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

/// Where the code of tasks runs. Engines differ in speed only: what they make is the same, byte for byte.
///
/// There is [`LocalEngine`](crate::LocalEngine). What crosses this seam is not part of the public interface yet, so nobody else can
/// implement it.
pub trait Engine: Sealed + Send + Sync {
    /// About how many bytes of rows may be held in memory; what is beyond goes to files.
    fn row_memory(&self) -> usize;

    /// Over how many ranges of keys a full stage runs, one after the other.
    fn ranges(&self) -> usize {
        1
    }

    /// How many tasks may run at the same time. Each of them may take the row memory.
    fn side_by_side(&self) -> usize {
        1
    }

    /// Opens a session for one stage of one run.
    fn stage<'a>(&'a self, kernel: &'a dyn Kernel) -> Box<dyn StageSession + 'a>;
}

/// Keeps [`Engine`] to this crate.
pub trait Sealed {}

/// One stage being run: any number of `map`s and `add`s, whose rows are kept until they are sorted.
pub trait StageSession {
    /// Runs front-ends over items, which come in the order of their keys, and hands over what each said, in the same order. Rows
    /// stay with the session for the reduce.
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

/// Takes what a reduce finds and makes. Each of the two comes in order, but they are not in step with each other.
pub trait ReduceSink {
    /// A row that is given to a back-end, in order.
    fn row(&mut self, row: Row<'_>) -> Result<()>;

    /// What became of an output, in order.
    fn reduced(&mut self, reduced: Reduced) -> Result<()>;
}

/// The code of a stage as a worker runs it: pure, and safe to run twice.
pub trait Kernel: Sync {
    /// Whether payloads come over a network, so that an engine should have many batches begun at once.
    fn is_remote(&self) -> bool;

    /// Fails when the run was asked to end, and after [`give_up`](Kernel::give_up); an engine asks between batches.
    fn go_on(&self) -> Result<()>;

    /// Ends what runs before its next call of user code, because the stage has failed. An engine that does so reports why.
    fn give_up(&self);

    /// Begins to read the payloads that `map` will look at, and returns at once.
    fn begin_map(&self, items: &[Item]) -> Result<Fetch>;

    /// Runs the front-ends of items, in order, until all have run or what they emitted is enough for one batch. What was
    /// not begun is read now.
    fn map(&self, items: Vec<Item>, fetch: Fetch) -> Result<MapBatch>;

    /// Begins to read the payloads that `reduce` will look at, and returns at once.
    fn begin_reduce(&self, rows: &Rows) -> Result<Fetch>;

    /// Bytes that a row takes in memory while its group is compiled, besides its own: a payload that it stands for.
    fn weight(&self, row: Row<'_>) -> u64;

    /// Runs the back-end of each group of sorted rows, hashes what it made and stores what is not published already.
    /// What was not begun is read now.
    fn reduce(&self, rows: &mut dyn RowStream, fetch: Fetch) -> Result<Vec<Reduced>>;
}

/// The payloads of a batch on their way; nothing by default.
#[derive(Debug, Default)]
pub struct Fetch {
    /// For each layer that payloads are read from, which of the batch's they are.
    pub(crate) begun: Option<Vec<(Vec<usize>, Payloads)>>,
    /// Those that were read already.
    pub(crate) ready: Option<Vec<Payload>>,
    /// The bytes of those that are on their way.
    pub(crate) bytes: u64,
}

impl Fetch {
    /// Payloads that were read already, in the order of the batch.
    pub(crate) fn ready(payloads: Vec<Payload>) -> Fetch {
        Fetch { ready: Some(payloads), ..Fetch::default() }
    }

    /// Waits for the payloads, in the order of the batch; `None` when nothing was begun.
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
    /// Which input.
    pub key: InputKey,
    /// Its meta and place.
    pub entry: Entry,
}

/// What the front-ends of a batch said.
#[derive(Debug, Default)]
pub struct MapBatch {
    /// What is known of each item, in order.
    pub mapped: Vec<Mapped>,
    /// The rows for the shuffle, in order of items and of emission.
    pub rows: Rows,
    /// The items that were not run because others had emitted enough, in order, as batches: each with what was read for
    /// it. An engine runs them next.
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

/// What is known of a front-end's work on one item.
#[derive(Debug)]
pub struct Mapped {
    /// The item.
    pub item: InputKey,
    /// The outputs it goes into, in order, each with the digest of what is said to it.
    pub edges: Vec<(OutputKey, Digest)>,
    /// What it looked at, in order.
    pub reads: Vec<Seen>,
    /// Why it said nothing, if it failed.
    pub failed: Option<Box<Failure>>,
}

/// What became of one output.
#[derive(Debug)]
pub struct Reduced {
    /// The output.
    pub out: OutputKey,
    /// The first of the items it was made from.
    pub item: InputKey,
    /// What the back-end made.
    pub outcome: Outcome,
    /// What the back-end looked at, in order.
    pub reads: Vec<Seen>,
}

/// What a back-end made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// No payload.
    Nothing,
    /// Just what is published already.
    Same,
    /// Something new, stored already.
    New(Entry),
    /// Any number of partitions, in order of their keys, of a group that is no partition itself: stored already, or
    /// none for one that is published just so.
    Several(Vec<(OutputKey, Option<Entry>)>),
    /// None, because the back-end failed.
    Failed(Box<Failure>),
    /// None, because the back-end was not run: an input that the output is made from failed.
    Held,
}
