//! What a table lists behind a key, as a stream: one output may be made from everything, and one input may go into
//! everything, so neither list is held as a whole.

use deltic_store::{Entry, KeyRange, Scan, Tree};

use crate::key::EncodedKey;
use crate::{Error, Result};

/// The rows of a table whose keys begin with one key, in order: the key behind it, with the entry.
pub(crate) struct Listed {
    /// None where the table has nothing at all, which needs no look.
    found: Option<Scan>,
    /// The bytes of the key that all of them begin with.
    first: usize,
    next: Option<(EncodedKey, Entry)>,
}

impl Listed {
    /// What a table lists behind an encoded key. Cost: nothing until it is asked for.
    pub(crate) fn new(table: &Tree, first: &[u8]) -> Listed {
        let found = (!table.is_empty()).then(|| table.scan(KeyRange::prefix(first)));
        Listed { found, first: first.len(), next: None }
    }

    /// Nothing.
    pub(crate) fn nothing() -> Listed {
        Listed { found: None, first: 0, next: None }
    }

    /// The next one, if it is one that is wanted; otherwise it stays.
    pub(crate) fn next_if(&mut self, is_wanted: impl FnOnce(&[u8]) -> bool) -> Result<Option<(EncodedKey, Entry)>> {
        if self.next.is_none() {
            self.next = self.step().transpose()?;
        }
        Ok(self.next.take_if(|(behind, _)| is_wanted(behind)))
    }

    fn step(&mut self) -> Option<Result<(EncodedKey, Entry)>> {
        let behind = |(key, entry): (deltic_core::NameBytes, Entry)| (key[self.first..].into(), entry);
        Some(self.found.as_mut()?.next()?.map(behind).map_err(Error::from))
    }
}

impl Iterator for Listed {
    type Item = Result<(EncodedKey, Entry)>;

    fn next(&mut self) -> Option<Result<(EncodedKey, Entry)>> {
        self.next.take().map(Ok).or_else(|| self.step())
    }
}
