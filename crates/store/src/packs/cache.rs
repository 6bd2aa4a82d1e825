//! Decoded nodes in memory, bounded in bytes.
//!
//! The key of a node is its place, not its digest. A node of equal content may lie elsewhere too, and hold other places for its
//! payloads. By digest, a reader could get the node of a draft that was never committed, and its places lead to packs that the
//! sweep removes.

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
