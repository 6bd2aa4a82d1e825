//! What a task remembered in the base, as a full stage looks it up: under the numbers that its layers have now.
//!
//! A full stage goes on from nothing. What is kept of partitions in quarantine it takes from here, also where the task
//! reads or writes other layers than before: a layer that is the same under another number is found by its name.

use std::collections::{BTreeMap, BTreeSet};

use deltic_core::Digest;
use deltic_store::{Draft, TaskRecord, Tree};

use crate::Result;
use crate::key::{InputKey, LayerIndex, OutputKey, TaskKey};
use crate::state::fingerprint::{self, Numbering};
use crate::state::listed::Listed;
use crate::state::looks::Look;
use crate::state::quarantined::{self, Said};
use crate::state::reads::Reader;
use crate::state::tables::{State, TableWriter, row_key};
use crate::state::tree_writer::Writers;

/// The tables of a task as the base left them.
pub(crate) struct BaseTables {
    state: State,
    /// The numbers of layers then and now, where they differ.
    numbering: Option<Numbering>,
    /// Whether rows of these tables can stand in tables of now.
    is_kept: bool,
}

impl BaseTables {
    /// `record` is that of the base, if it has one, `now` that of this run. `None` where the tables say nothing to the task:
    /// it is of another pattern.
    pub(crate) fn new(state: State, record: Option<&TaskRecord>, now: &TaskRecord) -> Option<BaseTables> {
        let numbering = match record {
            Some(record) if !fingerprint::same_layers(record, now) => Some(fingerprint::numbering(record, now)?),
            _ => None,
        };
        let is_kept = record.is_none_or(|record| fingerprint::same_formats(record, now));
        Some(BaseTables { state, numbering, is_kept })
    }

    /// What was in quarantine.
    pub(crate) fn errors(&self) -> Result<Vec<(Reader, Said)>> {
        let errors = quarantined::read(self.state.task(), &self.state.errors)?;
        let Some(numbering) = &self.numbering else { return Ok(errors) };
        let now = |(reader, mut said): (Reader, Said)| {
            let reader = match reader {
                Reader::Front(input) => Reader::Front(renumbered(&input, &numbering.inputs)?),
                Reader::Back(out) => Reader::Back(renumbered(&out, &numbering.outputs)?),
            };
            said.renumber(|input| renumbered(input, &numbering.inputs));
            Some((reader, said))
        };
        Ok(errors.into_iter().filter_map(now).collect())
    }

    /// The outputs to which an input said something, in order, each with the digest of that.
    pub(crate) fn edges_of(&self, input: &InputKey) -> Result<Vec<(OutputKey, Digest)>> {
        let Some(then) = self.then(input, |numbering| &numbering.inputs) else { return Ok(Vec::new()) };
        let edges = self.state.edges_of(&then).collect::<Result<Vec<_>>>()?;
        let Some(numbering) = &self.numbering else { return Ok(edges) };
        let now = |(out, digest): (OutputKey, Digest)| Some((renumbered(&out, &numbering.outputs)?, digest));
        let mut edges: Vec<(OutputKey, Digest)> = edges.into_iter().filter_map(now).collect();
        edges.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(edges)
    }

    /// The partitions that a group made, in order.
    pub(crate) fn published_of(&self, group: &OutputKey) -> Result<Vec<OutputKey>> {
        let Some(then) = self.then(group, |numbering| &numbering.outputs) else { return Ok(Vec::new()) };
        let outs = Listed::new(&self.state.published, &then.to_bytes());
        let outs = outs.map(|out| self.state.decode(&out?.0)).collect::<Result<Vec<_>>>()?;
        let Some(numbering) = &self.numbering else { return Ok(outs) };
        let mut outs: Vec<OutputKey> = outs.iter().filter_map(|out| renumbered(out, &numbering.outputs)).collect();
        outs.sort_unstable();
        Ok(outs)
    }

