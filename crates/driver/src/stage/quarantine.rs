//! The quarantine: partitions on which a compiler failed, in a run that goes on without them.
//!
//! An output whose back-end failed keeps its published partition. An input whose front-end failed keeps its edges of the
//! base, and the outputs that these lead to are *held back*: they are kept as they are, and their back-ends do not run.
//! Without that an output would be compiled from a part of its inputs, and nobody could see it. A failed input that has no
//! edges yet holds nothing back. The next run tries all of these partitions again, changed or not, and an output is held back
//! as long as an input that holds it back fails.
//!
//! So a version with partitions in quarantine differs from a build from scratch, and its table `errors` states which
//! partitions do. Once that table is empty, it equals one again, state included. A full run on the same base keeps the
//! same layers and state as an incremental one: [`base_tables`](crate::state::base_tables) looks them up.

use std::collections::{BTreeMap, BTreeSet};

use deltic_compiler::OnError;
use deltic_store::Tree;

use crate::engine::kernel::TaskKernel;
use crate::error::failure::{Failure, Failures, QuarantineFull, Quarantined};
use crate::key::{EncodedKey, InputKey, OutputKey};
use crate::sort::key_set::KeySet;
use crate::stage::context::Stage;
use crate::state::quarantined::{ErrorRow, hex, read};
use crate::state::reads::Reader;
use crate::state::tables::TableWriter;
use crate::{Error, Result};

/// Takes the failures of a stage, and writes the table `errors`.
pub(crate) struct Quarantine<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    /// The most partitions that may fail, not counting those that are held back; 0 if any failure ends the run.
    most: usize,
    failures: Failures,
    /// Inputs whose front-end failed since outputs were held back last.
    fronts: Vec<InputKey>,
    rows: BTreeMap<Reader, ErrorRow>,
}

