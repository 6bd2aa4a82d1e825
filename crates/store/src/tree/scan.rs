//! Walks a range of a tree in key order, reading leaves ahead.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use deltic_core::NameBytes;

use super::KeyRange;
use crate::Result;
use crate::format::entry::Entry;
use crate::format::node::{TreeNode, Wanted};
use crate::format::tree_root::Root;
use crate::packs::source::Source;

/// How many leaves below one parent are read at once, at most.
const MAX_AHEAD: usize = 64;

/// How many parents of leaves are read at once with all their leaves, where each request takes a round trip: about 65,000
/// entries.
const PARENTS_AHEAD: usize = 8;

/// The entries of a range in key order. Ends after the first error.
pub struct Scan {
    source: Arc<Source>,
    range: KeyRange,
    /// The root, until it is read.
    root: Option<Wanted>,
    /// From the root down to a leaf.
    stack: Vec<Frame>,
    /// How many leaves are read at once. Grows, so that a scan that ends early reads little.
    ahead: usize,
    /// The factor that `ahead` grows by.
    growth: usize,
}

struct Frame {
    node: TreeNode,
    next: usize,
    /// Children read already: those from `next` on.
    ready: VecDeque<Ready>,
}

/// A node, and its children when they were read with it.
type Ready = (TreeNode, VecDeque<TreeNode>);

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("range", &self.range).finish_non_exhaustive()
    }
}

impl Scan {
    pub(super) fn new(source: &Arc<Source>, root: &Root, range: KeyRange) -> Scan {
        let growth = if source.is_remote() { MAX_AHEAD } else { 4 };
        Scan { source: Arc::clone(source), range, root: root.node(), stack: Vec::new(), ahead: 1, growth }
    }

    fn step(&mut self) -> Result<Option<(NameBytes, Entry)>> {
        if let Some(root) = self.root.take() {
            let root = self.source.node(&root)?;
            self.enter(root, VecDeque::new());
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
                // A child begins after the key of the one before it. So the first child that ends at or after the range's end is the
                // last that can reach into the range.
                let end = self.range.end.as_ref().map_or(frame.node.len(), |end| frame.node.search(end) + 1);
                let mut ahead = 1;
                let with_leaves = frame.node.level() == 2 && self.growth == MAX_AHEAD && self.ahead == MAX_AHEAD;
                if with_leaves {
                    ahead = PARENTS_AHEAD;
                } else if frame.node.level() == 1 {
                    ahead = self.ahead;
                    self.ahead = (self.ahead * self.growth).min(MAX_AHEAD);
                }
                let end = end.min(frame.node.len()).min(frame.next + ahead);
                let children: Vec<Wanted> = (frame.next..end).filter_map(|index| frame.node.child(index)).collect();
                let children = self.source.nodes(&children)?;
                let mut families = if with_leaves { families(&self.source, &children)? } else { VecDeque::new() };
                let family = |child| (child, families.pop_front().unwrap_or_default());
                frame.ready = children.into_iter().map(family).collect();
            }
            let Some((child, children)) = frame.ready.pop_front() else {
                // All children in the range have been walked.
                self.stack.clear();
                return Ok(None);
            };
            frame.next += 1;
            self.enter(child, children);
        }
    }

    fn enter(&mut self, node: TreeNode, children: VecDeque<TreeNode>) {
        let next = node.search(&self.range.start);
        let ready = children.into_iter().skip(next).map(|child| (child, VecDeque::new())).collect();
        self.stack.push(Frame { node, next, ready });
    }
}

/// Reads the children of several nodes, all at once.
fn families(source: &Source, parents: &[TreeNode]) -> Result<VecDeque<VecDeque<TreeNode>>> {
    let wanted: Vec<Wanted> = parents.iter().flat_map(TreeNode::children).collect();
    let mut nodes = source.nodes(&wanted)?.into_iter();
    Ok(parents.iter().map(|parent| nodes.by_ref().take(parent.len()).collect()).collect())
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
