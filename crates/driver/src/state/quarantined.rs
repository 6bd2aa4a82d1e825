//! The table `errors` of a task's state: the partitions that a compiler failed on and that a run went on without.
//!
//! | key | value |
//! |---|---|
//! | input whose front-end failed, as a reader of the table `reads` | its key and message, as JSON |
//! | output whose back-end failed, or that is held back | the same, and the inputs that hold it back |

use std::collections::BTreeSet;

use deltic_core::TaskId;
use deltic_store::{KeyRange, Snapshot, Tree};
use serde::{Deserialize, Serialize};

use crate::error::failure::Quarantined;
use crate::key::InputKey;
use crate::sort::key_set::KeySorter;
use crate::sort::marks::Marks;
use crate::state::reads::Reader;
use crate::state::tables::{State, table_name};
use crate::{Error, Phase, Result};

/// The table's name.
pub(crate) const TABLE: &str = "errors";

/// What the table says of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) key: String,
    pub(crate) message: String,
    /// The inputs that hold an output back: encoded, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) held_by: BTreeSet<String>,
}

impl Said {
    /// Gives the inputs that hold it back other numbers; those that have none do not hold it back any more.
    pub(crate) fn renumber(&mut self, now: impl Fn(&InputKey) -> Option<InputKey>) {
        let held_by = self.held_by.iter().filter_map(|digits| now(&InputKey::read(&mut &bytes_of(digits)?[..])?));
        self.held_by = held_by.map(|input| hex(&input.to_bytes())).collect();
    }

    pub(crate) fn quarantined(self, task: &TaskId, phase: Phase) -> Quarantined {
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
    let broken = |message: &str| Error::state(task, message);
    let one = |found: deltic_store::Result<(deltic_core::NameBytes, deltic_store::Entry)>| {
        let (key, entry) = found?;
        let reader = Reader::read(&mut &key[..]).ok_or_else(|| broken("an error of an unknown partition"))?;
        let said = serde_json::from_slice(table.read(&entry)?.bytes());
        Ok((reader, said.map_err(|_| broken("an error that can not be read"))?))
    };
    table.scan(KeyRange::all()).map(one).collect()
}

impl Reader {
    pub(crate) fn phase(&self) -> Phase {
        match self {
            Reader::Front(_) => Phase::Front,
            Reader::Back(_) => Phase::Back,
        }
    }
}

impl State {
    /// Adds what is in quarantine to the inputs and outputs that a run looks at.
    pub(crate) fn retry(&self, inputs: &mut KeySorter, outputs: &mut KeySorter) -> Result<()> {
        for (reader, _) in read(self.task(), &self.errors)? {
            match reader {
                Reader::Front(input) => inputs.add(&input.to_bytes(), Marks::RETRIED)?,
                Reader::Back(output) => outputs.add(&output.to_bytes(), Marks::RETRIED)?,
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

pub(crate) fn hex(bytes: &[u8]) -> String {
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
