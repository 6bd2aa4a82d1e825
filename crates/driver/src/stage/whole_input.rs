//! Stages whose front-end goes through the whole input.
//!
//! A dep task's front-end says everything anew in each run; only outputs to which it says something else than before are
//! compiled. A global task publishes all of its output in each run, and what differs counts.

use deltic_compiler::{DepStage, GlobalStage};
use deltic_core::{Digest, Hasher};
use deltic_store::KeyRange;

use crate::determinism::Twice;
use crate::engine::codec::{read_entry, write_entry};
use crate::engine::kernel::TaskKernel;
use crate::engine::{Outcome, StageSession};
use crate::report::Counts;
use crate::sort::external::Shuffle;
use crate::sort::key_set::{Elements, Sorter};
use crate::sort::rows::{RowStream, Rows};
use crate::stage::context::Stage;
use crate::stage::context::StageResult;
use crate::stage::dirty::{SAID, count_marks};
use crate::stage::publisher::Publisher;
use crate::stage::sample::affected;
use crate::stage::sink::{Settling, deleted};
use crate::state::tables::State;
use crate::{Element, Error, Result};

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
    // Where the base has the one input that stands for all.
    let whole = Element::new(u16::MAX, []);
    let mut settling = Settling::new(stage, kernel);
    settling.counts.inputs = inputs(stage)?;
    settling.counts.fronts = 1;

    let mut said = Shuffle::new(stage.engine.row_memory() / 2);
    match twice {
        Some(twice) => twice.map_whole(dep, &whole, &mut |rows| said.push(rows))?,
        None => kernel.map_whole(dep, &whole, &mut |rows| said.push(rows))?,
    }
    let mut said = said.finish()?;

    let mut wanted = Sorter::new(stage.set_memory());
    if !stage.full {
        affected(stage, kernel, &mut wanted)?;
    }

    let mut before = EmittedBefore::new(stage, &whole)?;
    let mut batch = Rows::default();
    while let Some(first) = said.peek()? {
        let out = first.out.to_vec();
        let mut hasher = Hasher::new("deltic edge 1");
        while let Some(row) = said.peek()?.filter(|row| row.out == out) {
            hasher.bytes(row.value);
            batch.push(row.out, row.item, row.value);
            if batch.bytes() > BATCH_BYTES {
                session.add(std::mem::take(&mut batch))?;
            }
            said.advance()?;
        }
        while let Some((gone, was)) = before.next_if(|gone| *gone < out[..])? {
            settling.whole_said(&whole, &gone, Some(was), None)?;
            wanted.add(&gone, SAID)?;
        }
        let was = before.next_if(|known| *known == out[..])?.map(|(_, was)| was);
        if settling.whole_said(&whole, &out, was, Some(hasher.finish()))? {
            wanted.add(&out, SAID)?;
        }
    }
    while let Some((gone, was)) = before.next_if(|_| true)? {
        settling.whole_said(&whole, &gone, Some(was), None)?;
        wanted.add(&gone, SAID)?;
    }
    session.add(batch)?;

    if stage.full {
        session.reduce(None, &mut settling)?;
        return settling.finish();
    }
    let wanted = wanted.finish()?;
    count_marks(&wanted, &mut settling.counts)?;
    settling.counts.cut_off = u64::from(wanted.is_empty());
    let asked = Elements::default();
    let mut backs = settling.with_wanted(&wanted, &asked);
    session.reduce(Some(&wanted), &mut backs)?;
    backs.finish()
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

/// What the front-end said in the base: outputs in order, each with the digest of all that was said to it.
struct EmittedBefore<'a> {
    stage: &'a Stage<'a>,
    edges: deltic_store::Scan,
    prefix: usize,
    next: Option<(Vec<u8>, Digest)>,
}

impl<'a> EmittedBefore<'a> {
    fn new(stage: &'a Stage<'a>, whole: &Element) -> Result<EmittedBefore<'a>> {
        let prefix = whole.to_bytes();
        let edges = stage.state.edges.scan(KeyRange::prefix(&prefix));
        let mut before = EmittedBefore { stage, edges, prefix: prefix.len(), next: None };
        before.advance()?;
        Ok(before)
    }

    fn advance(&mut self) -> Result<()> {
        self.next = None;
        if let Some(found) = self.edges.next() {
            let (key, entry) = found?;
            let digest = self.stage.state.edge_digest(&entry)?;
            self.next = Some((key[self.prefix..].to_vec(), digest));
        }
        Ok(())
    }

    fn next_if(&mut self, wanted: impl FnOnce(&[u8]) -> bool) -> Result<Option<(Vec<u8>, Digest)>> {
        let Some(found) = self.next.take_if(|(out, _)| wanted(out)) else { return Ok(None) };
        self.advance()?;
        Ok(Some(found))
    }
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
    let mut take = |out: Element, outcome: Outcome| {
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
    let mut publishers: Vec<Publisher<'_>> =
        stage.published.iter().map(|tree| Publisher::new(stage.draft, tree, true)).collect();
    let mut last: Option<Element> = None;
    while let Some(row) = made.peek()? {
        let out = stage.element(row.out)?;
        let outcome = match row.value {
            [] => Outcome::Same,
            entry => {
                Outcome::New(read_entry(entry).ok_or_else(|| stage.broken("an entry that is cut short".to_owned()))?)
            }
        };
        made.advance()?;
        if last.as_ref() == Some(&out) {
            let output = kernel.out_key(&out)?.to_string();
            return Err(Error::PublishedTwice { task: stage.task.id().clone(), output });
        }
        counts.compiled += 1;
        counts.same += u64::from(outcome == Outcome::Same);
        if let Some(publisher) = publishers.get_mut(usize::from(out.layer)) {
            publisher.offer(&out.name, &outcome, &mut |name| deleted(stage, kernel, out.layer, name))?;
        }
        last = Some(out);
    }
    let mut outputs = Vec::with_capacity(publishers.len());
    for (layer, publisher) in (0u16..).zip(&mut publishers) {
        outputs.push(publisher.finish(&mut |name| deleted(stage, kernel, layer, name))?);
        counts.put += publisher.put;
        counts.deleted += publisher.deleted;
    }
    Ok(StageResult { outputs, state: State::empty(stage.task.id(), stage.draft), counts, quarantined: Vec::new() })
}
