//! What differs between two trees, in key order.
//!
//! Both trees are walked side by side. Where the next thing on both sides is a node of the same digest, all of it is
//! equal and skipped unread; else the taller side (on a tie the old one) is opened. Trees may differ in height and in
//! where nodes end: equal parts of the key space have equal nodes, whatever lies around them.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use deltic_core::NameBytes;

use super::{Entry, Tree};
use crate::node::{Node, NodeRef};
use crate::source::Source;
use crate::{Error, Result};

/// Differing nodes read at once, at most.
const MOST_AHEAD: usize = 64;

/// A key whose meta differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: NameBytes,
    /// The entry in the older tree; none when the key is new.
    pub old: Option<Entry>,
    /// The entry in the newer tree; none when the key was deleted.
    pub new: Option<Entry>,
}

/// The changes from one tree to another, in key order. Ends after the first error.
pub struct Diff {
    old: Side,
    new: Side,
}

struct Side {
    source: Arc<Source>,
    /// The root, until it is read or skipped.
    root: Option<NodeRef>,
    stack: Vec<Frame>,
    /// How many differing nodes are read at once: grows as more turn up.
    ahead: usize,
}

struct Frame {
    node: Arc<Node>,
    next: usize,
    /// Children read ahead, by index.
    ready: VecDeque<(usize, Arc<Node>)>,
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
                (Some(Item::Node(old)), Some(Item::Node(new))) if old.level < new.level => {
                    self.new.open(&new, &self.old)?;
                }

                (Some(Item::Node(old)), _) => self.old.open(&old, &self.new)?,
                (_, Some(Item::Node(new))) => self.new.open(&new, &self.old)?,
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

    /// Compares the entries that come next on both sides; `None` when they are equal.
    fn compare(&mut self) -> Option<Change> {
        let (old, new) = (self.old.stack.last()?, self.new.stack.last()?);
        match old.node.key(old.next).cmp(new.node.key(new.next)) {
            Ordering::Less => self.old.take().map(|(key, old)| change(key, Some(old), None)),
            Ordering::Greater => self.new.take().map(|(key, new)| change(key, None, Some(new))),
            Ordering::Equal if old.node.columns().same_meta(old.next, new.node.columns(), new.next) => {
                self.old.skip();
                self.new.skip();
                None
            }
            Ordering::Equal => {
                let (key, old) = self.old.take()?;
                let (_, new) = self.new.take()?;
                Some(change(key, Some(old), Some(new)))
            }
        }
    }
}

fn change(key: NameBytes, old: Option<Entry>, new: Option<Entry>) -> Change {
    Change { key, old, new }
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
        Side { source: Arc::clone(&tree.source), root: tree.root.node(), stack: Vec::new(), ahead: 1 }
    }

    fn peek(&mut self) -> Result<Option<Item>> {
        if let Some(root) = self.root {
            return Ok(Some(Item::Node(root)));
        }
        while self.stack.pop_if(|frame| frame.next >= frame.node.len()).is_some() {}
        let Some(frame) = self.stack.last() else {
            return Ok(None);
        };
        if frame.node.level() == 0 {
            return Ok(Some(Item::Entry));
        }
        let child = frame.node.child(frame.next);
        child
            .map(|child| Some(Item::Node(child)))
            .ok_or_else(|| Error::internal("an inner node has no child for a key"))
    }

    /// Passes over what comes next.
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

    /// Opens the node that comes next: its entries or children come next then.
    fn open(&mut self, node: &NodeRef, other: &Side) -> Result<()> {
        let node = match self.stack.last_mut() {
            Some(frame) if self.root.is_none() => {
                while frame.ready.front().is_some_and(|(index, _)| *index < frame.next) {
                    frame.ready.pop_front();
                }
                if frame.ready.front().is_none_or(|(index, _)| *index != frame.next) {
                    let indices = frame.differing(other.frame_at(frame.node.level()), self.ahead);
                    self.ahead = (self.ahead * 2).min(MOST_AHEAD);
                    let children: Vec<NodeRef> = indices.iter().filter_map(|index| frame.node.child(*index)).collect();
                    frame.ready = indices.into_iter().zip(self.source.nodes(&children)?).collect();
                }
                frame.ready.pop_front().map(|(_, node)| node)
            }
            _ => Some(self.source.node(node)?),
        };
        self.skip();
        let node = node.ok_or_else(|| Error::internal("a node was not read"))?;
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
    /// The next child, which is known to differ, and up to `most` in all of those after it that are not in the `other`
    /// side's node of the same level. Where that node does not reach, nothing is known, and nothing read ahead.
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
