//! The table `errors` of a task's state: the partitions in quarantine.
//!
//! | key | value |
//! |---|---|
//! | a [`Reader`]: the input whose front-end failed | its key as text and the message, as JSON |
//! | a [`Reader`]: the output whose back-end failed, or that is held back | the same, and the inputs that hold it back |

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

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorRow {
    pub(crate) key: String,
    pub(crate) message: String,
    /// The inputs that hold an output back: encoded, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) held_by: BTreeSet<String>,
}

impl ErrorRow {
    /// Changes the layer numbers of the inputs that hold it back; an input whose layer is gone no longer does.
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
            for (reader, row) in read(task, &table)? {
                all.push(row.quarantined(task, reader.phase()));
            }
        }
    }
    Ok(all)
}

/// The whole table. The limit of the quarantine bounds the failures in it, and so the outputs that these hold back.
pub(crate) fn read(task: &TaskId, table: &Tree) -> Result<Vec<(Reader, ErrorRow)>> {
    if table.is_empty() {
        return Ok(Vec::new());
    }
    let broken = |message: &str| Error::state(task, message);
    let one = |found: deltic_store::Result<(deltic_core::NameBytes, deltic_store::Entry)>| {
        let (key, entry) = found?;
        let reader = Reader::read(&mut &key[..]).ok_or_else(|| broken("an error of an unknown partition"))?;
        let row = serde_json::from_slice(table.read(&entry)?.bytes());
        Ok((reader, row.map_err(|_| broken("an error that can not be read"))?))
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
    /// Adds the partitions in quarantine to the affected inputs and outputs: each run tries them again.
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

/// A partition in quarantine.
pub(crate) struct InQuarantine {
    pub(crate) reader: Reader,
    pub(crate) partition: Quarantined,
    /// Whether it is there only because an input that contributes to it is.
    pub(crate) is_held: bool,
}

impl State {
    /// The partitions in quarantine, inputs before outputs.
    pub(crate) fn in_quarantine(&self) -> Result<Vec<InQuarantine>> {
        let all = read(self.task(), &self.errors)?.into_iter().map(|(reader, row)| {
            let (phase, is_held) = (reader.phase(), !row.held_by.is_empty());
            InQuarantine { reader, partition: row.quarantined(self.task(), phase), is_held }
        });
        Ok(all.collect())
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
    fn digits_give_the_bytes_back() {
        for bytes in [&b""[..], b"\x00", b"\xff\x00a", &(0..=255).collect::<Vec<u8>>()] {
            assert_eq!(bytes_of(&hex(bytes)).as_deref(), Some(bytes));
        }
        assert_eq!((bytes_of("0"), bytes_of("0x"), bytes_of("é0")), (None, None, None));
    }
}
