//! Front-ends: what inputs emit to outputs, one by one or all at once.

use anyhow::Context as _;
use deltic_compiler::{
    Context, DepStage, DirectStage, Edges, Emitted, Graph, GroupStage, IncrementalDepStage, Input, InputChange,
    Lookup as _, Whole,
};
use deltic_core::{Digest, Hasher, Key, Name, Payload};
use deltic_store::write_entry;

use super::{TaskKernel, wanted_of};
use crate::engine::{EMITTED_BYTES, Fetch, Item, Kernel as _, MapBatch, Mapped};
use crate::error::failure::attempt;
use crate::key::{InputKey, LayerIndex, OutputKey};
use crate::report::observe::Event;
use crate::sort::rows::Rows;
use crate::{Phase, Result};

impl TaskKernel<'_> {
    pub(super) fn map_direct(&self, stage: &dyn DirectStage, items: Vec<Item>) -> Result<MapBatch> {
        let mut batch = MapBatch::default();
        let (mut from, mut to, mut value) = (Vec::new(), Vec::new(), Vec::new());
        let mut emitted = 0;
        let mut items = items.into_iter();
        while emitted < EMITTED_BYTES
            && let Some(Item { key, entry }) = items.next()
        {
            let before = batch.rows.bytes();
            let outs = self.outputs_of(stage, &key)?;
            from.clear();
            key.write(&mut from);
            value.clear();
            write_entry(&entry, &mut value);
            for out in &outs {
                to.clear();
                out.write(&mut to);
                batch.rows.push(&to, &from, &value);
            }
            let edges = outs.into_iter().map(|out| (out, entry.meta.content_digest())).collect();
            let mapped = Mapped { item: key, edges, reads: Vec::new(), failed: None };
            emitted += mapped.weight() + (batch.rows.bytes() - before) as u64;
            batch.mapped.push(mapped);
        }
        batch.rest = pieces(items.collect(), None, batch.mapped.len());
        Ok(batch)
    }

    pub(super) fn map_group(&self, stage: &dyn GroupStage, items: Vec<Item>, fetch: Fetch) -> Result<MapBatch> {
        let payloads = self.payloads(&wanted_of(&items), fetch)?;
        let inputs = items.iter().zip(payloads).map(|(item, payload)| {
            let key = self.key(&item.key, Phase::Front)?;
            Ok(Input { key, meta: item.entry.meta.clone(), payload })
        });
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        self.read_ahead(|context| stage.read_ahead(&inputs, context))?;
        let mut batch = MapBatch::default();
        let mut from = Vec::new();
        let mut emitted_bytes = 0;
        let mut left = items.into_iter().zip(inputs);
        while emitted_bytes < EMITTED_BYTES
            && let Some((item, input)) = left.next()
        {
            let before = batch.rows.bytes();
            self.observer.event(&Event::Front { task: self.task.id(), key: &input.key });
            let context = Context::new(self.view);
            let emitted = self.guard(Phase::Front, &input.key, Some(&input.key), || {
                stage.front(&input, self.task.outputs(), &context)
            });
            // The emitted values are copied next. The input is freed first, so that both are not in memory.
            drop(input);
            let (edges, reads, failed) = match attempt(emitted)? {
                Ok(emitted) => {
                    from.clear();
                    item.key.write(&mut from);
                    (push_rows(&emitted, &from, &mut batch.rows), context.into_seen(), None)
                }
                Err(failure) => (Vec::new(), Vec::new(), Some(failure)),
            };
            let mapped = Mapped { item: item.key, edges, reads, failed };
            emitted_bytes += mapped.weight() + (batch.rows.bytes() - before) as u64;
            batch.mapped.push(mapped);
        }
        let (items, payloads) = left.map(|(item, input)| (item, input.payload)).unzip();
        batch.rest = pieces(items, Some(payloads), batch.mapped.len());
        Ok(batch)
    }

    /// Runs a front-end over the whole input; `rows` takes what it emits, with `item` as the input.
    pub(crate) fn map_whole(
        &self,
        stage: &dyn DepStage,
        item: &InputKey,
        rows: &mut dyn FnMut(Rows) -> Result<()>,
    ) -> Result<()> {
        let from = item.to_bytes();
        // Its reads are not recorded: it runs whenever anything changed that it can read.
        let context = Context::new(self.view);
        let whole = Whole::new(self.view, self.task.inputs());
        self.observer.event(&Event::Whole { task: self.task.id(), phase: Phase::Front });
        self.guard(Phase::Front, &"the whole input", None, || {
            stage.front(&whole, self.task.outputs(), &context, &mut |emitted| {
                self.go_on()?;
                let mut batch = Rows::default();
                push_rows(&emitted, &from, &mut batch);
                Ok(rows(batch)?)
            })
        })
    }

    /// Calls the user's code for the dependency graph, or, given the changes and the graph of the base, for what is new in it.
    /// `take` takes each input whose outputs are set, with these.
    pub(crate) fn edges_of_user(
        &self,
        stage: &dyn IncrementalDepStage,
        before: Option<(&mut dyn Iterator<Item = deltic_compiler::Result<InputChange>>, &dyn Graph)>,
        take: &mut dyn FnMut(InputKey, Vec<OutputKey>) -> Result<()>,
    ) -> Result<()> {
        let whole = Whole::new(self.view, self.task.inputs());
        self.observer.event(&Event::Whole { task: self.task.id(), phase: Phase::Graph });
        self.guard(Phase::Graph, &"the input", None, || {
            let mut take = |input: &Key, outs: Vec<(u16, Name)>| {
                self.go_on()?;
                let number = self.view.number(&input.layer).filter(|_| self.task.inputs().contains(&input.layer));
                let key = InputKey::new(number.context("it is in no input layer")?, input.name.to_bytes());
                anyhow::ensure!(
                    self.view.meta(key.layer.0, &key.name)?.is_some(),
                    "outputs are set for {input}, which does not exist"
                );
                let outs = outs.into_iter().map(|(layer, name)| OutputKey::new(LayerIndex(layer), name.to_bytes()));
                Ok(take(key, outs.collect())?)
            };
            let mut edges = Edges::new(self.task.outputs(), &mut take);
            match before {
                Some((changes, graph)) => stage.update(&whole, changes, graph, &mut edges),
                None => stage.graph(&whole, &mut edges),
            }
        })
    }
}

