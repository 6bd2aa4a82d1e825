//! Partitions that a compiler failed on and that a run went on without: the table `errors` of a task's state.
//!
//! An output whose back-end failed keeps what is published of it. An input whose front-end failed keeps what it said
//! last: its edges stay, and the outputs that they lead to are *held back*, which means that they are kept as they are
//! without running their back-end. An input that never said anything goes nowhere. Whatever is in the table is tried
//! again by the next run, changed or not, and an output stays held back as long as an input that holds it back fails.
//!
//! So a version with partitions in quarantine is not what a run from nothing would have made, and says so; once the
//! table is empty it is again, state included. A full run on the same base keeps just what an incremental one does, in
//! layers and in state: [`base_tables`](crate::stage::base_tables) has what the task remembers of these partitions.

use std::collections::{BTreeMap, BTreeSet};

use deltic_compiler::OnError;
use deltic_store::Tree;

use crate::engine::kernel::TaskKernel;
use crate::error::failure::{Failure, Failures, PassedLimit, Quarantined};
use crate::key::{EncodedKey, InputKey, OutputKey};
use crate::sort::key_set::KeySet;
use crate::stage::context::Stage;
use crate::state::quarantined::{Said, hex, read};
use crate::state::reads::Reader;
use crate::state::tables::TableWriter;
use crate::{Error, Result};

/// What fails in a stage, and what is made of it.
pub(crate) struct Quarantine<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    /// The most partitions that may fail, whatever they hold back; 0 where any failure ends the run.
    most: usize,
    failures: Failures,
    /// Inputs whose front-end failed and that nothing was made of yet.
    fronts: Vec<InputKey>,
    said: BTreeMap<Reader, Said>,
}

impl<'a> Quarantine<'a> {
    pub(crate) fn new(stage: &'a Stage<'a>, kernel: &'a TaskKernel<'a>) -> Quarantine<'a> {
        let most = match (stage.checks.failures, stage.task.policy()) {
            (Some(most), _) => most,
            (None, OnError::Abort) => 0,
            (None, OnError::Quarantine { most }) => usize::try_from(most).unwrap_or(usize::MAX),
        };
        Quarantine { stage, kernel, most, failures: Failures::default(), fronts: Vec::new(), said: BTreeMap::new() }
    }

    /// A front-end failed. Inputs come in order.
    pub(crate) fn front_failed(&mut self, input: &InputKey, failure: Failure) -> Result<()> {
        self.fronts.push(input.clone());
        self.failed(Reader::Front(input.clone()), failure)
    }

    /// A back-end failed.
    pub(crate) fn back_failed(&mut self, out: &OutputKey, failure: Failure) -> Result<()> {
        // What is published of an output is told by its name, what a group made by state alone.
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
        let said = Said { key: failure.key.clone(), message: failure.message.clone(), held_by: BTreeSet::new() };
        self.said.insert(reader, said);
        // What a verification goes on after is no policy of the task.
        let has_limit = self.most > 0 && self.stage.checks.failures.is_none();
        if has_limit && self.failures.all.len() == self.most {
            self.failures.passed = vec![PassedLimit { task: self.stage.task.id().clone(), most: self.most }];
        }
        self.failures.add(failure, self.most)
    }

    /// Ends the run where it may not go on. Called when all front-ends are through, and when all back-ends are.
    fn check(&mut self) -> Result<()> {
        if self.failures.all.is_empty() || self.failures.all.len() <= self.most && self.failures.because.is_none() {
            return Ok(());
        }
        Err(Error::compiler(std::mem::take(&mut self.failures)))
    }

    /// Holds back the outputs of inputs whose front-end failed since the last call: with `among`, only of these. Returns
    /// them in order.
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
                let by_digits: BTreeMap<String, EncodedKey> =
                    fronts.iter().map(InputKey::to_bytes).map(|bytes| (hex(&bytes), bytes)).collect();
                for (reader, said) in before.errors()? {
                    let Reader::Back(out) = reader else { continue };
                    for bytes in said.held_by.iter().filter_map(|digits| by_digits.get(digits)) {
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
        self.check()?;
        self.kernel.hold(kept.iter().cloned());
        Ok(kept)
    }

    fn hold(&mut self, out: OutputKey, holders: &BTreeSet<EncodedKey>) -> Result<()> {
        let key = self.kernel.out_key(&out)?.to_string();
        let (stage, mut said) = (self.stage, self.said.remove(&Reader::Back(out.clone())));
        let held_by = said.take().map(|said| said.held_by).unwrap_or_default();
        let held_by: BTreeSet<String> = held_by.into_iter().chain(holders.iter().map(|input| hex(input))).collect();
        let first = holders.first().map(|input| stage.decode(input)).transpose()?;
        let first = first.map(|input| stage.view.show(&input)).unwrap_or_default();
        let message = match held_by.len() {
            1 => format!("kept as it was: the front-end of {first} failed"),
            more => format!("kept as it was: the front-ends of {first} and {} more failed", more - 1),
        };
        self.said.insert(Reader::Back(out), Said { key, message, held_by });
        Ok(())
    }

    /// What is in quarantine now; `None` where nothing is.
    pub(crate) fn readers(&self) -> Option<BTreeSet<Reader>> {
        (!self.said.is_empty()).then(|| self.said.keys().cloned().collect())
    }

    /// The table with what is in quarantine now, and that as it is reported.
    pub(crate) fn finish(&mut self) -> Result<(Tree, Vec<Quarantined>)> {
        self.check()?;
        let (stage, now) = (self.stage, std::mem::take(&mut self.said));
        let task = stage.task.id();
        let before: BTreeMap<Reader, Said> = read(task, &stage.state.errors)?.into_iter().collect();
        let mut table = TableWriter::new(stage.writers(), &stage.state.errors);
        let readers: BTreeSet<&Reader> = before.keys().chain(now.keys()).collect();
        let mut keys: Vec<(Vec<u8>, &Reader)> = readers.into_iter().map(|reader| (reader.bytes(), reader)).collect();
        keys.sort();
        for (key, reader) in keys {
            if before.get(reader) != now.get(reader) {
                let said = now.get(reader).map(serde_json::to_vec).transpose();
                let said = said.map_err(|error| stage.broken(format!("an error that can not be written: {error}")))?;
                table.set(&key, said.as_deref())?;
            }
        }
        let reported = now.into_iter().map(|(reader, said)| said.quarantined(task, reader.phase())).collect();
        Ok((table.finish()?, reported))
    }
}
