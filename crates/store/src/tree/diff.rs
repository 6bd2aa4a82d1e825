//! What differs between two trees, in key order.
//!
//! Both trees are walked side by side. Where the next item on both sides is a node, and both nodes have the same digest, their
//! contents are equal and they are skipped unread. Else the node of the higher level is opened; where the levels are equal, both are,
//! in one round trip. Trees may differ in height and in where nodes end: equal parts of the key space have equal nodes, whatever
//! lies around them.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use deltic_core::NameBytes;

use super::Tree;
use crate::format::entry::Entry;
use crate::format::node::{NodeRef, TreeNode, Wanted};
use crate::packs::source::Source;
use crate::{Error, Result};

/// How many differing nodes of a side are read at once, at most.
const MAX_AHEAD: usize = 64;

/// How many are read at once at first, where each request takes a round trip. Most walks go to the end and need them all.
const REMOTE_AHEAD: usize = 16;

/// A key whose meta differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: NameBytes,
    /// The entry in the older tree; none when the key is new.
    pub before: Option<Entry>,
    /// The entry in the newer tree; none when the key was deleted.
    pub after: Option<Entry>,
}

/// The changes from one tree to another, in key order. Ends after the first error.
pub struct Diff {
    old: Side,
    new: Side,
}

struct Side {
    source: Arc<Source>,
    /// The root, until it is read or skipped.
    root: Option<Wanted>,
    stack: Vec<Frame>,
    /// How many differing nodes are read at once. Grows with each batch.
    ahead: usize,
}

struct Frame {
    node: TreeNode,
    next: usize,
    /// Children read ahead, by index.
    ready: VecDeque<(usize, TreeNode)>,
}

/// What comes next on a side.
enum Item {
    Node(NodeRef),
    Entry,
}

impl fmt::Debug for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diff").finish_non_exhaustive()
    }
}

impl Diff {
    pub(super) fn new(old: &Tree, new: &Tree) -> Diff {
        Diff { old: Side::new(old), new: Side::new(new) }
    }

    fn step(&mut self) -> Result<Option<Change>> {
        loop {
            match (self.old.peek()?, self.new.peek()?) {
                (None, None) => return Ok(None),
                (Some(Item::Node(old)), Some(Item::Node(new))) if old.digest == new.digest => {
                    self.old.skip();
                    self.new.skip();
                }
                (Some(Item::Node(old)), Some(Item::Node(new))) => {
                    // Never the lower one: its equal may lie inside of the higher node, and would no longer be seen as a node.
                    self.open(old.level >= new.level, new.level >= old.level)?;
                }
                (Some(Item::Node(_)), _) => self.open(true, false)?,
                (_, Some(Item::Node(_))) => self.open(false, true)?,
                (Some(Item::Entry), None) => return Ok(self.old.take().map(|(key, old)| change(key, Some(old), None))),
                (None, Some(Item::Entry)) => return Ok(self.new.take().map(|(key, new)| change(key, None, Some(new)))),
                (Some(Item::Entry), Some(Item::Entry)) => {
                    if let Some(change) = self.compare() {
                        return Ok(Some(change));
                    }
                }
            }
        }
    }

    /// Opens the nodes that come next, on one side or on both. Then their entries or children come next.
    fn open(&mut self, old: bool, new: bool) -> Result<()> {
        let of_old = if old { self.old.missing(&self.new) } else { Vec::new() };
        let of_new = if new { self.new.missing(&self.old) } else { Vec::new() };
        let (at_old, of_old): (Vec<usize>, Vec<Wanted>) = of_old.into_iter().unzip();
        let (at_new, of_new): (Vec<usize>, Vec<Wanted>) = of_new.into_iter().unzip();
        let (olds, news) = self.old.source.nodes_of_both(&of_old, &self.new.source, &of_new)?;
        if old {
            self.old.enter(at_old.into_iter().zip(olds))?;
        }
        if new {
            self.new.enter(at_new.into_iter().zip(news))?;
        }
        Ok(())
    }

    /// Compares the entries that come next on both sides. Skips all that are equal; `None` when it has skipped any.
    fn compare(&mut self) -> Option<Change> {
        let (old, new) = (self.old.stack.last_mut()?, self.new.stack.last_mut()?);
        let equal = old.node.columns().equal_from(old.next, new.node.columns(), new.next);
        if equal > 0 {
            old.next += equal;
            new.next += equal;
            return None;
        }
        match old.node.key(old.next).cmp(new.node.key(new.next)) {
            Ordering::Less => self.old.take().map(|(key, old)| change(key, Some(old), None)),
            Ordering::Greater => self.new.take().map(|(key, new)| change(key, None, Some(new))),
            Ordering::Equal => {
                let (key, old) = self.old.take()?;
                let (_, new) = self.new.take()?;
                Some(change(key, Some(old), Some(new)))
            }
        }
    }
}

