//! Stages whose dependency graph the user keeps up to date.
//!
//! The edges that the user sets take the place of front-ends: an input emits the digest of its content to its outputs. So
//! the outputs of a changed input are compiled, and those that an input begins or ceases to contribute to.

use deltic_compiler::{Graph, IncrementalDepStage, InputChange, OutKey};
use deltic_core::Key;
use deltic_store::{Change, Entry, KeyRange, write_entry};

use crate::Result;
use crate::determinism::{DeterminismCheck, TakeEdges};
use crate::engine::kernel::TaskKernel;
use crate::engine::{Mapped, StageSession};
use crate::error::contract;
use crate::key::{EncodedKey, InputKey, LayerIndex, OutputKey};
use crate::sort::external::{Shuffle, Sorted};
use crate::sort::key_set::{KeySet, KeySorter, KeyWriter};
use crate::sort::marks::Marks;
use crate::sort::read_ahead::{TOGETHER, TOGETHER_BYTES, read_ahead_within};
use crate::sort::rows::{RowStream, Rows};
use crate::stage::backs::BackSink;
use crate::stage::context::{Stage, StageResult};
use crate::stage::dirty::{Dirty, DirtyInputs, count_marks, present};
use crate::stage::fronts::FrontSink;
use crate::stage::quarantine::Quarantine;
use crate::stage::reverse::reverse_all;
use crate::stage::sample::affected;

/// Runs such a stage, in full or incrementally.
pub(crate) fn run<'s>(
    stage: &'s Stage<'s>,
    kernel: &'s TaskKernel<'s>,
    check: Option<&DeterminismCheck<'_>>,
    graph: &dyn IncrementalDepStage,
    mut session: Box<dyn StageSession + 's>,
) -> Result<StageResult> {
    let (mut edges, mentioned) = UserEdges::collect(stage, kernel, check, graph)?;
    let mut quarantine = Quarantine::new(stage, kernel);
    let mut sink = FrontSink::new(stage, &mut quarantine);
    let mut rows = Rows::default();
    let mut take = |input: Dirty, sink: &mut FrontSink<'_, '_>, dirty: &mut dyn FnMut(&OutputKey) -> Result<()>| {
        sink.counts.inputs += 1;
        let bytes = input.key.to_bytes();
        let outs = match edges.outputs_of(&bytes, stage)? {
            Some(outs) => outs,
            None if input.existed && !stage.is_sampled() => {
                stage.state.edges_of(&input.key).map(|edge| Ok(edge?.0)).collect::<Result<_>>()?
            }
            None => Vec::new(),
        };
        let Some(entry) = input.now else { return sink.front_gone(&input.key, dirty) };
        for out in &outs {
            push(&mut rows, out, &bytes, &entry);
        }
        if rows.bytes() >= TOGETHER_BYTES {
            session.add(std::mem::take(&mut rows))?;
        }
        let edges = outs.into_iter().map(|out| (out, entry.meta.content_digest())).collect();
        let mapped = Mapped { item: input.key, edges, reads: Vec::new(), failed: None };
        sink.front_ran(&mapped, input.existed, dirty)
    };
    if stage.full {
        for (layer, tree) in stage.inputs() {
            for found in tree.scan(KeyRange::all()) {
                let (name, entry) = found?;
                let key = InputKey::new(layer, name);
                let input = Dirty { key, existed: false, now: Some(entry), through_reads: false, retried: false };
                take(input, &mut sink, &mut |_| Ok(()))?;
            }
        }
        session.add(rows)?;
        let (fronts, held) = (sink.finish()?, KeySet::default());
        let mut backs = BackSink::full(stage, kernel, fronts, &mut quarantine, &held);
        session.sorted()?.reduce(None, None, &mut backs)?;
        return reverse_all(stage, kernel, backs.finish()?);
    }

    let mut outputs = KeySorter::new(stage.set_memory());
    let every = affected(stage, kernel, &mut outputs)?;
    let mentioned = if stage.is_sampled() { every } else { mentioned };
    let mut inputs = KeyWriter::new(stage.set_memory());
    for input in DirtyInputs::new(stage.task, stage.view, &mentioned) {
        let input = input?;
        inputs.push(&input.key.to_bytes(), Marks::empty())?;
        take(input, &mut sink, &mut |out| outputs.add(&out.to_bytes(), Marks::EMITTED))?;
    }
    session.add(rows)?;
    let (inputs, outputs) = (inputs.finish()?, outputs.finish()?);
    other_contributors(stage, &inputs, &outputs, session.as_mut())?;
    let mut fronts = sink.finish()?;
    count_marks(&outputs, &mut fronts.counts)?;
    let mut backs = BackSink::incremental(stage, kernel, fronts, &mut quarantine, &outputs, &inputs);
    session.sorted()?.reduce(None, Some(&outputs), &mut backs)?;
    reverse_all(stage, kernel, backs.finish()?)
}

fn push(rows: &mut Rows, out: &OutputKey, input: &[u8], entry: &Entry) {
    let mut value = Vec::new();
    write_entry(entry, &mut value);
    rows.push(&out.to_bytes(), input, &value);
}

