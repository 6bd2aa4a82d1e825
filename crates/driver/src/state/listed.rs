//! What a table lists behind an element, as a stream: one output may be made from everything, and one input may go into
//! everything, so neither list is held as a whole.

use deltic_store::{Entry, KeyRange, Scan, Tree};

use crate::{Error, Result};

/// The keys of a table that begin with an element, in order: what stands behind it, with the entry.
pub(crate) struct Listed {
    /// None where the table has nothing at all, which needs no look.
    found: Option<Scan>,
    element: usize,
    next: Option<(Vec<u8>, Entry)>,
}

impl Listed {
    /// What a table lists behind an element. Cost: nothing until it is asked for.
    pub(crate) fn new(table: &Tree, element: &[u8]) -> Listed {
        let found = (!table.is_empty()).then(|| table.scan(KeyRange::prefix(element)));
        Listed { found, element: element.len(), next: None }
    }

    /// Nothing.
    pub(crate) fn nothing() -> Listed {
        Listed { found: None, element: 0, next: None }
    }

    /// The next one, if it is one that is wanted; otherwise it stays.
    pub(crate) fn next_if(&mut self, is_wanted: impl FnOnce(&[u8]) -> bool) -> Result<Option<(Vec<u8>, Entry)>> {
        if self.next.is_none() {
            self.next = self.step().transpose()?;
        }
        Ok(self.next.take_if(|(behind, _)| is_wanted(behind)))
    }

    fn step(&mut self) -> Option<Result<(Vec<u8>, Entry)>> {
        let behind = |(key, entry): (deltic_core::NameBytes, Entry)| (key[self.element..].to_vec(), entry);
        Some(self.found.as_mut()?.next()?.map(behind).map_err(Error::from))
    }
}

impl Iterator for Listed {
    type Item = Result<(Vec<u8>, Entry)>;

    fn next(&mut self) -> Option<Result<(Vec<u8>, Entry)>> {
        self.next.take().map(Ok).or_else(|| self.step())
    }
}
