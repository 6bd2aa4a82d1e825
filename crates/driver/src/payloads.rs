//! Walking a layer with its payloads.

use std::collections::VecDeque;
use std::iter::Peekable;

use deltic_core::{Meta, NameBytes, Payload};
use deltic_store::{Entry, KeyRange, Payloads, Scan, Tree};

use crate::Result;

/// The most partitions, and the most bytes unless one alone has more, whose payloads are read together.
const SCAN_ITEMS: usize = 256;
const SCAN_BYTES: u64 = 2 << 20;

/// Goes through a tree with payloads: those of the next batch are on their way while one is looked at.
pub(crate) struct PayloadScan<'a> {
    tree: &'a Tree,
    found: Peekable<Scan>,
    /// The batch that is being read.
    coming: Option<(Vec<(NameBytes, Meta)>, Payloads)>,
    ready: VecDeque<(NameBytes, Meta, Payload)>,
}

impl<'a> PayloadScan<'a> {
    pub(crate) fn new(tree: &'a Tree) -> PayloadScan<'a> {
        let found = tree.scan(KeyRange::all()).peekable();
        PayloadScan { tree, found, coming: None, ready: VecDeque::new() }
    }

    fn begin(&mut self) -> Result<()> {
        let (mut names, mut entries, mut bytes) = (Vec::new(), Vec::new(), 0);
        while names.len() < SCAN_ITEMS {
            let fits = |found: &deltic_store::Result<(NameBytes, Entry)>| match found {
                Ok((_, entry)) => names.is_empty() || bytes + entry.meta.len <= SCAN_BYTES,
                Err(_) => true,
            };
            let Some(found) = self.found.next_if(fits) else { break };
            let (name, entry) = found?;
            bytes += entry.meta.len;
            names.push((name, entry.meta.clone()));
            entries.push(entry);
        }
        self.coming = if names.is_empty() { None } else { Some((names, self.tree.begin_read_all(entries)?)) };
        Ok(())
    }

    fn step(&mut self) -> Result<Option<(NameBytes, Meta, Payload)>> {
        if self.ready.is_empty() {
            if self.coming.is_none() {
                self.begin()?;
            }
            if let Some((names, payloads)) = self.coming.take() {
                if self.tree.is_remote() {
                    self.begin()?;
                }
                let payloads = payloads.wait()?;
                self.ready.extend(names.into_iter().zip(payloads).map(|((name, meta), payload)| (name, meta, payload)));
            }
        }
        Ok(self.ready.pop_front())
    }
}

impl Iterator for PayloadScan<'_> {
    type Item = Result<(NameBytes, Meta, Payload)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
