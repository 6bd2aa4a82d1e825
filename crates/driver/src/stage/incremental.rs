//! An incremental stage: compiles what a change can affect, and nothing else.
//!
//! To compile an output all of its values are needed, and not only the changed ones. So front-ends run in two rounds: first
//! those of dirty inputs, which gives the affected outputs, then those of the unchanged inputs that contribute to these. If
//! a memo has the values of an unchanged input, its front-end need not run.
//!
//! Everything that grows with the number of affected partitions is a sorted stream, or a set that may be in a file. So
//! memory is bounded if everything changed, too. Look-ups are made many at a time, so that on a remote store they take
//! a few round trips and not one each.

use std::cell::RefCell;
use std::collections::VecDeque;

use deltic_compiler::{DirectStage, Pattern};
use deltic_store::{Entry, KeyRange};

use crate::engine::kernel::TaskKernel;
use crate::engine::{Item, Mapped, StageSession};
use crate::input::filter::passes_filter;
use crate::key::{EncodedKey, InputKey, OutputKey};
use crate::sort::external::Shuffle;
use crate::sort::key_set::{KeySet, KeySorter, KeyWriter, decoded};
use crate::sort::marks::Marks;
use crate::sort::read_ahead::{TOGETHER, TOGETHER_BYTES, read_ahead, read_ahead_within};
use crate::sort::rows::{RowStream, Rows};
use crate::stage::backs::BackSink;
use crate::stage::context::{Stage, StageResult};
use crate::stage::contributors::read_values;
use crate::stage::dirty::{Dirty, DirtyInputs, count_marks, present};
use crate::stage::fronts::{FrontSink, Fronts};
use crate::stage::quarantine::Quarantine;
use crate::stage::reverse::reverse_all;
use crate::stage::sample::affected;
use crate::state::reads::Reader;
use crate::{Error, Result};

/// Runs a stage that has state from what changed since the base.
pub(crate) fn run<'s>(
    stage: &'s Stage<'s>,
    kernel: &'s TaskKernel<'s>,
    mut session: Box<dyn StageSession + 's>,
) -> Result<StageResult> {
    let memory = stage.set_memory();
    let mut outputs = KeySorter::new(memory);
    let reading = affected(stage, kernel, &mut outputs)?;
    let mut quarantine = Quarantine::new(stage, kernel);
    let mut fronts = DirtyFronts {
        stage,
        kernel,
        sink: FrontSink::new(stage, &mut quarantine),
        inputs: KeyWriter::new(memory),
        outputs,
        done: Vec::new(),
        done_bytes: 0,
    };

    // A removed input has no payload, so the engine gets no item for it. But tables are written in the order of inputs:
    // each input waits here until the engine has returned all items before it.
    let waiting: RefCell<VecDeque<Dirty>> = RefCell::default();
    let mut items = DirtyInputs::new(stage.task, stage.view, &reading).filter_map(|found| match found {
        Ok(input) => {
            let item = input.now.clone().map(|entry| Item { key: input.key.clone(), entry });
            waiting.borrow_mut().push_back(input);
            item.map(Ok)
        }
        Err(error) => Some(Err(error)),
    });
    session.map(&mut items, &mut |mapped| {
        while let Some(input) = waiting.borrow_mut().pop_front() {
            if input.key == mapped.item {
                return fronts.done(input, Some(mapped));
            }
            fronts.done(input, None)?;
        }
        Ok(())
    })?;
    drop(items);
    waiting.into_inner().into_iter().try_for_each(|input| fronts.done(input, None))?;

    let (mut fronts, inputs, mut outputs) = fronts.finish()?;
    // Before other contributors are looked for: nothing needs to run for an output that is held back.
    for out in quarantine.hold_back(None)? {
        outputs.add(&out, Marks::HELD)?;
    }
    let dirty = Affected { inputs, outputs: outputs.finish()? };
    let OtherContributors { again, remembered } = dirty.other_contributors(stage, kernel)?;
    count_marks(&dirty.outputs, &mut fronts.counts)?;
    if stage.is_group() {
        fronts.counts.fronts_again = again.len();
    }
    fronts.counts.remembered = dirty.recall(stage, &again, remembered, session.as_mut())?;
    session.map(&mut items_of(stage, &again), &mut |mapped| match mapped.failed {
        Some(failure) => quarantine.front_failed(&mapped.item, *failure),
        None => Ok(()),
    })?;
    // A front-end that ran again may fail too, because of what it reads. It can hold back affected outputs only: no other
    // output is compiled, whatever it contributes to.
    quarantine.hold_back(Some(&dirty.outputs))?;

    let mut backs = BackSink::incremental(stage, kernel, fronts, &mut quarantine, &dirty.outputs, &dirty.inputs);
    session.sorted()?.reduce(None, Some(&dirty.outputs), &mut backs)?;
    reverse_all(stage, kernel, backs.finish()?)
}

