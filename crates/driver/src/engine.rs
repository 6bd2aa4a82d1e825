//! The one seam between the driver and the machine.
//!
//! An engine runs a stage's kernel over a stream of work: `map` over input elements, a shuffle by output key, `reduce`
//! over groups. It decides where and in what order; the driver decides what. Everything that crosses the seam is plain
//! data made of bytes, so a kernel can as well run behind a pipe.
//!
//! An engine must hand over results in the order of their elements, whatever the number of workers: nothing that the
//! driver writes may depend on timing.

use std::collections::BTreeSet;

use bytes::Bytes;
use deltic_compiler::Seen;
use deltic_core::Digest;
use deltic_store::Entry;

use crate::{Element, Result};

/// Runs kernels. Engines differ in speed only.
pub trait Engine: Send + Sync {
    /// The name in reports.
    fn name(&self) -> &str;

    /// Opens a session for one stage of one run.
    fn stage<'a>(&'a self, kernel: &'a dyn Kernel) -> Box<dyn StageSession + 'a>;
}

/// One stage being run: any number of `map`s, whose rows are kept, then one `reduce` over them.
pub trait StageSession {
    /// Runs front-ends over items, which come in element order, and hands over what each said, in the same order. Rows
    /// stay with the session for the reduce.
    fn map(
        &mut self,
        items: &mut dyn Iterator<Item = Result<Item>>,
        take: &mut dyn FnMut(Mapped) -> Result<()>,
    ) -> Result<()>;

    /// Groups the rows by output and runs back-ends, handing results over in output order. With `wanted`, only these
    /// outputs are compiled; wanted outputs without a row yield nothing.
    fn reduce(
        self: Box<Self>,
        wanted: Option<&BTreeSet<Element>>,
        take: &mut dyn FnMut(Reduced) -> Result<()>,
    ) -> Result<()>;
}

/// The code of a stage as a worker runs it: pure, and safe to run twice.
pub trait Kernel: Sync {
    /// Runs the front-end of each item.
    fn map(&self, items: Vec<Item>) -> Result<Vec<Mapped>>;

    /// Runs the back-end of each group, hashes what it made and stores what is not published already.
    fn reduce(&self, groups: Vec<Group>) -> Result<Vec<Reduced>>;
}

/// An input element and where its payload lies.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which input.
    pub element: Element,
    /// Its meta and place.
    pub entry: Entry,
}

/// What a front-end said about one item.
#[derive(Debug)]
pub struct Mapped {
    /// The item.
    pub item: Element,
    /// The outputs it goes into, in order, each with the digest of what is said to it.
    pub edges: Vec<(Element, Digest)>,
    /// What it looked at, in order.
    pub reads: Vec<Seen>,
    /// The rows for the shuffle, in order of emission. An engine takes them; the driver gets none.
    pub rows: Vec<Row>,
}

/// A row on its way from a front-end to a back-end.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where it goes.
    pub out: Element,
    /// Where it comes from.
    pub item: Element,
    /// What it carries.
    pub value: RowValue,
}

/// What a row carries.
#[derive(Debug, Clone)]
pub enum RowValue {
    /// An encoded intermediate value.
    Bytes(Bytes),
    /// The input itself, to be read by the back-end.
    Input(Entry),
}

/// All rows for one output, ordered by item and, within an item, as emitted. Never empty.
#[derive(Debug)]
pub struct Group {
    /// The output.
    pub out: Element,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// What became of one output.
#[derive(Debug)]
pub struct Reduced {
    /// The output.
    pub out: Element,
    /// The items it was made from, in order.
    pub items: Vec<Element>,
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
    Same(Entry),
    /// Something new, stored already.
    New(Entry),
}
