//! An immutable sorted map from key bytes to [`Entry`], kept as an ordered Merkle tree of nodes in packs.
//!
//! Where a node ends is a function of the key alone ([`Shape`](crate::Shape)), not of sizes, values or earlier edits. So equal
//! contents have equal nodes and equal roots, in whatever order they were written, and an edit rewrites only the paths to
//! what it changes. The **root** is the first level that has one node.
//!
//! * `find`: look-up, counts, rank;
//! * `scan`: a range in order, reading ahead;
//! * `diff`: what differs between two trees;
//! * `edit`: a new tree from an old one and sorted operations;
//! * `part`: the same for ranges of keys side by side, stitched afterwards;
//! * `level`: one level of such an edit;
//! * `cursor`: walking the nodes of one level;
//! * `range`: ranges of keys.
//!
//! Uses `format` and `packs`.

mod cursor;
mod diff;
mod edit;
mod find;
mod level;
mod part;
mod range;
mod scan;

use std::fmt;
use std::sync::Arc;

use deltic_core::{Digest, Payload};

use crate::Result;
use crate::format::entry::Entry;
use crate::format::tree_root::Root;
use crate::packs::payload::{self, PayloadReader, Payloads};
use crate::packs::source::Source;

pub use diff::{Change, Diff};
pub use edit::TreeEditor;
pub use part::PartEditor;
pub use range::KeyRange;
pub use scan::Scan;

/// A layer's metadata, or a table of the state, at a version or in a draft. Cheap to clone.
///
/// When a node is read, it is checked against the digest, the counts and the range of keys that the nodes above it give.
/// Decoded nodes are cached per catalog.
#[derive(Clone)]
pub struct Tree {
    pub(crate) source: Arc<Source>,
    pub(crate) root: Root,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({}, {} entries)", self.root.digest.short(), self.root.count)
    }
}

impl Tree {
    /// The root, as version records hold it.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Digest of the content.
    pub fn digest(&self) -> Digest {
        self.root.digest
    }

    /// Number of entries.
    pub fn count(&self) -> u64 {
        self.root.count
    }

    /// Sum of the payloads' lengths.
    pub fn bytes(&self) -> u64 {
        self.root.bytes
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.root.count == 0
    }

    /// Looks a key up. Cost: one request a level that is not cached; an absent key costs the same.
    ///
    /// Errors: a node can not be read ([`Unavailable`](crate::ErrorKind::Unavailable)), or is
    /// damaged or missing ([`Corrupt`](crate::ErrorKind::Corrupt)).
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry>> {
        find::get(&self.source, &self.root, key)
    }

    /// Reads the nodes that look-ups of some ascending keys need into the cache: one level after the other, all nodes of a level at
    /// once. So look-ups take a round trip a level, not one a node. Give no more keys than the cache has room for leaves.
    pub fn read_ahead(&self, keys: &[&[u8]]) -> Result<()> {
        find::read_ahead(&self.source, self.root.node(), keys)
    }

    /// Walks a range of keys in order. Leaves are read ahead in batches that grow as the scan goes on. Makes no request before the first
    /// step. A step fails like [`Tree::get`].
    pub fn scan(&self, range: KeyRange) -> Scan {
        Scan::new(&self.source, &self.root, range)
    }

    /// Counts the keys in a range without walking it. Cost: two look-ups.
    pub fn count_in(&self, range: &KeyRange) -> Result<u64> {
        find::count_in(&self.source, &self.root, range)
    }

    /// The number of keys less than `key`. Cost: a look-up.
    pub fn rank(&self, key: &[u8]) -> Result<u64> {
        find::rank(&self.source, &self.root, key)
    }

    /// The entry with `n` keys before it. Cost: a look-up.
    pub fn nth(&self, n: u64) -> Result<Option<(deltic_core::NameBytes, Entry)>> {
        find::nth(&self.source, &self.root, n)
    }

    /// Keys that cut the tree into `parts` ranges with about equal counts of entries: the last key of each range but the last.
    /// Counts are off by up to a sixteenth. There are fewer keys when there are hardly more entries than parts, and never more
    /// ranges than entries.
    ///
    /// Cost: a round trip a level, and at most a node a level for each key. The search ends at nodes with a small share of a range;
    /// these are above the leaves when ranges are large.
    pub fn split_keys(&self, parts: usize) -> Result<Vec<deltic_core::NameBytes>> {
        find::split_keys(&self.source, &self.root, parts)
    }

    /// Walks, in key order, what differs between this tree and a `newer` one. Entries differ when their meta does; where their bytes
    /// lie does not matter. Cost: the nodes that differ. The trees may be of any two versions or catalogs.
    pub fn diff(&self, newer: &Tree) -> Diff {
        Diff::new(self, newer)
    }

    /// Reads the payload of an entry of this tree and checks it against its digest. Cost: one request, none when it
    /// is inline.
    ///
    /// Errors: the store does not answer or refuses ([`Unavailable`](crate::ErrorKind::Unavailable)); the payload is damaged, or its
    /// pack is missing ([`Corrupt`](crate::ErrorKind::Corrupt)); an entry that the caller built holds inline bytes that
    /// do not match its digest ([`InvalidInput`](crate::ErrorKind::InvalidInput)).
    pub fn read(&self, entry: &Entry) -> Result<Payload> {
        payload::read(&self.source, entry)
    }

    /// Reads the payloads of entries of this tree, in the given order. Neighbours in a pack share a request. All payloads are in
    /// memory at once: the caller's batch is the bound. Errors: as for [`Tree::read`]; one payload that can not be read fails all.
    pub fn read_all(&self, entries: &[Entry]) -> Result<Vec<Payload>> {
        payload::read_all(&self.source, entries)
    }

    /// Begins to read the payloads of entries of this tree and returns at once, so that reading goes on beside other work. Where the
    /// store is local, nothing is read before [`Payloads::wait`].
    pub fn begin_read_all(&self, entries: Vec<Entry>) -> Result<Payloads> {
        Payloads::begin(&self.source, entries)
    }

    /// Whether each request takes a round trip over a network, so that reading should begin well before it is needed.
    pub fn is_remote(&self) -> bool {
        self.source.is_remote()
    }

    /// Opens the payload of an entry of this tree, to be read piece by piece. Its digest is checked at its end: use nothing of it
    /// before the reader has reached the end without an error. Errors: as for [`Tree::read`], here or while reading.
    pub fn open(&self, entry: &Entry) -> Result<PayloadReader> {
        PayloadReader::new(&self.source, entry)
    }
}
