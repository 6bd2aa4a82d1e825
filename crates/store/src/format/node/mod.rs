//! A node of a tree: sorted keys, and for each either an entry (in a leaf) or a child (in an inner node).
//!
//! A node is kept in columns: one buffer for all keys, one array for all digests, and so on. Decoding and building
//! allocate per node, not per entry, and searching touches the keys alone.
//!
//! What a node *is* and where things *lie* are separate. The digest covers the logical stream: keys, digests, lengths,
//! user fields, counts. It covers neither the places of payloads and children nor the coding of the bytes. So runs that
//! write equal contents into different packs get equal digests.

mod columns;
mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod wanted;

use std::sync::LazyLock;

use deltic_core::Digest;

pub(crate) use columns::{Columns, Where};
pub(crate) use encode::NodeWriter;
pub(crate) use wanted::{TreeNode, Wanted};

use crate::format::entry::Blob;
use crate::format::entry::{Entry, NodePlace, Place};

/// The most entries a node may have. Nodes of honest keys stay far below; more is a sign of corruption.
pub(crate) const MAX_ENTRIES: usize = 65_536;
/// The longest key.
pub(crate) const MAX_KEY_BYTES: usize = 16 << 10;
/// The longest meta section before compression.
pub(crate) const MAX_SECTION_BYTES: usize = 64 << 20;
/// The longest node: its longest section, not compressed, a digest an entry, and what is around them.
pub(crate) const MAX_NODE_BYTES: u64 = (MAX_SECTION_BYTES + MAX_ENTRIES * Digest::LEN + 64) as u64;
/// One key in this many is written in full. So decoded keys are at most this many times as long as the section that holds
/// them, and the input bounds what a decoder allocates.
const RESTART: usize = 16;
/// A section may not grow more than this many times when it is decompressed, for the same reason.
const MAX_EXPANSION: usize = 256;

/// A node, decoded and digested. Not yet compared with the reference in its parent.
#[derive(Debug)]
pub(crate) struct Node {
    level: u8,
    digest: Digest,
    columns: Columns,
    count: u64,
    bytes: u64,
}

/// A reference to a node, in its parent or in a version record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeRef {
    pub(crate) digest: Digest,
    pub(crate) level: u8,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) place: NodePlace,
}

impl NodeRef {
    pub(crate) fn blob(&self) -> Blob {
        Blob { pack: self.place.pack, offset: self.place.offset, len: self.place.stored }
    }
}

impl Node {
    /// Decoding allocates at most this many times the length of a node's section, uncompressed, and 128 KiB.
    #[cfg(test)]
    pub(crate) const MEMORY_PER_SECTION_BYTE: u64 = 40;

    pub(crate) fn level(&self) -> u8 {
        self.level
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Entries of the subtree.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Sum of the payload lengths of the subtree.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Entries of the node itself; at least one.
    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(crate) fn key(&self, index: usize) -> &[u8] {
        self.columns.key(index)
    }

    pub(crate) fn last_key(&self) -> &[u8] {
        self.columns.key(self.columns.len() - 1)
    }

    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The index of the first key that is not less than `key`; the number of keys when there is none.
    pub(crate) fn search(&self, key: &[u8]) -> usize {
        self.search_from(0, key)
    }

    /// The same, where the caller knows that the keys before `from` are less.
    pub(crate) fn search_from(&self, from: usize, key: &[u8]) -> usize {
        let (mut low, mut high) = (from, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        low
    }

    pub(crate) fn entry(&self, index: usize) -> Entry {
        let place = match self.columns.places[index] {
            Where::Inline { .. } => Place::Inline(bytes::Bytes::copy_from_slice(self.columns.inline_bytes(index))),
            Where::Pack { pack, offset, stored, codec } => {
                Place::Pack { pack: self.columns.packs[pack as usize], offset, stored, codec }
            }
        };
        Entry { meta: self.columns.meta(index), place }
    }

    /// The reference to the child at an index of an inner node; to read the child take [`TreeNode::child`]. `None` when the node
    /// is malformed, which decoding rules out.
    pub(crate) fn child_ref(&self, index: usize) -> Option<NodeRef> {
        self.columns.child(index, self.level)
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        self.columns.memory() + 256
    }

    /// Digests columns. The caller has checked that they are sorted and whole.
    fn new(level: u8, columns: Columns, stream: &mut Vec<u8>) -> Option<Node> {
        let digest = encode::digest(level, &columns, stream);
        let (count, bytes) = columns.totals(level)?;
        Some(Node { level, digest, columns, count, bytes })
    }
}

/// The digest of the tree without entries: that of a leaf with none.
pub(crate) fn empty_digest() -> Digest {
    static DIGEST: LazyLock<Digest> = LazyLock::new(|| encode::digest(0, &Columns::default(), &mut Vec::new()));
    *DIGEST
}
