//! The state of a task in the base, as a full stage looks it up: by the numbers that its layers have now.
//!
//! A full stage begins with empty tables. But it keeps what the base has of partitions in quarantine, also if the task
//! reads or writes other layers than before: a layer that has another number now is found by its name.

use std::collections::{BTreeMap, BTreeSet};

use deltic_core::Digest;
use deltic_store::{Draft, TaskRecord, Tree};

use crate::Result;
use crate::key::{InputKey, LayerIndex, OutputKey, TaskKey};
use crate::state::fingerprint::{self, Numbering};
use crate::state::listed::Listed;
use crate::state::quarantined::{self, ErrorRow};
use crate::state::read_keys::RecordedRead;
use crate::state::reads::Reader;
use crate::state::tables::{State, TableWriter, row_key};
use crate::state::tree_writer::Writers;

/// The tables of a task in the base.
pub(crate) struct BaseTables {
    state: State,
    /// The old and new numbers of layers, if they differ.
    numbering: Option<Numbering>,
    /// Whether rows of these tables can be copied into new ones.
    is_same_format: bool,
}

impl BaseTables {
    /// `record` is the task's record in the base, if there is one, `now` that of this run. `None` if the task has another
    /// pattern, so that the tables have no meaning for it.
    pub(crate) fn new(state: State, record: Option<&TaskRecord>, now: &TaskRecord) -> Option<BaseTables> {
        let numbering = match record {
            Some(record) if !fingerprint::same_layers(record, now) => Some(fingerprint::numbering(record, now)?),
            _ => None,
        };
        let is_same_format = record.is_none_or(|record| fingerprint::same_formats(record, now));
        Some(BaseTables { state, numbering, is_same_format })
    }

    /// The partitions that were in quarantine.
    pub(crate) fn errors(&self) -> Result<Vec<(Reader, ErrorRow)>> {
        let errors = quarantined::read(self.state.task(), &self.state.errors)?;
        let Some(numbering) = &self.numbering else { return Ok(errors) };
        let now = |(reader, mut row): (Reader, ErrorRow)| {
            let reader = match reader {
                Reader::Front(input) => Reader::Front(renumbered(&input, &numbering.inputs)?),
                Reader::Back(out) => Reader::Back(renumbered(&out, &numbering.outputs)?),
            };
            row.renumber(|input| renumbered(input, &numbering.inputs));
            Some((reader, row))
        };
        Ok(errors.into_iter().filter_map(now).collect())
    }

    /// The edges of an input: outputs in order, each with its digest.
    pub(crate) fn edges_of(&self, input: &InputKey) -> Result<Vec<(OutputKey, Digest)>> {
        let Some(then) = self.in_base(input, |numbering| &numbering.inputs) else { return Ok(Vec::new()) };
        let edges = self.state.edges_of(&then).collect::<Result<Vec<_>>>()?;
        let Some(numbering) = &self.numbering else { return Ok(edges) };
        let now = |(out, digest): (OutputKey, Digest)| Some((renumbered(&out, &numbering.outputs)?, digest));
        let mut edges: Vec<(OutputKey, Digest)> = edges.into_iter().filter_map(now).collect();
        edges.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(edges)
    }

    /// The partitions of a group, in order.
    pub(crate) fn published_of(&self, group: &OutputKey) -> Result<Vec<OutputKey>> {
        let Some(then) = self.in_base(group, |numbering| &numbering.outputs) else { return Ok(Vec::new()) };
        let outs = Listed::new(&self.state.published, &then.to_bytes());
        let outs = outs.map(|out| self.state.decode(&out?.0)).collect::<Result<Vec<_>>>()?;
        let Some(numbering) = &self.numbering else { return Ok(outs) };
        let mut outs: Vec<OutputKey> = outs.iter().filter_map(|out| renumbered(out, &numbering.outputs)).collect();
        outs.sort_unstable();
        Ok(outs)
    }

    /// Copies the rows of readers in quarantine into the tables of a full stage, as an incremental stage leaves them there:
    /// what failed inputs emitted, and what these inputs and outputs in quarantine read.
    ///
    /// Memory: these rows. The limit of the quarantine bounds the readers, and one input what each has emitted.
    pub(crate) fn copy_failed(
        &self,
        draft: &Draft,
        memo: Option<u32>,
        readers: &BTreeSet<Reader>,
        state: &mut State,
    ) -> Result<()> {
        if !self.is_same_format {
            return Ok(());
        }
        let mut rows: [TableRows; 5] = Default::default();
        let [edges, contributors, values, reads, of_readers] = &mut rows;
        for reader in readers {
            for RecordedRead { key, part } in self.reads_of(reader)? {
                let (reader, part) =
                    (reader.bytes(), part.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default());
                reads.insert([&reader[..], &key].concat(), part.clone());
                of_readers.insert([&key[..], &[0], &reader].concat(), part);
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

    /// What a reader read.
    fn reads_of(&self, reader: &Reader) -> Result<Vec<RecordedRead>> {
        let then = match reader {
            Reader::Front(input) => self.in_base(input, |numbering| &numbering.inputs).map(Reader::Front),
            Reader::Back(out) => self.in_base(out, |numbering| &numbering.outputs).map(Reader::Back),
        };
        let Some(then) = then else { return Ok(Vec::new()) };
        let reads = self.state.reads_of(&then)?;
        let Some(numbering) = &self.numbering else { return Ok(reads) };
        let now = |read: RecordedRead| read.renumbered(|then| now_of(then, &numbering.inputs));
        Ok(reads.into_iter().filter_map(now).collect())
    }

    /// The row of the memo for an output and an input.
    fn value(&self, out: &OutputKey, input: &InputKey) -> Result<Option<Vec<u8>>> {
        let out = self.in_base(out, |numbering| &numbering.outputs);
        let (Some(out), Some(input)) = (out, self.in_base(input, |numbering| &numbering.inputs)) else {
            return Ok(None);
        };
        let found = self.state.values.get(&row_key(&out, &input))?;
        found.map(|entry| Ok(self.state.values.read(&entry)?.bytes().to_vec())).transpose()
    }

    /// The key of a partition in the base.
    fn in_base<S: Clone>(
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
type TableRows = BTreeMap<Vec<u8>, Vec<u8>>;

fn add(draft: &Draft, table: &mut Tree, rows: &TableRows) -> Result<()> {
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