fn change(key: NameBytes, before: Option<Entry>, after: Option<Entry>) -> Change {
    Change { key, before, after }
}

impl Iterator for Diff {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.old.stop();
            self.new.stop();
        }
        item
    }
}

impl Side {
    fn new(tree: &Tree) -> Side {
        let ahead = if tree.is_remote() { REMOTE_AHEAD } else { 1 };
        Side { source: Arc::clone(&tree.source), root: tree.root.node(), stack: Vec::new(), ahead }
    }

    fn peek(&mut self) -> Result<Option<Item>> {
        if let Some(root) = &self.root {
            return Ok(Some(Item::Node(root.node)));
        }
        while self.stack.pop_if(|frame| frame.next >= frame.node.len()).is_some() {}
        let Some(frame) = self.stack.last() else {
            return Ok(None);
        };
        if frame.node.level() == 0 {
            return Ok(Some(Item::Entry));
        }
        let child = frame.node.child_ref(frame.next);
        child
            .map(|child| Some(Item::Node(child)))
            .ok_or_else(|| Error::internal("an inner node has no child for a key"))
    }

    /// Skips what comes next.
    fn skip(&mut self) {
        if self.root.take().is_none()
            && let Some(frame) = self.stack.last_mut()
        {
            frame.next += 1;
        }
    }

    /// Takes the entry that comes next.
    fn take(&mut self) -> Option<(NameBytes, Entry)> {
        let frame = self.stack.last_mut()?;
        let index = frame.next;
        frame.next += 1;
        Some((frame.node.key(index).into(), frame.node.entry(index)))
    }

    /// The nodes to read before the next node can be entered: none when it was read ahead, else it and some after it that are known
    /// to differ.
    fn missing(&mut self, other: &Side) -> Vec<(usize, Wanted)> {
        if let Some(root) = &self.root {
            return vec![(0, root.clone())];
        }
        let Some(frame) = self.stack.last_mut() else {
            return Vec::new();
        };
        while frame.ready.pop_front_if(|(index, _)| *index < frame.next).is_some() {}
        if frame.ready.front().is_some_and(|(index, _)| *index == frame.next) {
            return Vec::new();
        }
        frame.ready.clear();
        let indices = frame.differing(other.frame_at(frame.node.level()), self.ahead);
        self.ahead = (self.ahead * 2).min(MAX_AHEAD);
        indices.into_iter().filter_map(|index| Some((index, frame.node.child(index)?))).collect()
    }

    /// Goes down into the node that comes next, given the nodes that were missing.
    fn enter(&mut self, mut read: impl Iterator<Item = (usize, TreeNode)>) -> Result<()> {
        let next = match self.stack.last_mut() {
            Some(frame) if self.root.is_none() => {
                frame.ready.extend(read);
                frame.ready.pop_front()
            }
            _ => read.next(),
        };
        self.skip();
        let (_, node) = next.ok_or_else(|| Error::internal("a node was not read"))?;
        self.stack.push(Frame { node, next: 0, ready: VecDeque::new() });
        Ok(())
    }

    fn frame_at(&self, level: u8) -> Option<&Frame> {
        self.stack.iter().find(|frame| frame.node.level() == level)
    }

    fn stop(&mut self) {
        self.root = None;
        self.stack.clear();
    }
}

impl Frame {
    /// The next child, which is known to differ, and children after it that the `other` side's node of the same level does not have;
    /// `most` in all. Stops where that node ends: it is not known which of the later children differ, and reading equal ones would
    /// make the cost grow with the tree.
    fn differing(&self, other: Option<&Frame>, most: usize) -> Vec<usize> {
        let mut indices = vec![self.next];
        let Some(other) = other else {
            return indices;
        };
        for index in self.next + 1..self.node.len() {
            let at = other.node.search(self.node.key(index));
            if at == other.node.len() || indices.len() >= most {
                break;
            }
            if other.node.columns().digest(at) != self.node.columns().digest(index) {
                indices.push(index);
            }
        }
        indices
    }
}
