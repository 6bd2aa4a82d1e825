//! Stages of code that runs over the whole input.
//!
//! The front-end of a dep task emits everything again in each run; only outputs to which it emits other values than before
//! are compiled. A global task makes all of its output in each run, and what differs is published.

use deltic_compiler::{DepStage, GlobalStage};
use deltic_core::Hasher;
use deltic_store::{read_entry, write_entry};

use crate::Result;
use crate::determinism::DeterminismCheck;
use crate::engine::kernel::TaskKernel;
use crate::engine::{Outcome, StageSession};
use crate::error::contract;
use crate::key::{EncodedKey, InputKey, OutputKey};
use crate::report::Counts;
use crate::sort::external::Shuffle;
use crate::sort::key_set::{KeySet, KeySorter};
use crate::sort::marks::Marks;
use crate::sort::rows::{RowStream, Rows};
use crate::stage::backs::BackSink;
use crate::stage::context::{Stage, StageResult};
use crate::stage::dirty::count_marks;
use crate::stage::fronts::FrontSink;
use crate::stage::publisher::Publishers;
use crate::stage::quarantine::Quarantine;
use crate::stage::reverse::reverse_all;
use crate::stage::sample::affected;
use crate::state::listed::Listed;
use crate::state::tables::State;

/// The bytes of rows that are passed on together.
const BATCH_BYTES: usize = 1 << 20;

/// Runs a dep stage, in full or incrementally.
pub(crate) fn dep<'s>(
    stage: &'s Stage<'s>,
    kernel: &'s TaskKernel<'s>,
    check: Option<&DeterminismCheck<'_>>,
    dep: &dyn DepStage,
    mut session: Box<dyn StageSession + 's>,
) -> Result<StageResult> {
    let whole = InputKey::whole();
    let mut quarantine = Quarantine::new(stage, kernel);
    let mut sink = FrontSink::new(stage, &mut quarantine);
    sink.counts.inputs = inputs(stage)?;
    sink.counts.fronts = 1;

    let mut emitted = Shuffle::new(stage.engine.row_memory() / 2);
    match check {
        Some(check) => check.map_whole(dep, &whole, &mut |rows| emitted.push(rows))?,
        None => kernel.map_whole(dep, &whole, &mut |rows| emitted.push(rows))?,
    }
    let mut emitted = emitted.finish()?;

    let mut wanted = KeySorter::new(stage.set_memory());
    if !stage.full {
        affected(stage, kernel, &mut wanted)?;
    }

    // What the front-end emitted in the base, in the order of outputs.
    let mut before = Listed::new(&stage.state.edges, &whole.to_bytes());
    let mut batch = Rows::default();
    while let Some(first) = emitted.peek()? {
        let out = EncodedKey::from(first.out);
        let mut hasher = Hasher::new("deltic edge 1");
        while let Some(row) = emitted.peek()?.filter(|row| *row.out == *out) {
            hasher.bytes(row.value);
            batch.push(row.out, row.item, row.value);
            if batch.bytes() > BATCH_BYTES {
                session.add(std::mem::take(&mut batch))?;
            }
            emitted.advance()?;
        }
        while let Some((gone, was)) = before.next_if(|gone| *gone < out[..])? {
            sink.whole_emitted(&whole, &gone, Some(stage.state.edge_digest(&was)?), None)?;
            wanted.add(&gone, Marks::EMITTED)?;
        }
        let was = before.next_if(|of| *of == out[..])?;
        let was = was.map(|(_, was)| stage.state.edge_digest(&was)).transpose()?;
        if sink.whole_emitted(&whole, &out, was, Some(hasher.finish()))? {
            wanted.add(&out, Marks::EMITTED)?;
        }
    }
    while let Some((gone, was)) = before.next_if(|_| true)? {
        sink.whole_emitted(&whole, &gone, Some(stage.state.edge_digest(&was)?), None)?;
        wanted.add(&gone, Marks::EMITTED)?;
    }
    session.add(batch)?;

    let mut fronts = sink.finish()?;
    let nothing = KeySet::default();
    if stage.full {
        let mut backs = BackSink::full(stage, kernel, fronts, &mut quarantine, &nothing);
        session.sorted()?.reduce(None, None, &mut backs)?;
        return reverse_all(stage, kernel, backs.finish()?);
    }
    let wanted = wanted.finish()?;
    count_marks(&wanted, &mut fronts.counts)?;
    fronts.counts.cut_off = u64::from(wanted.is_empty());
    let mut backs = BackSink::incremental(stage, kernel, fronts, &mut quarantine, &wanted, &nothing);
    session.sorted()?.reduce(None, Some(&wanted), &mut backs)?;
    reverse_all(stage, kernel, backs.finish()?)
}

/// The number of partitions in the input layers; in an incremental stage, of those that changed.
fn inputs(stage: &Stage<'_>) -> Result<u64> {
    let mut count = 0;
    for (_, _, layer) in stage.view.iter().filter(|(_, name, _)| stage.task.inputs().contains(name)) {
        if stage.full {
            count += layer.now().count();
        } else {
            for change in layer.changes() {
                change?;
                count += 1;
            }
        }
    }
    Ok(count)
}

/// Runs a global stage, which is the same in every kind of run.
pub(crate) fn global(
    stage: &Stage<'_>,
    kernel: &TaskKernel<'_>,
    check: Option<&DeterminismCheck<'_>>,
    global: &dyn GlobalStage,
) -> Result<StageResult> {
    let mut counts = Counts { inputs: inputs(stage)?, ..Counts::default() };
    let mut results = Shuffle::new(stage.engine.row_memory());
    let mut batch = Rows::default();
    let mut take = |out: OutputKey, outcome: Outcome| {
        let mut value = Vec::new();
        if let Outcome::New(entry) = &outcome {
            write_entry(entry, &mut value);
        }
        batch.push(&out.to_bytes(), &[], &value);
        if batch.bytes() < BATCH_BYTES { Ok(()) } else { results.push(std::mem::take(&mut batch)) }
    };
    match check {
        Some(check) => check.compile_whole(global, &mut take)?,
        None => kernel.compile_whole(global, &mut take)?,
    }
    results.push(batch)?;
    let mut results = results.finish()?;
    let mut publishers = Publishers::new(stage, kernel, true);
    let mut last: Option<OutputKey> = None;
    while let Some(row) = results.peek()? {
        let out = stage.decode(row.out)?;
        let outcome = match row.value {
            [] => Outcome::Same,
            entry => {
                Outcome::New(read_entry(entry).ok_or_else(|| stage.broken("an entry that is cut short".to_owned()))?)
            }
        };
        results.advance()?;
        if last.as_ref() == Some(&out) {
            let output = kernel.out_key(&out)?.to_string();
            return Err(contract::duplicate_output(stage.task.id(), output));
        }
        counts.compiled += 1;
        counts.same += u64::from(outcome == Outcome::Same);
        publishers.offer(&out, &outcome)?;
        last = Some(out);
    }
    let outputs = publishers.finish(&mut counts)?;
    Ok(StageResult { outputs, state: State::empty(stage.task.id(), stage.draft), counts, quarantined: Vec::new() })
}
