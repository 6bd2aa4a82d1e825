//! Decoded nodes in memory, bounded in bytes.
//!
//! A node is kept under where it lies, not under its digest: a node of equal content may lie elsewhere as well and
//! hold other places of its payloads, and those of a draft that was given up must never be found in its stead.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use crate::node::Node;
use crate::tree::NodePlace;

const SHARDS: usize = 8;

/// A cache of two generations per shard: what is used moves to the young one; when that is full it becomes the old
/// one, and what was old and unused is dropped.
pub(crate) struct NodeCache {
    shards: [Mutex<Shard>; SHARDS],
    generation_bytes: usize,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    young: HashMap<NodePlace, Arc<Node>>,
    old: HashMap<NodePlace, Arc<Node>>,
    young_bytes: usize,
}

impl NodeCache {
    /// A cache of about `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> NodeCache {
        NodeCache {
            shards: std::array::from_fn(|_| Mutex::default()),
            generation_bytes: bytes / (2 * SHARDS),
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn get(&self, place: &NodePlace) -> Option<Arc<Node>> {
        let mut shard = self.shard(place);
        if let Some(node) = shard.young.get(place) {
            return Some(Arc::clone(node));
        }
        let node = shard.old.remove(place)?;
        shard.insert(*place, &node, self.generation_bytes);
        Some(node)
    }

    pub(crate) fn insert(&self, place: NodePlace, node: &Arc<Node>) {
        self.shard(&place).insert(place, node, self.generation_bytes);
    }

    fn shard(&self, place: &NodePlace) -> std::sync::MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(place) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn insert(&mut self, place: NodePlace, node: &Arc<Node>, limit: usize) {
        if self.young_bytes + node.memory() > limit {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(place, Arc::clone(node)).is_none() {
            self.young_bytes += node.memory();
        }
    }
}
