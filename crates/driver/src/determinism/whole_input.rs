//! The check of code that runs over everything: both results are sorted, and compared at the end.

use deltic_compiler::{DepStage, GlobalStage};
use deltic_core::{Payload, TaskId};
use deltic_store::{read_entry, write_entry};

use super::reordered::{MEMORY, apart};
use super::{Compiled, DeterminismCheck};
use crate::engine::Outcome;
use crate::engine::kernel::TaskKernel;
use crate::error::difference::FirstDifference;
use crate::key::{EncodedKey, InputKey, OutputKey, TaskKey};
use crate::sort::external::{Shuffle, Sorted};
use crate::sort::rows::{Row, RowStream, Rows};
use crate::{Error, Phase, Result};

/// Takes an input and the outputs that it goes into.
pub(crate) type TakeEdges<'a> = &'a mut dyn FnMut(InputKey, Vec<OutputKey>) -> Result<()>;

impl DeterminismCheck<'_> {
    /// Runs a front-end over the whole input; `rows` takes what it emits the first time.
    pub(crate) fn map_whole(
        &self,
        stage: &dyn DepStage,
        item: &InputKey,
        rows: &mut dyn FnMut(Rows) -> Result<()>,
    ) -> Result<()> {
        let (mut one, mut two) = (Shuffle::new(MEMORY), Shuffle::new(MEMORY));
        self.first.map_whole(stage, item, &mut |batch| {
            one.push(batch.clone())?;
            rows(batch)
        })?;
        let again = apart(|| self.second.map_whole(stage, item, &mut |batch| two.push(batch)))?;
        let (task, phase, key) = (self.first.task.id(), Phase::Front, "the whole input".to_owned());
        if let Err(error) = again {
            return self.failed_again(phase, key, error);
        }
        if let Some((out, [one, two])) = first_other_row(task, one.finish()?, two.finish()?)? {
            let what = format!("emits something else to {} the second time:", self.first.out_key(&out)?);
            let payload = |value: Option<Vec<u8>>| Payload::new(value.unwrap_or_default());
            self.record(phase, key, what, FirstDifference::of(&payload(one), &payload(two)));
        }
        Ok(())
    }

    /// Runs a compiler of the whole output; `take` takes the outcome of each output the first time.
    pub(crate) fn compile_whole(
        &self,
        stage: &dyn GlobalStage,
        take: &mut dyn FnMut(OutputKey, Outcome) -> Result<()>,
    ) -> Result<()> {
        let (mut one, mut two) = (Shuffle::new(MEMORY), Shuffle::new(MEMORY));
        let row = |to: &mut Shuffle, out: &OutputKey, value: &[u8]| {
            let mut rows = Rows::default();
            rows.push(&out.to_bytes(), &[], value);
            to.push(rows)
        };
        self.first.compile_whole(stage, &mut |out, outcome| {
            for (out, made) in self.partitions(&out, &outcome)? {
                row(&mut one, &out, &made.bytes())?;
            }
            take(out, outcome)
        })?;
        // Results of the second time are in their rows, which go to a file if they exceed the memory.
        let again = apart(|| {
            self.second.compile_whole(stage, &mut |out, outcome| match outcome {
                Outcome::New(entry) => row(&mut two, &out, &Compiled(entry).bytes()),
                _ => Ok(()),
            })
        })?;
        let (phase, key) = (Phase::Back, "the whole output".to_owned());
        if let Err(error) = again {
            return self.failed_again(phase, key, error);
        }
        let mut same = SameMeta { task: self.first.task.id(), one: one.finish()?, two: two.finish()? };
        if let Some((out, made)) = same.first_other()? {
            let which = self.first.out_key(&out)?;
            let (what, first) = match made {
                [Some(one), Some(two)] => {
                    let first = FirstDifference::of(&self.payload(&out, &one)?, &self.payload(&out, &two)?);
                    (format!("{which} has another content the second time:"), first)
                }
                [Some(_), None] => (format!("{which} is made only the first time"), None),
                [None, _] => (format!("{which} is made only the second time"), None),
            };
            self.record(phase, key, what, first);
        }
        Ok(())
    }

    /// Calls user code for a dependency graph; `take` takes the edges of the first time.
    pub(crate) fn edges(
        &self,
        ask: &(dyn Fn(&TaskKernel<'_>, TakeEdges<'_>) -> Result<()> + Sync),
        take: TakeEdges<'_>,
    ) -> Result<()> {
        let (mut one, mut two) = (Shuffle::new(MEMORY), Shuffle::new(MEMORY));
        let rows = |input: &InputKey, outs: &[OutputKey]| {
            let mut rows = Rows::default();
            rows.push(&input.to_bytes(), &[], &[]);
            outs.iter().for_each(|out| rows.push(&input.to_bytes(), &out.to_bytes(), &[]));
            rows
        };
        ask(self.first, &mut |input, outs| {
            one.push(rows(&input, &outs))?;
            take(input, outs)
        })?;
        let again = apart(|| ask(self.second, &mut |input, outs| two.push(rows(&input, &outs))))?;
        if let Err(error) = again {
            return self.failed_again(Phase::Graph, "the input".to_owned(), error);
        }
        let other = first_other_row(self.first.task.id(), one.finish()?, two.finish()?)?;
        if let Some((input, _)) = other {
            let key = self.first.view.show(&input);
            self.record(Phase::Graph, key, "has other outputs the second time".to_owned(), None);
        }
        Ok(())
    }
}