/// Adds rows for the unchanged inputs of affected outputs.
fn other_contributors(
    stage: &Stage<'_>,
    inputs: &KeySet,
    outputs: &KeySet,
    session: &mut dyn StageSession,
) -> Result<()> {
    // Sorted by input, so that inputs are looked up in order.
    let mut by_input = Shuffle::new(stage.set_memory());
    let mut walk = outputs.walk();
    loop {
        let some = walk.some()?;
        if some.is_empty() {
            break;
        }
        read_ahead_within(&stage.state.contributors, &some.iter().map(|(out, _)| out).collect::<Vec<_>>())?;
        let mut batch = Rows::default();
        for (out, _) in &some {
            for input in stage.state.contributors_of(out) {
                batch.push(&input?.0, out, &[]);
                if batch.bytes() >= TOGETHER_BYTES {
                    by_input.push(std::mem::take(&mut batch))?;
                }
            }
        }
        by_input.push(batch)?;
    }
    let (mut by_input, mut changed) = (by_input.finish()?, inputs.walk());
    loop {
        let (mut again, mut pairs): (Vec<InputKey>, Vec<(usize, OutputKey)>) = Default::default();
        while again.len() < TOGETHER
            && pairs.len() < 16 * TOGETHER
            && let Some(first) = by_input.peek()?
        {
            let input = EncodedKey::from(first.out);
            let is_changed = changed.take(&input)?;
            while let Some(row) = by_input.peek()?.filter(|row| *row.out == *input) {
                if !is_changed {
                    pairs.push((again.len(), stage.decode(row.item)?));
                }
                by_input.advance()?;
            }
            if !is_changed {
                again.push(stage.decode(&input)?);
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        let entries = present(stage.task, stage.view, &again)?;
        let mut rows = Rows::default();
        for (index, out) in pairs {
            push(&mut rows, &out, &again[index].to_bytes(), &entries[index]);
            if rows.bytes() >= TOGETHER_BYTES {
                session.add(std::mem::take(&mut rows))?;
            }
        }
        session.add(rows)?;
    }
}

/// The edges that the user set, sorted by input.
struct UserEdges {
    /// Input and output; and for each input one row without an output: an input may be set to have none.
    rows: Sorted,
}

impl UserEdges {
    /// Calls the user's code. Returns also the inputs whose outputs were set.
    fn collect(
        stage: &Stage<'_>,
        kernel: &TaskKernel<'_>,
        check: Option<&DeterminismCheck<'_>>,
        graph: &dyn IncrementalDepStage,
    ) -> Result<(UserEdges, KeySet)> {
        let mut edges = Shuffle::new(stage.set_memory());
        let mut mentioned = KeySorter::new(stage.set_memory());
        let mut take = |input: InputKey, outs: Vec<OutputKey>| {
            let input = input.to_bytes();
            mentioned.add(&input, Marks::empty())?;
            let mut rows = Rows::default();
            rows.push(&input, &[], &[]);
            for out in &outs {
                rows.push(&input, &out.to_bytes(), &[]);
            }
            edges.push(rows)
        };
        let ask = |kernel: &TaskKernel<'_>, take: TakeEdges<'_>| {
            // A verification must not go by the graph of the base, which is what it checks.
            if stage.full || stage.is_sampled() {
                return kernel.edges_of_user(graph, None, take);
            }
            let before = GraphBefore { stage, kernel };
            let layers = stage.view.iter().filter(|(_, name, _)| stage.task.inputs().contains(name));
            let mut changes = layers.flat_map(|(number, _, layer)| {
                layer.changes().map(move |change| {
                    let Change { key, before, after } = stage.view.answer(change)?;
                    let key = stage.view.key(&InputKey::new(number, key))?;
                    Ok(InputChange { key, existed: before.is_some(), exists: after.is_some() })
                })
            });
            kernel.edges_of_user(graph, Some((&mut changes, &before)), take)
        };
        match check {
            Some(check) => check.edges(&ask, &mut take)?,
            None => ask(kernel, &mut take)?,
        }
        Ok((UserEdges { rows: edges.finish()? }, mentioned.finish()?))
    }

    /// The outputs that were set for an input; none if none were set. Inputs are asked for in order.
    fn outputs_of(&mut self, input: &[u8], stage: &Stage<'_>) -> Result<Option<Vec<OutputKey>>> {
        while self.rows.peek()?.is_some_and(|row| row.out < input) {
            self.rows.advance()?;
        }
        let (mut mentioned, mut outs) = (0, Vec::new());
        while let Some(row) = self.rows.peek()?.filter(|row| *row.out == *input) {
            if row.item.is_empty() {
                mentioned += 1;
            } else {
                outs.push(stage.decode(row.item)?);
            }
            self.rows.advance()?;
        }
        if mentioned > 1 {
            let input = stage.view.show(&stage.decode(input)?);
            return Err(contract::duplicate_edges(stage.task.id(), input));
        }
        Ok((mentioned > 0).then_some(outs))
    }
}

/// The graph in the base.
struct GraphBefore<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
}

impl Graph for GraphBefore<'_> {
    fn outputs_of(&self, input: &Key) -> deltic_compiler::Result<Vec<OutKey>> {
        let Some(layer) = self.stage.view.number(&input.layer) else { return Ok(Vec::new()) };
        let edges = self.stage.state.edges_of(&InputKey::new(layer, input.name.to_bytes()));
        let edges = self.kernel.view.answer(edges.collect::<Result<Vec<_>>>())?;
        Ok(edges.iter().map(|(out, _)| self.kernel.out_key(out)).collect::<Result<_>>()?)
    }

    fn inputs_of(&self, output: &OutKey) -> deltic_compiler::Result<Vec<Key>> {
        let layers = self.stage.task.outputs();
        let Some(layer) = LayerIndex::all().zip(layers).find(|(_, layer)| layer.id == output.layer) else {
            return Ok(Vec::new());
        };
        let out = OutputKey::new(layer.0, output.name.to_bytes()).to_bytes();
        let key = |input: Result<(EncodedKey, Entry)>| {
            let (input, _) = self.kernel.view.answer(input)?;
            Ok(self.stage.view.key(&self.stage.decode(&input)?)?)
        };
        self.stage.state.contributors_of(&out).map(key).collect()
    }
}
