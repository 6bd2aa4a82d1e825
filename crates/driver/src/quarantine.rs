//! Partitions that a compiler failed on and that a run went on without: the table `errors` of a task's state.
//!
//! An output whose back-end failed keeps what is published of it. An input whose front-end failed keeps what it said
//! last: its edges stay, and the outputs that they lead to are *held back*, which means that they are kept as they are
//! without running their back-end. An input that never said anything goes nowhere. Whatever is in the table is tried
//! again by the next run, changed or not, and an output stays held back as long as an input that holds it back fails.
//!
//! So a version with partitions in quarantine is not what a run from nothing would have made, and says so; once the
//! table is empty it is again, state included. A full run on the same base keeps just what an incremental one does, in
//! layers and in state: [`base_tables`](crate::base_tables) has what the task remembers of these partitions.
//!
//! | key | value |
//! |---|---|
//! | input whose front-end failed, as a reader of the table `reads` | what is said of it, as JSON |
//! | output whose back-end failed, or that is held back | the same, and the inputs that hold it back |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use deltic_compiler::OnError;
use deltic_core::TaskId;
use deltic_store::{KeyRange, Snapshot, Tree};
use serde::{Deserialize, Serialize};

use crate::elements::{Elements, Sorter};
use crate::failure::{Failure, Failures, PassedLimit};
use crate::kernel::TaskKernel;
use crate::reads::Reader;
use crate::stage::Stage;
use crate::state::{State, TableWriter, table_name};
use crate::{Element, Error, Phase, Result};

/// The table's name.
pub(crate) const TABLE: &str = "errors";

/// A partition in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// The task.
    pub task: TaskId,
    /// `Front` for an input, `Back` for an output.
    pub phase: Phase,
    /// The partition.
    pub key: String,
    /// What the compiler said, or which inputs hold an output back.
    pub message: String,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}: {}", self.task, self.phase, self.key, self.message)
    }
}

/// What the table says of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    key: String,
    message: String,
    /// The inputs that hold an output back: elements in hexadecimal digits.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    held_by: BTreeSet<String>,
}

impl Said {
    /// Gives the inputs that hold it back other numbers; those that have none do not hold it back any more.
    pub(crate) fn renumber(&mut self, now: impl Fn(&Element) -> Option<Element>) {
        let held_by = self.held_by.iter().filter_map(|digits| now(&Element::read(&mut &bytes_of(digits)?[..])?));
        self.held_by = held_by.map(|input| hex(&input.to_bytes())).collect();
    }

    fn quarantined(self, task: &TaskId, phase: Phase) -> Quarantined {
        Quarantined { task: task.clone(), phase, key: self.key, message: self.message }
    }
}

/// The partitions in quarantine at a version, by task, inputs before outputs.
///
/// Cost: a scan of one small table for each task that has any, and nothing where none has.
pub fn quarantined(snapshot: &Snapshot) -> Result<Vec<Quarantined>> {
    let mut all = Vec::new();
    for task in snapshot.record().tasks.iter().map(|record| &record.id) {
        if let Some(table) = snapshot.state_table(&table_name(task, TABLE)) {
            for (reader, said) in read(task, &table)? {
                all.push(said.quarantined(task, reader.phase()));
            }
        }
    }
    Ok(all)
}

/// The whole table: what failed, which a budget keeps small, and the outputs that it holds back.
pub(crate) fn read(task: &TaskId, table: &Tree) -> Result<Vec<(Reader, Said)>> {
    if table.is_empty() {
        return Ok(Vec::new());
    }
    let broken = |message: &str| Error::State { task: task.clone(), message: message.to_owned() };
    let one = |found: deltic_store::Result<(deltic_core::NameBytes, deltic_store::Entry)>| {
        let (key, entry) = found?;
        let reader = Reader::read(&key).ok_or_else(|| broken("an error of an unknown partition"))?;
        let said = serde_json::from_slice(table.read(&entry)?.bytes());
        Ok((reader, said.map_err(|_| broken("an error that can not be read"))?))
    };
    table.scan(KeyRange::all()).map(one).collect()
}

impl Reader {
    fn phase(&self) -> Phase {
        match self {
            Reader::Front(_) => Phase::Front,
            Reader::Back(_) => Phase::Back,
        }
    }
}

