//! Walks a range of a tree in key order, reading leaves ahead.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use deltic_core::NameBytes;

use super::{Entry, KeyRange, Tree};
use crate::Result;
use crate::node::{Node, NodeRef};
use crate::source::Source;

/// Children read at once, at most.
const MOST_AHEAD: usize = 64;

/// The entries of a range in key order. Ends after the first error.
pub struct Scan {
    source: Arc<Source>,
    range: KeyRange,
    /// The root, until it is read.
    root: Option<NodeRef>,
    /// From the root down to a leaf.
    stack: Vec<Frame>,
    /// How many leaves are read at once: grows, so that a scan that is soon given up reads little.
    ahead: usize,
}

struct Frame {
    node: Arc<Node>,
    next: usize,
    /// Children read already: those from `next` on.
    ready: VecDeque<Arc<Node>>,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("range", &self.range).finish_non_exhaustive()
    }
}

impl Scan {
    pub(super) fn new(tree: &Tree, range: KeyRange) -> Scan {
        Scan { source: Arc::clone(&tree.source), range, root: tree.root.node(), stack: Vec::new(), ahead: 1 }
    }

    fn step(&mut self) -> Result<Option<(NameBytes, Entry)>> {
        if let Some(root) = self.root.take() {
            let root = self.source.node(&root)?;
            self.enter(root);
        }
        loop {
            let Some(frame) = self.stack.last_mut() else {
                return Ok(None);
            };
            if frame.next >= frame.node.len() {
                self.stack.pop();
                continue;
            }
            if frame.node.level() == 0 {
                let index = frame.next;
                let key = frame.node.key(index);
                if self.range.ends_before(key) {
                    self.stack.clear();
                    return Ok(None);
                }
                frame.next += 1;
                return Ok(Some((key.into(), frame.node.entry(index))));
            }
            if frame.ready.is_empty() {
                // A child begins after the key of the one before it; the first that ends at or after the range's end is
                // the last that can reach into the range.
                let end = self.range.end.as_ref().map_or(frame.node.len(), |end| frame.node.search(end) + 1);
                let mut ahead = 1;
                if frame.node.level() == 1 {
                    ahead = self.ahead;
                    self.ahead = (self.ahead * 4).min(MOST_AHEAD);
                }
                let end = end.min(frame.node.len()).min(frame.next + ahead);
                let children: Vec<NodeRef> = (frame.next..end).filter_map(|index| frame.node.child(index)).collect();
                frame.ready = self.source.nodes(&children)?.into();
            }
            let Some(child) = frame.ready.pop_front() else {
                // All children in the range have been walked.
                self.stack.clear();
                return Ok(None);
            };
            frame.next += 1;
            self.enter(child);
        }
    }

    fn enter(&mut self, node: Arc<Node>) {
        let next = node.search(&self.range.start);
        self.stack.push(Frame { node, next, ready: VecDeque::new() });
    }
}

impl Iterator for Scan {
    type Item = Result<(NameBytes, Entry)>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.stack.clear();
        }
        item
    }
}
