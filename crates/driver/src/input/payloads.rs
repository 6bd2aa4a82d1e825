//! Payloads that compilers read: a whole layer in order, or any partition, through a cache.

use std::collections::VecDeque;
use std::iter::Peekable;

use bytes::Bytes;
use deltic_core::{Digest, Meta, NameBytes, Payload, Recent};
use deltic_store::{Entry, KeyRange, Payloads, Place, Scan, Tree};

use crate::Result;

/// The most partitions, and the most bytes unless one alone has more, whose payloads are read together.
const SCAN_ITEMS: usize = 256;
const SCAN_BYTES: u64 = 2 << 20;

/// A scan of a tree with payloads. Those of the next batch are read while the current ones are used.
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

/// Bytes of payloads that a task holds because somebody looked at them.
pub(crate) const CACHE_BYTES: u64 = 32 << 20;

/// The most bytes that are read ahead at once: what is read for one batch is not to push out what is read for another.
const AHEAD_BYTES: u64 = CACHE_BYTES / 4;

/// Payloads that were looked at last, by content, for all workers of a task.
///
/// It serves reads that would take a round trip. Who asks for what somebody else is reading just now waits for it, so that
/// a payload is read once, whatever the threads do.
pub(crate) struct PayloadCache(Recent<Digest, Payload>);

impl Default for PayloadCache {
    fn default() -> PayloadCache {
        PayloadCache(Recent::new(CACHE_BYTES, 1))
    }
}

impl PayloadCache {
    /// Reads the payload of an entry. Who had to wait for somebody else asks `go_on` first: where the store has failed
    /// meanwhile, it would fail again, each time after all its retries.
    pub(crate) fn read(&self, tree: &Tree, entry: &Entry, go_on: impl FnOnce() -> Result<()>) -> Result<Payload> {
        if !is_kept(tree, entry) {
            return Ok(tree.read(entry)?);
        }
        self.0.get_or_insert_with(&key(entry), entry.meta.len, || {
            go_on()?;
            Ok(tree.read(entry)?)
        })
    }

    /// Reads payloads together, as many as there is room for, in order; returns those, and such as are there already.
    pub(crate) fn read_ahead(&self, tree: &Tree, names: &[NameBytes]) -> Result<Vec<(NameBytes, Meta, Payload)>> {
        let (mut found, mut wanted, mut entries, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for name in names {
            let Some(entry) = tree.get(name)? else { continue };
            let here = match &entry.place {
                Place::Inline(_) => Some(tree.read(&entry)?),
                // One that somebody is reading just now is awaited.
                Place::Pack { .. } => self.0.get_awaited(&key(&entry)),
            };
            match here {
                Some(payload) => found.push((name.clone(), entry.meta, payload)),
                None if bytes + entry.meta.len <= AHEAD_BYTES => {
                    bytes += entry.meta.len;
                    wanted.push(name.clone());
                    entries.push(entry);
                }
                None => {}
            }
        }
        let payloads = tree.read_all(&entries)?;
        for ((name, entry), payload) in wanted.into_iter().zip(entries).zip(payloads) {
            // It is a piece of what one request brought, all of which would be held as long as this is.
            let payload = Payload::new(Bytes::copy_from_slice(payload.bytes())).with_fields(entry.meta.fields.clone());
            self.0.insert(key(&entry), payload.clone(), entry.meta.len);
            found.push((name, entry.meta, payload));
        }
        Ok(found)
    }
}

/// Payloads of equal bytes may have other fields.
fn key(entry: &Entry) -> Digest {
    entry.meta.content_digest()
}

/// Whether it is worth a place in the cache, and has one there.
fn is_kept(tree: &Tree, entry: &Entry) -> bool {
    tree.is_remote() && matches!(entry.place, Place::Pack { .. }) && entry.meta.len <= CACHE_BYTES / 2
}