impl State {
    /// Adds what is in quarantine, each with this mark, to the inputs and outputs that a run looks at.
    pub(crate) fn retry(&self, mark: u8, inputs: &mut Sorter, outputs: &mut Sorter) -> Result<()> {
        for (reader, _) in read(self.task(), &self.errors)? {
            match reader {
                Reader::Front(input) => inputs.add(&input.to_bytes(), mark)?,
                Reader::Back(output) => outputs.add(&output.to_bytes(), mark)?,
            }
        }
        Ok(())
    }
}

/// A partition in quarantine as a task remembers it.
pub(crate) struct Known {
    pub(crate) reader: Reader,
    pub(crate) said: Quarantined,
    /// Whether it is there only because an input that it is made from is.
    pub(crate) is_held: bool,
}

impl State {
    /// What is in quarantine, inputs before outputs.
    pub(crate) fn in_quarantine(&self) -> Result<Vec<Known>> {
        let known = read(self.task(), &self.errors)?.into_iter().map(|(reader, said)| {
            let (phase, is_held) = (reader.phase(), !said.held_by.is_empty());
            Known { reader, said: said.quarantined(self.task(), phase), is_held }
        });
        Ok(known.collect())
    }
}

/// What fails in a stage, and what is made of it.
pub(crate) struct Quarantine<'a> {
    stage: &'a Stage<'a>,
    kernel: &'a TaskKernel<'a>,
    /// The most partitions that may fail, whatever they hold back; 0 where any failure ends the run.
    most: usize,
    failures: Failures,
    /// Inputs whose front-end failed and that nothing was made of yet.
    fronts: Vec<Element>,
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
    pub(crate) fn front_failed(&mut self, input: &Element, failure: Failure) -> Result<()> {
        self.fronts.push(input.clone());
        self.failed(Reader::Front(input.clone()), failure)
    }

    /// A back-end failed.
    pub(crate) fn back_failed(&mut self, out: &Element, failure: Failure) -> Result<()> {
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
        Err(Error::Compiler(std::mem::take(&mut self.failures)))
    }

    /// Holds back the outputs of inputs whose front-end failed since the last call: with `among`, only of these. Returns
    /// them in order.
    pub(crate) fn hold_back(&mut self, among: Option<&Elements>) -> Result<Vec<Vec<u8>>> {
        let fronts = std::mem::take(&mut self.fronts);
        if fronts.is_empty() {
            return Ok(Vec::new());
        }
        let mut held: BTreeMap<Element, BTreeSet<Vec<u8>>> = BTreeMap::new();
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
                let by_digits: BTreeMap<String, Vec<u8>> =
                    fronts.iter().map(Element::to_bytes).map(|bytes| (hex(&bytes), bytes)).collect();
                for (reader, said) in before.errors()? {
                    let Reader::Back(out) = reader else { continue };
                    for bytes in said.held_by.iter().filter_map(|digits| by_digits.get(digits)) {
                        held.entry(out.clone()).or_default().insert(bytes.clone());
                    }
                }
            }
        }
        let mut kept = Vec::new();
        let mut among = among.map(Elements::walk);
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

    fn hold(&mut self, out: Element, holders: &BTreeSet<Vec<u8>>) -> Result<()> {
        let key = self.kernel.out_key(&out)?.to_string();
        let (stage, mut said) = (self.stage, self.said.remove(&Reader::Back(out.clone())));
        let held_by = said.take().map(|said| said.held_by).unwrap_or_default();
        let held_by: BTreeSet<String> = held_by.into_iter().chain(holders.iter().map(|input| hex(input))).collect();
        let first = holders.first().map(|input| stage.element(input)).transpose()?;
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
        let mut table = TableWriter::new(stage.draft, &stage.state.errors);
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_that_the_digits_say() {
        for bytes in [&b""[..], b"\x00", b"\xff\x00a", &(0..=255).collect::<Vec<u8>>()] {
            assert_eq!(bytes_of(&hex(bytes)).as_deref(), Some(bytes));
        }
        assert_eq!((bytes_of("0"), bytes_of("0x"), bytes_of("é0")), (None, None, None));
    }
}