/// Takes the results of the front-ends of dirty inputs.
struct DirtyFronts<'a, 'q> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    sink: FrontSink<'a, 'q>,
    inputs: KeyWriter,
    outputs: KeySorter,
    /// Results that are recorded together: dirty inputs in order, each with the result of its front-end unless it was removed.
    done: Vec<(Dirty, Option<Mapped>)>,
    /// Their bytes.
    done_bytes: u64,
}

impl<'a> DirtyFronts<'a, '_> {
    fn done(&mut self, input: Dirty, mapped: Option<Mapped>) -> Result<()> {
        self.done_bytes += mapped.as_ref().map_or(0, Mapped::weight);
        self.done.push((input, mapped));
        let is_full = self.done.len() >= TOGETHER || self.done_bytes >= TOGETHER_BYTES as u64;
        if is_full { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.done_bytes = 0;
        let state = &self.stage.state;
        if self.stage.is_group() {
            let keys = || self.done.iter().map(|(input, _)| &input.key);
            read_ahead_within(&state.edges, &keys().map(InputKey::to_bytes).collect::<Vec<_>>())?;
            let reader = |key: &InputKey| Reader::Front(key.clone()).bytes();
            read_ahead_within(&state.reads, &keys().map(reader).collect::<Vec<_>>())?;
        }
        for (input, mapped) in std::mem::take(&mut self.done) {
            self.sink.counts.inputs += 1;
            self.sink.counts.inputs_through_reads += u64::from(input.through_reads && !input.retried);
            self.sink.counts.retried += u64::from(input.retried);
            // An input that failed keeps its contributions of the base, so it does not count as one that ran.
            if mapped.as_ref().is_none_or(|mapped| mapped.failed.is_none()) {
                self.inputs.push(&input.key.to_bytes(), Marks::empty())?;
            }
            match (self.stage.task.pattern(), mapped) {
                (Pattern::Group(_), Some(mapped)) => {
                    let mut dirty = |out: &OutputKey| self.outputs.add(&out.to_bytes(), Marks::EMITTED);
                    self.sink.front_ran(&mapped, input.existed, &mut dirty)?;
                }
                (Pattern::Group(_), None) => {
                    let mut dirty = |out: &OutputKey| self.outputs.add(&out.to_bytes(), Marks::EMITTED);
                    self.sink.front_gone(&input.key, &mut dirty)?;
                }
                (Pattern::Direct { .. }, Some(mapped)) => {
                    let claim = if input.existed { Marks::CLAIMED_BEFORE } else { Marks::CLAIMED_ANEW };
                    self.affect(mapped.edges.into_iter().map(|(out, _)| out), claim)?;
                }
                // Nothing is stored of it, but the outputs of an input of a direct task follow from its key.
                (Pattern::Direct { stage, .. }, None) => {
                    self.affect(self.kernel.outputs_of(stage.as_ref(), &input.key)?, Marks::CLAIMED_BEFORE)?;
                }
                // They have stages of their own.
                (Pattern::Dep(_) | Pattern::Global(_) | Pattern::IncrementalDep(_), _) => {}
            }
        }
        Ok(())
    }

    fn affect(&mut self, outs: impl IntoIterator<Item = OutputKey>, marks: Marks) -> Result<()> {
        outs.into_iter().try_for_each(|out| self.outputs.add(&out.to_bytes(), marks))
    }

    /// The results of front-ends, the dirty inputs without those that failed, and the outputs that these affect.
    fn finish(mut self) -> Result<(Fronts<'a>, KeySet, KeySorter)> {
        self.flush()?;
        Ok((self.sink.finish()?, self.inputs.finish()?, self.outputs))
    }
}

