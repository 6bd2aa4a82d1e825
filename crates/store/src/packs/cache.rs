//! Decoded nodes in memory, bounded in bytes.
//!
//! A node is kept under where it lies, not under its digest: a node of equal content may lie elsewhere as well and
//! hold other places of its payloads, and those of a draft that was given up must never be found in its stead.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deltic_core::Recent;

use crate::format::entry::NodePlace;
use crate::format::node::Node;

const SHARDS: usize = 8;

/// A cache of nodes that threads share.
pub(crate) struct NodeCache {
    shards: [Mutex<Recent<NodePlace, Arc<Node>>>; SHARDS],
    hasher: RandomState,
}

impl NodeCache {
    /// A cache of about `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> NodeCache {
        NodeCache {
            shards: std::array::from_fn(|_| Mutex::new(Recent::new((bytes / SHARDS) as u64))),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn get(&self, place: &NodePlace) -> Option<Arc<Node>> {
        self.shard(place).get(place)
    }

    pub(crate) fn insert(&self, place: NodePlace, node: &Arc<Node>) {
        self.shard(&place).insert(place, Arc::clone(node), node.memory() as u64);
    }

    fn shard(&self, place: &NodePlace) -> MutexGuard<'_, Recent<NodePlace, Arc<Node>>> {
        let index = self.hasher.hash_one(place) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
