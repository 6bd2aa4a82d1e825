//! The rows of a table whose keys begin with one key, as a stream: an output may have all inputs as contributors, and an input
//! may contribute to all outputs, so neither list fits into memory.

use deltic_store::{Entry, KeyRange, Scan, Tree};

use crate::key::EncodedKey;
use crate::{Error, Result};

/// The rows of a table whose keys begin with one key, in order: for each the key behind that one, and the entry.
pub(crate) struct Listed {
    /// None if the table is empty, which needs no scan.
    found: Option<Scan>,
    /// The bytes of the key that all of them begin with.
    first: usize,
    next: Option<(EncodedKey, Entry)>,
}

impl Listed {
    /// The rows that begin with an encoded key. Cost: nothing until the first is asked for.
    pub(crate) fn new(table: &Tree, first: &[u8]) -> Listed {
        let found = (!table.is_empty()).then(|| table.scan(KeyRange::prefix(first)));
        Listed { found, first: first.len(), next: None }
    }

    /// No rows.
    pub(crate) fn nothing() -> Listed {
        Listed { found: None, first: 0, next: None }
    }

    /// The next row, if its second key is wanted; otherwise the row stays the next.
    pub(crate) fn next_if(&mut self, is_wanted: impl FnOnce(&[u8]) -> bool) -> Result<Option<(EncodedKey, Entry)>> {
        if self.next.is_none() {
            self.next = self.step().transpose()?;
        }
        Ok(self.next.take_if(|(second, _)| is_wanted(second)))
    }

    fn step(&mut self) -> Option<Result<(EncodedKey, Entry)>> {
        let second = |(key, entry): (deltic_core::NameBytes, Entry)| (key[self.first..].into(), entry);
        Some(self.found.as_mut()?.next()?.map(second).map_err(Error::from))
    }
}

impl Iterator for Listed {
    type Item = Result<(EncodedKey, Entry)>;

    fn next(&mut self) -> Option<Result<(EncodedKey, Entry)>> {
        self.next.take().map(Ok).or_else(|| self.step())
    }
}
