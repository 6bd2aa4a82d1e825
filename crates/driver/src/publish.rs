//! The publisher: what was compiled becomes the next state of an output layer.
//!
//! Two modes. *Incremental*: what was not offered stays as it is. *Full snapshot*: what was not offered goes. In both,
//! what equals the published partition is left alone, so the tree keeps every node that nothing changed in.

use deltic_core::NameBytes;
use deltic_store::{Draft, Entry, KeyRange, Tree};

use crate::engine::Outcome;
use crate::{Error, Result};

/// Publishing into one layer. Offers come in name order.
pub(crate) struct Publisher {
    published: Tree,
    full: bool,
    changes: Vec<(NameBytes, Option<Entry>)>,
    /// In a full snapshot: offered and found published already.
    same: Vec<NameBytes>,
    pub(crate) put: u64,
    pub(crate) deleted: u64,
}

impl Publisher {
    pub(crate) fn new(published: &Tree, full: bool) -> Publisher {
        Publisher { published: published.clone(), full, changes: Vec::new(), same: Vec::new(), put: 0, deleted: 0 }
    }

    /// Takes what became of one output. Returns whether a published partition goes because of it.
    pub(crate) fn offer(&mut self, name: NameBytes, outcome: Outcome) -> Result<bool> {
        match outcome {
            Outcome::New(entry) => {
                self.put += 1;
                self.changes.push((name, Some(entry)));
            }
            Outcome::Same(_) if self.full => self.same.push(name),
            Outcome::Same(_) => {}
            // In a full snapshot it goes with everything else that was not offered.
            Outcome::Nothing if self.full => {}
            Outcome::Nothing => {
                let goes = self.published.get(&name)?.is_some();
                if goes {
                    self.deleted += 1;
                    self.changes.push((name, None));
                }
                return Ok(goes);
            }
        }
        Ok(false)
    }

    /// The layer's tree with everything applied; `gone` gets the names that a full snapshot deletes.
    pub(crate) fn finish(&mut self, draft: &Draft, mut gone: impl FnMut(&[u8]) -> Result<()>) -> Result<Tree> {
        let mut changes = std::mem::take(&mut self.changes);
        if self.full && !self.published.is_empty() {
            let mut deletions = Vec::new();
            let (mut put, mut same) = (changes.iter().map(|(name, _)| name).peekable(), self.same.iter().peekable());
            for published in self.published.scan(KeyRange::all()) {
                let (name, _) = published?;
                while put.next_if(|offered| **offered < name).is_some() {}
                while same.next_if(|offered| **offered < name).is_some() {}
                let offered = put.peek().is_some_and(|o| **o == name) || same.peek().is_some_and(|o| **o == name);
                if !offered {
                    gone(&name)?;
                    deletions.push((name, None));
                }
            }
            self.deleted += deletions.len() as u64;
            changes.extend(deletions);
            changes.sort_by(|a, b| a.0.cmp(&b.0));
        }
        if changes.is_empty() {
            return Ok(self.published.clone());
        }
        draft.edit(&self.published, changes.into_iter().map(Ok::<_, Error>))
    }
}