/// The keys that an incremental stage has found to be affected.
struct Affected {
    inputs: KeySet,
    outputs: KeySet,
}

impl Affected {
    /// Adds rows from the memo, for inputs whose front-ends do not run in this stage; returns the number of inputs.
    ///
    /// Rows of an input whose front-end runs are left out, for all outputs alike. A dirty input emits new values, and an
    /// unchanged one that runs because it has no memo for some output emits to its other outputs too: with rows of the memo
    /// beside these, the back-end would get values twice.
    fn recall(
        &self,
        stage: &Stage<'_>,
        again: &KeySet,
        remembered: Shuffle,
        session: &mut dyn StageSession,
    ) -> Result<u64> {
        let (mut changed, mut again) = (self.inputs.walk(), again.walk());
        let mut remembered = remembered.finish()?;
        let (mut count, mut rows) = (0, Rows::default());
        while let Some(first) = remembered.peek()? {
            let input = EncodedKey::from(first.out);
            let runs = changed.take(&input)? || again.take(&input)?;
            count += u64::from(!runs);
            while let Some(row) = remembered.peek()?.filter(|row| *row.out == *input) {
                let values =
                    read_values(row.value).ok_or_else(|| stage.broken("values that are cut short".to_owned()))?;
                values.iter().filter(|_| !runs).for_each(|value| rows.push(row.item, &input, value));
                remembered.advance()?;
            }
            if rows.bytes() >= TOGETHER_BYTES {
                session.add(std::mem::take(&mut rows))?;
            }
        }
        session.add(rows)?;
        Ok(count)
    }

    /// Finds the unchanged inputs that contribute to affected outputs.
    fn other_contributors(&self, stage: &Stage<'_>, kernel: &TaskKernel<'_>) -> Result<OtherContributors> {
        let sole = match stage.task.pattern() {
            Pattern::Direct { stage, one_producer: true } => Some(stage.as_ref()),
            _ => None,
        };
        let mut again = KeySorter::new(stage.set_memory());
        let mut remembered = Shuffle::new(stage.set_memory());
        let mut walk = self.outputs.walk();
        loop {
            let mut some = walk.some()?;
            if some.is_empty() {
                return Ok(OtherContributors { again: again.finish_without(&self.inputs)?, remembered });
            }
            // What is held back is not compiled and needs no values.
            some.retain(|(_, marks)| !marks.contains(Marks::HELD));
            read_ahead_within(&stage.state.contributors, &some.iter().map(|(out, _)| out).collect::<Vec<_>>())?;
            // Outputs that only new inputs map to, and that have no contributor in the table.
            let mut unknown = Vec::new();
            for (out, marks) in &some {
                let mut has_contributors = false;
                let (mut values, mut recalled) = (stage.state.values_of(out), Recalled::new(stage, out));
                for input in stage.state.contributors_of(out) {
                    let (input, _) = input?;
                    has_contributors = true;
                    match values.next_if(|of| *of == *input)? {
                        Some(value) => recalled.add(value, &mut remembered)?,
                        None => again.add(&input, Marks::empty())?,
                    }
                }
                recalled.flush(&mut remembered)?;
                if !has_contributors
                    && sole.is_some()
                    && *marks & (Marks::CLAIMED_ANEW | Marks::CLAIMED_BEFORE) == Marks::CLAIMED_ANEW
                {
                    unknown.push(stage.decode(out)?);
                }
            }
            if let Some(sole) = sole {
                check_sole_producers(stage, kernel, sole, &unknown)?;
            }
        }
    }
}

/// The unchanged inputs that contribute to affected outputs.
struct OtherContributors {
    /// Those whose front-ends must run again.
    again: KeySet,
    /// The rows of the memo for all contributors, sorted by input, then output.
    remembered: Shuffle,
}

