//! Walks the nodes of one level of a tree, from left to right.

use std::sync::Arc;

use crate::format::node::{Node, NodeRef, TreeNode, Wanted};
use crate::packs::source::Source;
use crate::{Error, Result};

/// A position among the nodes of a level. Seeks and steps must go to the right.
pub(crate) struct Cursor {
    source: Arc<Source>,
    root: Wanted,
    level: u8,
    /// The inner nodes above the current one, and which child the way goes through.
    path: Vec<(TreeNode, usize)>,
    started: bool,
}

/// A node of the level, and its parent's reference to it.
pub(crate) struct Found {
    pub(crate) node: Arc<Node>,
    pub(crate) reference: NodeRef,
}

impl Cursor {
    /// Begins before the first node of `level`, which is the root's level or one below it.
    pub(crate) fn new(source: &Arc<Source>, root: Wanted, level: u8) -> Cursor {
        Cursor { source: Arc::clone(source), root, level, path: Vec::new(), started: false }
    }

    /// Goes to the node that covers `key`: the first whose last key is not less, or the last node when there is none.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<Found> {
        // The root stays: a key beyond all others belongs to the last node of the tree.
        while self.path.last().is_some_and(|(node, _)| node.last_key() < key) && self.path.len() > 1 {
            self.path.pop();
        }
        if let Some((node, index)) = self.path.last_mut() {
            *index = node.search(key).min(node.len() - 1);
        }
        self.descend(|node| node.search(key).min(node.len() - 1))
    }

    /// Goes to the next node; `None` when the current one is the last.
    pub(crate) fn next(&mut self) -> Result<Option<Found>> {
        if !self.started {
            return self.descend(|_| 0).map(Some);
        }
        let Some(depth) = self.path.iter().rposition(|(node, index)| index + 1 < node.len()) else {
            return Ok(None);
        };
        self.path.truncate(depth + 1);
        self.path[depth].1 += 1;
        self.descend(|_| 0).map(Some)
    }

    /// Whether the current node is the last of its level.
    pub(crate) fn is_last(&self) -> bool {
        self.started && self.path.iter().all(|(node, index)| index + 1 == node.len())
    }

    fn descend(&mut self, choose: impl Fn(&Node) -> usize) -> Result<Found> {
        self.started = true;
        loop {
            let wanted = match self.path.last() {
                None => self.root.clone(),
                Some((node, index)) => node
                    .child(*index)
                    .ok_or_else(|| Error::internal("an inner node has no child where it has a key"))?,
            };
            let node = self.source.node(&wanted)?;
            if wanted.node.level == self.level {
                return Ok(Found { node: Arc::clone(node.node()), reference: wanted.node });
            }
            let index = choose(&node);
            self.path.push((node, index));
        }
    }
}
