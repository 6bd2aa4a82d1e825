//! An immutable sorted map from key bytes to [`Entry`], kept as an ordered Merkle tree of nodes in packs.
//!
//! A node ends after a key whose hash says so ([`Shape`]): neither sizes nor values nor earlier cuts matter. So equal
//! contents have equal nodes and equal roots, whatever the order they were written in, and an edit touches the paths
//! to what it changes. The **root** is the first level that has one node.
//!
//! * `find`: look-up, counts, rank;
//! * `scan`: a range in order, reading ahead;
//! * `diff`: what differs between two trees;
//! * `edit`: a new tree from an old one and sorted operations;
//! * `cursor`: walking the nodes of one level.

mod cursor;
mod diff;
mod edit;
mod find;
mod range;
mod scan;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use deltic_core::{Digest, Meta, Payload};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::format::node;
use crate::format::node::{NodeRef, Wanted};
use crate::format::object_name::PackName;
use crate::packs::payload::{self, PayloadReader, Payloads};
use crate::packs::source::Source;

pub use crate::format::shape::Shape;
pub use diff::{Change, Diff};
pub use edit::TreeEditor;
pub use range::KeyRange;
pub use scan::Scan;

/// A layer's metadata, or a table of the state, at a version or in a draft. Cheap to clone.
///
/// Every node is checked against the digest, the counts and the range of keys that the nodes above it say when it is read.
/// Decoded nodes are cached per catalog.
#[derive(Clone)]
pub struct Tree {
    pub(crate) source: Arc<Source>,
    pub(crate) root: Root,
}

/// What a version record says of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Digest of keys, payload digests, lengths and user fields: equal digests, equal contents.
    pub digest: Digest,
    /// Level of the root node; 0 is a leaf.
    pub level: u8,
    /// Number of entries.
    pub count: u64,
    /// Sum of the payloads' lengths.
    pub bytes: u64,
    /// Where the root node lies; none when the tree is empty.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub place: Option<NodePlace>,
}

/// Where a node lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodePlace {
    /// The pack.
    pub pack: PackName,
    /// Where it begins in the pack.
    pub offset: u64,
    /// Its length there.
    pub stored: u64,
}

/// What a tree holds for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the payload is: the part that is digested and compared.
    pub meta: Meta,
    /// Where its bytes lie: no part of any digest.
    pub place: Place,
}

/// Where a payload's bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the tree's leaf itself.
    Inline(Bytes),
    /// In a pack.
    Pack {
        /// The pack.
        pack: PackName,
        /// Where they begin in the pack.
        offset: u64,
        /// Their length there.
        stored: u64,
        /// How they are coded.
        codec: Codec,
    },
}

/// How a payload's stored bytes are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// As they are.
    Raw,
    /// As one zstd frame.
    Zstd,
}

impl Root {
    /// The root of the empty tree.
    pub fn empty() -> Root {
        Root { digest: node::empty_digest(), level: 0, count: 0, bytes: 0, place: None }
    }

    /// The root node, to be read; none of an empty tree.
    pub(crate) fn node(&self) -> Option<Wanted> {
        let Root { digest, level, count, bytes, place } = *self;
        place.map(|place| Wanted::root(NodeRef { digest, level, count, bytes, place }))
    }

    /// Says what is wrong with a root that was read.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.place.is_none() && *self != Root::empty() || self.place.is_some() && self.count == 0 {
            return Some("a root is neither empty nor has it a place and entries".to_owned());
        }
        None
    }
}

impl From<NodeRef> for Root {
    fn from(node: NodeRef) -> Root {
        let NodeRef { digest, level, count, bytes, place } = node;
        Root { digest, level, count, bytes, place: Some(place) }
    }
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
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry>> {
        find::get(self, key)
    }

    /// Reads what look-ups of some ascending keys will look at into the cache, a level at a time and all of a level at
    /// once: a round trip a level instead of one a node. As many keys as the cache has room for leaves.
    pub fn read_ahead(&self, keys: &[&[u8]]) -> Result<()> {
        find::read_ahead(&self.source, self.root.node(), keys)
    }

    /// Walks a range of keys in order. Leaves are read ahead in batches that grow as the scan goes on.
    pub fn scan(&self, range: KeyRange) -> Scan {
        Scan::new(self, range)
    }

    /// Counts the keys in a range without walking it. Cost: two look-ups.
    pub fn count_in(&self, range: &KeyRange) -> Result<u64> {
        find::count_in(self, range)
    }

    /// The number of keys less than `key`. Cost: a look-up.
    pub fn rank(&self, key: &[u8]) -> Result<u64> {
        find::rank(self, key)
    }

    /// The entry with `n` keys before it. Cost: a look-up.
    pub fn nth(&self, n: u64) -> Result<Option<(deltic_core::NameBytes, Entry)>> {
        find::nth(self, n)
    }

    /// Walks, in key order, what differs from this tree to a `newer` one. Entries differ when their meta does; where
    /// bytes lie does not matter. Cost: the nodes that differ. The trees may be of any two versions or catalogs.
    pub fn diff(&self, newer: &Tree) -> Diff {
        Diff::new(self, newer)
    }

    /// Reads the payload of an entry of this tree and checks it against its digest. Cost: one request, none when it
    /// is inline.
    pub fn read(&self, entry: &Entry) -> Result<Payload> {
        payload::read(&self.source, entry)
    }

    /// Reads the payloads of entries of this tree, in the order given, at most one request for neighbours in a pack.
    /// All of them are in memory at once: the caller's batch is the bound.
    pub fn read_all(&self, entries: &[Entry]) -> Result<Vec<Payload>> {
        payload::read_all(&self.source, entries)
    }

    /// Begins to read the payloads of entries of this tree and returns at once, so that reading goes on beside other
    /// work. Where the store is local nothing is begun, and all is read when it is waited for.
    pub fn begin_read_all(&self, entries: Vec<Entry>) -> Result<Payloads> {
        Payloads::begin(&self.source, entries)
    }

    /// Whether each request takes a round trip over a network, so that reading should begin well before it is needed.
    pub fn is_remote(&self) -> bool {
        self.source.catalog.root().is_remote()
    }

    /// Opens the payload of an entry of this tree to be read piece by piece. What it is checked against is known at
    /// its end only: use nothing of it before the reader has said that it is whole.
    pub fn open(&self, entry: &Entry) -> Result<PayloadReader> {
        PayloadReader::new(&self.source, entry)
    }
}

#[cfg(test)]
mod tests {
    use deltic_core::{RunId, Version};

    use super::*;

    #[test]
    fn a_root_is_empty_or_has_a_place_and_entries() {
        let pack = PackName { base: Version(1), run: RunId(2), seq: 3 };
        let place = Some(NodePlace { pack, offset: 0, stored: 100 });
        let empty = Root::empty();
        for legal in [empty, Root { count: 1, place, ..empty }] {
            assert_eq!(legal.problem(), None, "{legal:?}");
        }
        for wrong in [Root { count: 1, ..empty }, Root { bytes: 1, ..empty }, Root { place, ..empty }] {
            assert!(wrong.problem().is_some(), "{wrong:?}");
        }
    }
}