    /// Puts into the tables of a full stage what this has of partitions in quarantine, as an incremental stage leaves it
    /// there: what failed inputs said, and what they and outputs in quarantine had read.
    ///
    /// Memory: these rows, which the budget of the quarantine bounds together with what one input says.
    pub(crate) fn keep(
        &self,
        draft: &Draft,
        memo: Option<u32>,
        readers: &BTreeSet<Reader>,
        state: &mut State,
    ) -> Result<()> {
        if !self.is_kept {
            return Ok(());
        }
        let mut rows: [Kept; 5] = Default::default();
        let [edges, contributors, values, reads, seen] = &mut rows;
        for reader in readers {
            for Look { bytes: look, found } in self.reads_of(reader)? {
                let (who, part) = (reader.bytes(), found.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default());
                reads.insert([&who[..], &look].concat(), part.clone());
                seen.insert([&look[..], &[0], &who].concat(), part);
            }
            let Reader::Front(input) = reader else { continue };
            for (out, digest) in self.edges_of(input)? {
                edges.insert(row_key(input, &out), digest.as_bytes().to_vec());
                contributors.insert(row_key(&out, input), Vec::new());
                if let Some(value) = self.value(&out, input)?.filter(|value| fits(memo, value)) {
                    values.insert(row_key(&out, input), value);
                }
            }
        }
        let tables =
            [&mut state.edges, &mut state.contributors, &mut state.values, &mut state.reads, &mut state.readers];
        tables.into_iter().zip(&rows).try_for_each(|(table, rows)| add(draft, table, rows))
    }

    /// What a reader looked at.
    fn reads_of(&self, reader: &Reader) -> Result<Vec<Look>> {
        let then = match reader {
            Reader::Front(input) => self.then(input, |numbering| &numbering.inputs).map(Reader::Front),
            Reader::Back(out) => self.then(out, |numbering| &numbering.outputs).map(Reader::Back),
        };
        let Some(then) = then else { return Ok(Vec::new()) };
        let looks = self.state.reads_of(&then)?;
        let Some(numbering) = &self.numbering else { return Ok(looks) };
        let now = |look: Look| look.renumbered(|then| now_of(then, &numbering.inputs));
        Ok(looks.into_iter().filter_map(now).collect())
    }

    /// What is remembered that an input said to an output.
    fn value(&self, out: &OutputKey, input: &InputKey) -> Result<Option<Vec<u8>>> {
        let out = self.then(out, |numbering| &numbering.outputs);
        let (Some(out), Some(input)) = (out, self.then(input, |numbering| &numbering.inputs)) else { return Ok(None) };
        let found = self.state.values.get(&row_key(&out, &input))?;
        found.map(|entry| Ok(self.state.values.read(&entry)?.bytes().to_vec())).transpose()
    }

    /// What a partition was called then.
    fn then<S: Clone>(
        &self,
        now: &TaskKey<S>,
        of: impl Fn(&Numbering) -> &Vec<Option<LayerIndex>>,
    ) -> Option<TaskKey<S>> {
        let Some(numbering) = &self.numbering else { return Some(now.clone()) };
        let mut numbers = LayerIndex::all().zip(of(numbering));
        let (then, _) = numbers.find(|(_, number)| **number == Some(now.layer))?;
        Some(TaskKey::new(then, now.name.clone()))
    }
}

/// Rows of a table, in order.
type Kept = BTreeMap<Vec<u8>, Vec<u8>>;

fn add(draft: &Draft, table: &mut Tree, rows: &Kept) -> Result<()> {
    let mut writer = TableWriter::new(Writers::whole(draft), table);
    rows.iter().try_for_each(|(key, value)| writer.set(key, Some(value)))?;
    *table = writer.finish()?;
    Ok(())
}

fn fits(memo: Option<u32>, value: &[u8]) -> bool {
    memo.is_some_and(|limit| value.len() <= limit as usize)
}

fn now_of(then: LayerIndex, numbers: &[Option<LayerIndex>]) -> Option<LayerIndex> {
    numbers.get(then.place()).copied().flatten()
}

fn renumbered<S>(then: &TaskKey<S>, numbers: &[Option<LayerIndex>]) -> Option<TaskKey<S>> {
    Some(TaskKey::new(now_of(then.layer, numbers)?, then.name.clone()))
}
