//! Stages whose front-end goes through the whole input.
//!
//! A dep task's front-end says everything anew in each run; only outputs to which it says something else than before are
//! compiled. A global task publishes all of its output in each run, and what differs counts.

use deltic_compiler::{DepStage, GlobalStage};
use deltic_core::Hasher;

use crate::Result;
use crate::determinism::Twice;
use crate::engine::codec::{read_entry, write_entry};
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

/// Bytes of rows that are handed on together.
const BATCH_BYTES: usize = 1 << 20;

/// Runs a dep stage, in full or incrementally.
pub(crate) fn dep<'s>(
    stage: &'s Stage<'s>,
    kernel: &'s TaskKernel<'s>,
    twice: Option<&Twice<'_>>,
    dep: &dyn DepStage,
    mut session: Box<dyn StageSession + 's>,
) -> Result<StageResult> {
    let whole = InputKey::whole();
    let mut quarantine = Quarantine::new(stage, kernel);
    let mut sink = FrontSink::new(stage, &mut quarantine);
    sink.counts.inputs = inputs(stage)?;
    sink.counts.fronts = 1;

    let mut said = Shuffle::new(stage.engine.row_memory() / 2);
    match twice {
        Some(twice) => twice.map_whole(dep, &whole, &mut |rows| said.push(rows))?,
        None => kernel.map_whole(dep, &whole, &mut |rows| said.push(rows))?,
    }
    let mut said = said.finish()?;

    let mut wanted = KeySorter::new(stage.set_memory());
    if !stage.full {
        affected(stage, kernel, &mut wanted)?;
    }

    // What the front-end emitted in the base.
    let mut before = Listed::new(&stage.state.edges, &whole.to_bytes());
    let mut batch = Rows::default();
    while let Some(first) = said.peek()? {
        let out = EncodedKey::from(first.out);
        let mut hasher = Hasher::new("deltic edge 1");
        while let Some(row) = said.peek()?.filter(|row| *row.out == *out) {
            hasher.bytes(row.value);
            batch.push(row.out, row.item, row.value);
            if batch.bytes() > BATCH_BYTES {
                session.add(std::mem::take(&mut batch))?;
            }
            said.advance()?;
        }
        while let Some((gone, was)) = before.next_if(|gone| *gone < out[..])? {
            sink.whole_emitted(&whole, &gone, Some(stage.state.edge_digest(&was)?), None)?;
            wanted.add(&gone, Marks::EMITTED)?;
        }
        let was = before.next_if(|known| *known == out[..])?;
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

/// How many partitions changed in the input layers; in a full stage, how many there are.
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
    twice: Option<&Twice<'_>>,
    global: &dyn GlobalStage,
) -> Result<StageResult> {
    let mut counts = Counts { inputs: inputs(stage)?, ..Counts::default() };
    let mut made = Shuffle::new(stage.engine.row_memory());
    let mut batch = Rows::default();
    let mut take = |out: OutputKey, outcome: Outcome| {
        let mut value = Vec::new();
        if let Outcome::New(entry) = &outcome {
            write_entry(entry, &mut value);
        }
        batch.push(&out.to_bytes(), &[], &value);
        if batch.bytes() < BATCH_BYTES { Ok(()) } else { made.push(std::mem::take(&mut batch)) }
    };
    match twice {
        Some(twice) => twice.compile_whole(global, &mut take)?,
        None => kernel.compile_whole(global, &mut take)?,
    }
    made.push(batch)?;
    let mut made = made.finish()?;
    let mut publishers = Publishers::new(stage, kernel, true);
    let mut last: Option<OutputKey> = None;
    while let Some(row) = made.peek()? {
        let out = stage.decode(row.out)?;
        let outcome = match row.value {
            [] => Outcome::Same,
            entry => {
                Outcome::New(read_entry(entry).ok_or_else(|| stage.broken("an entry that is cut short".to_owned()))?)
            }
        };
        made.advance()?;
        if last.as_ref() == Some(&out) {
            let output = kernel.out_key(&out)?.to_string();
            return Err(contract::published_twice(stage.task.id(), output));
        }
        counts.compiled += 1;
        counts.same += u64::from(outcome == Outcome::Same);
        publishers.offer(&out, &outcome)?;
        last = Some(out);
    }
    let outputs = publishers.finish(&mut counts)?;
    Ok(StageResult { outputs, state: State::empty(stage.task.id(), stage.draft), counts, quarantined: Vec::new() })
}