impl Compiled {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_entry(&self.0, &mut bytes);
        bytes
    }
}

/// The first key of a row, and its value in each of two sequences that has it.
type OtherRow<S> = (TaskKey<S>, [Option<Vec<u8>>; 2]);

/// The first row in which two sorted sequences differ: its first key, and the value in each.
fn first_other_row<S>(task: &TaskId, mut one: Sorted, mut two: Sorted) -> Result<Option<OtherRow<S>>> {
    loop {
        let (a, b) = (one.peek()?, two.peek()?);
        match (a, b) {
            (None, None) => return Ok(None),
            (Some(a), Some(b)) if a == b => {}
            (a, b) => {
                let key = |row: Option<Row<'_>>| row.map(|row| (row.out.to_vec(), row.item.to_vec()));
                let least = key(a).into_iter().chain(key(b)).min();
                let value = |row: Option<Row<'_>>| row.filter(|_| key(row) == least).map(|row| row.value.to_vec());
                let values = [value(a), value(b)];
                let (first, _) = least.unwrap_or_default();
                return Ok(Some((TaskKey::decode(task, &first)?, values)));
            }
        }
        one.advance()?;
        two.advance()?;
    }
}

/// Two sorted sequences of partitions.
struct SameMeta<'a> {
    task: &'a TaskId,
    one: Sorted,
    two: Sorted,
}

impl SameMeta<'_> {
    /// The first partition that is not the same in both.
    fn first_other(&mut self) -> Result<Option<(OutputKey, [Option<Compiled>; 2])>> {
        loop {
            let (a, b) = (self.one.peek()?, self.two.peek()?);
            let Some(out) = a.iter().chain(&b).map(|row| EncodedKey::from(row.out)).min() else { return Ok(None) };
            let made = |row: Option<Row<'_>>| -> Result<Option<Compiled>> {
                let Some(row) = row.filter(|row| *row.out == *out) else { return Ok(None) };
                let cut_short = || Error::state(self.task, "an entry that is cut short");
                read_entry(row.value).map(|entry| Some(Compiled(entry))).ok_or_else(cut_short)
            };
            let (a, b) = (made(a)?, made(b)?);
            if a.as_ref().map(Compiled::meta) != b.as_ref().map(Compiled::meta) {
                return Ok(Some((OutputKey::decode(self.task, &out)?, [a, b])));
            }
            self.one.advance()?;
            self.two.advance()?;
        }
    }
}