/// Cuts the rest of a batch into batches of `size` items, with the payloads that were read for them.
pub(crate) fn pieces(items: Vec<Item>, payloads: Option<Vec<Payload>>, size: usize) -> Vec<(Vec<Item>, Fetch)> {
    let mut payloads = payloads.map(Vec::into_iter);
    let mut items = items.into_iter().peekable();
    let mut pieces = Vec::new();
    while items.peek().is_some() {
        let piece: Vec<Item> = items.by_ref().take(size.max(1)).collect();
        let fetch = payloads.as_mut().map(|payloads| Fetch::ready(payloads.by_ref().take(piece.len()).collect()));
        pieces.push((piece, fetch.unwrap_or_default()));
    }
    pieces
}

/// Adds rows for what a front-end emitted; returns its edges.
fn push_rows(emitted: &Emitted, from: &[u8], rows: &mut Rows) -> Vec<(OutputKey, Digest)> {
    let mut to = Vec::new();
    let mut outs: Vec<(OutputKey, &[u8])> = Vec::with_capacity(emitted.rows.len());
    for row in &emitted.rows {
        let out = OutputKey::new(LayerIndex(row.layer), row.name.to_bytes());
        to.clear();
        out.write(&mut to);
        rows.push(&to, from, emitted.value(row));
        outs.push((out, emitted.value(row)));
    }
    edges_of(outs)
}

/// The outputs that values go to, in order, each with the digest of all values for it in order of emission.
fn edges_of(mut outs: Vec<(OutputKey, &[u8])>) -> Vec<(OutputKey, Digest)> {
    outs.sort_by(|a, b| a.0.cmp(&b.0));
    let mut edges: Vec<(OutputKey, Digest)> = Vec::with_capacity(outs.len());
    let mut outs = outs.into_iter().peekable();
    while let Some((out, first)) = outs.next() {
        let mut hasher = Hasher::new("deltic edge 1");
        hasher.bytes(first);
        while let Some((_, value)) = outs.next_if(|(next, _)| *next == out) {
            hasher.bytes(value);
        }
        edges.push((out, hasher.finish()));
    }
    edges
}