impl<'a> Quarantine<'a> {
    pub(crate) fn new(stage: &'a Stage<'a>, kernel: &'a TaskKernel<'a>) -> Quarantine<'a> {
        let most = match (stage.checks.failures, stage.task.policy()) {
            (Some(most), _) => most,
            (None, OnError::Abort) => 0,
            (None, OnError::Quarantine { most }) => usize::try_from(most).unwrap_or(usize::MAX),
        };
        Quarantine { stage, kernel, most, failures: Failures::default(), fronts: Vec::new(), rows: BTreeMap::new() }
    }

    /// Records that a front-end failed. Inputs come in order.
    pub(crate) fn front_failed(&mut self, input: &InputKey, failure: Failure) -> Result<()> {
        self.fronts.push(input.clone());
        self.failed(Reader::Front(input.clone()), failure)
    }

    /// Records that a back-end failed.
    pub(crate) fn back_failed(&mut self, out: &OutputKey, failure: Failure) -> Result<()> {
        // The published partition of an output has its name. Only the state knows the partitions of a group.
        if self.most > 0 && self.stage.before.is_none() && self.stage.task.pattern().splits() {
            self.failures.because = Some(self.unknown("which partitions to keep for these groups"));
        }
        self.failed(Reader::Back(out.clone()), failure)
    }

    fn unknown(&self, what: &str) -> String {
        let task = self.stage.task.id();
        format!(
            "task `{task}` has another pattern than before, so that {what} is not known: mend or delete what failed, or \
             give the task another id, which keeps nothing of it"
        )
    }

    fn failed(&mut self, reader: Reader, failure: Failure) -> Result<()> {
        let row = ErrorRow { key: failure.key.clone(), message: failure.message.clone(), held_by: BTreeSet::new() };
        self.rows.insert(reader, row);
        // A verification has a limit of its own, which is not the task's quarantine.
        let has_limit = self.most > 0 && self.stage.checks.failures.is_none();
        if has_limit && self.failures.all.len() == self.most {
            self.failures.full = vec![QuarantineFull { task: self.stage.task.id().clone(), most: self.most }];
        }
        self.failures.add(failure, self.most)
    }

    /// Ends the run if too many partitions failed. Called when all front-ends have run, and when all back-ends have: so one
    /// report has all failures of a phase.
    fn check(&mut self) -> Result<()> {
        if self.failures.all.is_empty() || self.failures.all.len() <= self.most && self.failures.because.is_none() {
            return Ok(());
        }
        Err(Error::compiler(std::mem::take(&mut self.failures)))
    }

    /// Holds back the outputs of inputs whose front-end failed since the last call; with `among`, only those in this set.
    /// Returns them in order.
    pub(crate) fn hold_back(&mut self, among: Option<&KeySet>) -> Result<Vec<EncodedKey>> {
        let fronts = std::mem::take(&mut self.fronts);
        if fronts.is_empty() {
            return Ok(Vec::new());
        }
        let mut held: BTreeMap<OutputKey, BTreeSet<EncodedKey>> = BTreeMap::new();
        match (&self.stage.before, self.most) {
            (_, 0) => {}
            (None, _) => {
                self.failures.because = Some(self.unknown("which outputs to keep for these inputs"));
            }
            (Some(before), _) => {
                for input in &fronts {
                    for (out, _) in before.edges_of(input)? {
                        held.entry(out).or_default().insert(input.to_bytes());
                    }
                }
                // What these inputs held back in the base they hold back still. Their edges need not show it: a full run that
                // changed the format of the state has kept the rows of `errors`, and no edges.
                let by_digits: BTreeMap<String, EncodedKey> =
                    fronts.iter().map(InputKey::to_bytes).map(|bytes| (hex(&bytes), bytes)).collect();
                for (reader, row) in before.errors()? {
                    let Reader::Back(out) = reader else { continue };
                    for bytes in row.held_by.iter().filter_map(|digits| by_digits.get(digits)) {
                        held.entry(out.clone()).or_default().insert(bytes.clone());
                    }
                }
            }
        }
        let mut kept = Vec::new();
        let mut among = among.map(KeySet::walk);
        for (out, holders) in held {
            let bytes = out.to_bytes();
            if match &mut among {
                Some(among) => !among.take(&bytes)?,
                None => false,
            } {
                continue;
            }
            self.hold(out, &holders)?;
            kept.push(bytes);
        }
        // Before back-ends run: the kernel skips those of outputs that are held back.
        self.check()?;
        self.kernel.hold(kept.iter().cloned());
        Ok(kept)
    }

    fn hold(&mut self, out: OutputKey, holders: &BTreeSet<EncodedKey>) -> Result<()> {
        let key = self.kernel.out_key(&out)?.to_string();
        let (stage, row) = (self.stage, self.rows.remove(&Reader::Back(out.clone())));
        let held_by = row.map(|row| row.held_by).unwrap_or_default();
        let held_by: BTreeSet<String> = held_by.into_iter().chain(holders.iter().map(|input| hex(input))).collect();
        let first = holders.first().map(|input| stage.decode(input)).transpose()?;
        let first = first.map(|input| stage.view.show(&input)).unwrap_or_default();
        let message = match held_by.len() {
            1 => format!("kept as it was: the front-end of {first} failed"),
            more => format!("kept as it was: the front-ends of {first} and {} more failed", more - 1),
        };
        self.rows.insert(Reader::Back(out), ErrorRow { key, message, held_by });
        Ok(())
    }

    /// The readers in quarantine now; `None` if there are none.
    pub(crate) fn readers(&self) -> Option<BTreeSet<Reader>> {
        (!self.rows.is_empty()).then(|| self.rows.keys().cloned().collect())
    }

    /// The new table, and its partitions as they are reported.
    pub(crate) fn finish(&mut self) -> Result<(Tree, Vec<Quarantined>)> {
        self.check()?;
        let (stage, now) = (self.stage, std::mem::take(&mut self.rows));
        let task = stage.task.id();
        let before: BTreeMap<Reader, ErrorRow> = read(task, &stage.state.errors)?.into_iter().collect();
        let mut table = TableWriter::new(stage.writers(), &stage.state.errors);
        let readers: BTreeSet<&Reader> = before.keys().chain(now.keys()).collect();
        // Readers sort as their bytes do, so the table gets its keys in order.
        for reader in readers {
            if before.get(reader) != now.get(reader) {
                let row = now.get(reader).map(serde_json::to_vec).transpose();
                let row = row.map_err(|error| stage.broken(format!("an error that can not be written: {error}")))?;
                table.set(&reader.bytes(), row.as_deref())?;
            }
        }
        let reported = now.into_iter().map(|(reader, row)| row.quarantined(task, reader.phase())).collect();
        Ok((table.finish()?, reported))
    }
}
