//! A node as part of a tree, checked against the nodes above it. The parent gives its digest, level, counts and last key. The
//! parent and the nodes above give the lower bound of its keys.
//!
//! So the nodes of a level hold disjoint ranges of keys, in order. Listing and look-up agree, and no walk meets a node twice,
//! even in a tree that another program built. Trees can be read only through these two types.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{Node, NodeRef};

/// A key of a node that was read.
type KeyAt = (Arc<Node>, usize);

/// A node that is to be read, and what the nodes above it require of it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) node: NodeRef,
    /// The key that its parent has for it; none for a root.
    last: Option<KeyAt>,
    /// For a first child: all keys of its parent come after this key. None when the parent begins with the tree.
    after: Option<KeyAt>,
}

/// A node that was read and checked against the nodes above it.
#[derive(Clone)]
pub(crate) struct TreeNode {
    node: Arc<Node>,
    after: Option<KeyAt>,
}

impl Wanted {
    /// The root of a tree, as a version record refers to it.
    pub(crate) fn root(node: NodeRef) -> Wanted {
        Wanted { node, last: None, after: None }
    }

    /// Whether it is the root.
    pub(crate) fn is_root(&self) -> bool {
        self.last.is_none()
    }

    /// How a node differs from what the nodes above require. Cost: a few comparisons.
    ///
    /// The digest covers the level, and the level is compared all the same: a parent that names a child of its own level would
    /// make a walk endless.
    pub(crate) fn problem(&self, found: &Node) -> Option<&'static str> {
        let node = &self.node;
        if found.digest() != node.digest || found.level() != node.level {
            Some("its digest differs from the one that its parent has")
        } else if found.count() != node.count || found.bytes() != node.bytes {
            Some("its counts differ from those that its parent has")
        } else if !self.has_range(found.key(0), found.last_key()) {
            Some("its keys lie outside the range that the nodes above it give")
        } else {
            None
        }
    }

    /// Whether it may have these first and last keys.
    pub(crate) fn has_range(&self, first: &[u8], last: &[u8]) -> bool {
        self.last.as_ref().is_none_or(|(parent, index)| parent.key(*index) == last)
            && self.after().is_none_or(|(above, index)| above.key(index) < first)
    }

    /// The node, after it was read and checked.
    pub(crate) fn found(&self, node: Arc<Node>) -> TreeNode {
        TreeNode { node, after: self.after().map(|(above, index)| (Arc::clone(above), index)) }
    }

    /// All of its keys come after this key. None when it begins with the tree.
    fn after(&self) -> Option<(&Arc<Node>, usize)> {
        match (&self.last, &self.after) {
            (Some((parent, index)), _) if *index > 0 => Some((parent, index - 1)),
            (_, after) => after.as_ref().map(|(above, index)| (above, *index)),
        }
    }
}

impl TreeNode {
    /// The node.
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The child at an index of an inner node. `None` when the node is malformed, which decoding rules out.
    pub(crate) fn child(&self, index: usize) -> Option<Wanted> {
        let node = self.node.child_ref(index)?;
        let after = if index == 0 { self.after.clone() } else { None };
        Some(Wanted { node, last: Some((Arc::clone(&self.node), index)), after })
    }

    /// All children of an inner node; nothing of a leaf.
    pub(crate) fn children(&self) -> impl Iterator<Item = Wanted> + '_ {
        (0..self.node.len()).filter_map(|index| self.child(index))
    }
}

impl Deref for TreeNode {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl fmt::Debug for TreeNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}