/// Rows of the memo for one output, whose values are read many at a time.
struct Recalled<'a> {
    stage: &'a Stage<'a>,
    out: &'a [u8],
    inputs: Vec<EncodedKey>,
    entries: Vec<Entry>,
    bytes: u64,
}

impl<'a> Recalled<'a> {
    fn new(stage: &'a Stage<'a>, out: &'a [u8]) -> Recalled<'a> {
        Recalled { stage, out, inputs: Vec::new(), entries: Vec::new(), bytes: 0 }
    }

    fn add(&mut self, (input, entry): (EncodedKey, Entry), to: &mut Shuffle) -> Result<()> {
        let is_full = self.inputs.len() >= TOGETHER || self.bytes + entry.meta.len > TOGETHER_BYTES as u64;
        if is_full {
            self.flush(to)?;
        }
        self.bytes += entry.meta.len;
        self.inputs.push(input);
        self.entries.push(entry);
        Ok(())
    }

    fn flush(&mut self, to: &mut Shuffle) -> Result<()> {
        if self.inputs.is_empty() {
            return Ok(());
        }
        let mut rows = Rows::default();
        for (input, values) in self.inputs.iter().zip(self.stage.state.values.read_all(&self.entries)?) {
            rows.push(input, self.out, values.bytes());
        }
        self.inputs.clear();
        self.entries.clear();
        self.bytes = 0;
        to.push(rows)
    }
}

/// Checks that outputs to which only new inputs map are not published.
///
/// The table of contributors has no row for most outputs of such a task, so a published output has a producer that is not
/// recorded. No dirty input mapped to it in the base, so that producer is an unchanged input, and the new one is a second.
fn check_sole_producers(
    stage: &Stage<'_>,
    kernel: &TaskKernel<'_>,
    direct: &dyn DirectStage,
    outs: &[OutputKey],
) -> Result<()> {
    for of_layer in outs.chunk_by(|a, b| a.layer == b.layer) {
        let layer = of_layer.first().map(|out| out.layer.place());
        let Some(published) = layer.and_then(|layer| stage.published.get(layer)) else { continue };
        read_ahead(published, &of_layer.iter().map(|out| &*out.name).collect::<Vec<_>>())?;
        for out in of_layer {
            if published.get(&out.name)?.is_some() {
                return Err(second_producer(stage, kernel, direct, out)?);
            }
        }
    }
    Ok(())
}

/// The error for an output with two producers. Maps all inputs to find them, as the message names both.
fn second_producer(
    stage: &Stage<'_>,
    kernel: &TaskKernel<'_>,
    direct: &dyn DirectStage,
    out: &OutputKey,
) -> Result<Error> {
    let mut producers: Vec<InputKey> = Vec::new();
    for (layer, tree) in stage.inputs() {
        for found in tree.scan(KeyRange::all()) {
            let input = InputKey::new(layer, found?.0);
            if passes_filter(stage.task, stage.view, &input)? && kernel.outputs_of(direct, &input)?.contains(out) {
                producers.push(input);
            }
        }
    }
    let key = kernel.out_key(out)?;
    Ok(match &producers[..] {
        [first, second, ..] => kernel.two_producers(&key, first, second),
        _ => stage.broken(format!("output {key} is published, but no input is known to make it")),
    })
}

/// Inputs that did not change, as items with their current entries.
fn items_of<'a>(stage: &'a Stage<'a>, inputs: &'a KeySet) -> impl Iterator<Item = Result<Item>> + 'a {
    let mut inputs = decoded(stage.task.id(), inputs);
    let mut ready: VecDeque<Item> = VecDeque::new();
    let mut fill = move || -> Result<VecDeque<Item>> {
        let some: Vec<InputKey> = inputs.by_ref().take(4 * TOGETHER).collect::<Result<_>>()?;
        let entries = present(stage.task, stage.view, &some)?;
        Ok(some.into_iter().zip(entries).map(|(key, entry)| Item { key, entry }).collect())
    };
    std::iter::from_fn(move || {
        if ready.is_empty() {
            match fill() {
                Ok(filled) => ready = filled,
                Err(error) => return Some(Err(error)),
            }
        }
        ready.pop_front().map(Ok)
    })
}
