//! A new tree from an old one and sorted operations.
//!
//! Each level has an editor. The editor of the leaves gets the caller's operations. What it does to the nodes of its level becomes
//! operations for the level above: delete the last key of a node that is gone, put the last key of a new one. So every level gets
//! sorted unique operations and does the same thing:
//!
//! ```text
//! op ──► find the node that covers its key ──► merge ──► an entry whose key ends a node? write the node, emit for the parent
//!                         ▲                                             │
//!                         └── the last entry ends no node: the right neighbour joins
//! ```
//!
//! A node whose content is unchanged is not written, and its parent gets no operation. Above the base's root there is no base, and
//! the editors only build. The first level that ends up with one node holds the root.

use std::fmt;
use std::sync::Arc;

use deltic_core::Digest;

use super::cursor::Cursor;
use super::level::{Item, LevelEditor, Output, ParentOp};
use super::{Tree, find};
use crate::format::entry::{Entry, Place};
use crate::format::node::{MAX_KEY_BYTES, NodeRef, NodeWriter, Wanted};
use crate::format::tree_root::Root;
use crate::packs::source::Source;
use crate::packs::writer::PackWriter;
use crate::{Error, Result};

/// Makes a new tree: takes sorted operations one by one. Memory: a few nodes a level.
///
/// See [`crate::Draft::editor`].
pub struct TreeEditor {
    source: Arc<Source>,
    pub(super) output: Output,
    base: Option<Wanted>,
    /// The digest of the tree that is edited.
    pub(super) digest: Digest,
    /// The editors of the levels that have seen an operation.
    pub(super) levels: Vec<LevelEditor>,
    /// The one node that the topmost of these levels has made so far. It is the root unless a second one follows, so it is held back:
    /// passed up at once, every tree would get levels without end.
    pub(super) top: Option<ParentOp>,
    pub(super) order: Order,
}

/// Checks that keys ascend.
#[derive(Default)]
pub(super) struct Order {
    /// The last key, and whether there was one.
    before: Option<Vec<u8>>,
}

impl fmt::Debug for TreeEditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeEditor").field("base", &self.base).finish_non_exhaustive()
    }
}

impl TreeEditor {
    pub(crate) fn new(source: &Arc<Source>, packs: &Arc<PackWriter>, base: &Root) -> Result<TreeEditor> {
        let shape = source.origin.shape();
        Ok(TreeEditor {
            source: Arc::clone(source),
            output: Output { packs: Arc::clone(packs), writer: NodeWriter::new()?, shape },
            base: base.node(),
            digest: base.digest,
            levels: Vec::new(),
            top: None,
            order: Order::default(),
        })
    }

    /// Puts an entry under a key, or with `None` deletes what is there; deleting what is not there does nothing.
    ///
    /// Fails when `key` does not come after the key before it.
    pub fn apply(&mut self, key: &[u8], entry: Option<&Entry>) -> Result<()> {
        self.order.take(key)?;
        check(&self.output.packs, key, entry)?;
        self.operate(0, key, entry.map(Item::Entry))
    }

    /// Reads the base's nodes that cover some ascending keys into the cache, one level after the other and all nodes of a level at
    /// once. Without it an edit of scattered keys waits for one node after the other. The result is the same.
    pub fn read_ahead(&self, keys: &[&[u8]]) -> Result<()> {
        find::read_ahead(&self.source, self.base.clone(), keys)
    }

    /// The new tree, readable at once.
    pub fn finish(mut self) -> Result<Tree> {
        let mut level = 0;
        while level < self.levels.len() {
            self.levels[level].finish(&mut self.output)?;
            self.pass_up(level)?;
            level += 1;
        }
        // An edit that never reached the root's level has changed nothing: below it, every change is an operation for a parent.
        let unchanged = self.base.as_ref().is_some_and(|base| self.levels.len() <= usize::from(base.node.level));
        let root = match (unchanged, self.base, self.top.and_then(|top| top.child)) {
            (true, Some(base), _) => base.node.into(),
            (_, _, None) => Root::empty(),
            (_, _, Some(root)) => collapse(&self.source, root)?,
        };
        Ok(Tree { source: self.source, root })
    }

    /// Whether nodes of this level have parents in the base.
    fn has_parent(&self, level: usize) -> bool {
        self.base.as_ref().is_some_and(|base| level < usize::from(base.node.level))
    }

    pub(super) fn operate(&mut self, level: usize, key: &[u8], item: Option<Item<'_>>) -> Result<()> {
        if self.levels.len() == level {
            let has_base = self.base.clone().filter(|base| level <= usize::from(base.node.level));
            let cursor = has_base.map(|base| Cursor::new(&self.source, base, level as u8));
            self.levels.push(LevelEditor::new(level as u8, cursor, self.has_parent(level)));
        }
        self.levels[level].apply(key, item, &mut self.output)?;
        self.pass_up(level)
    }

    /// Hands the operations that a level has emitted to the level above.
    pub(super) fn pass_up(&mut self, level: usize) -> Result<()> {
        if self.levels[level].emitted.is_empty() {
            return Ok(());
        }
        let mut emitted = std::mem::take(&mut self.levels[level].emitted);
        for op in emitted.drain(..) {
            if self.has_parent(level) || self.levels.len() > level + 1 {
                self.operate(level + 1, &op.key, op.child.as_ref().map(Item::Child))?;
            } else if let Some(first) = self.top.take() {
                // A second node: there has to be a level above.
                self.operate(level + 1, &first.key, first.child.as_ref().map(Item::Child))?;
                self.operate(level + 1, &op.key, op.child.as_ref().map(Item::Child))?;
            } else {
                self.top = Some(op);
            }
        }
        // The buffer goes back and is used again.
        self.levels[level].emitted = emitted;
        Ok(())
    }
}

impl Order {
    /// Takes the next key, which must come after the one before it.
    pub(super) fn take(&mut self, key: &[u8]) -> Result<()> {
        match &mut self.before {
            Some(before) if before[..] >= *key => {
                let (before, key) = (String::from_utf8_lossy(before), String::from_utf8_lossy(key));
                return Err(Error::invalid(format!(
                    "operations on a tree must come with ascending, unique keys: `{}` came after `{}`",
                    key.escape_debug(),
                    before.escape_debug()
                )));
            }
            Some(before) => {
                before.clear();
                before.extend_from_slice(key);
            }
            None => self.before = Some(key.to_vec()),
        }
        Ok(())
    }

    /// Skips to a key: the next one must come after it.
    pub(super) fn pass(&mut self, key: &[u8]) {
        self.before = Some(key.to_vec());
    }

    /// The last key.
    pub(super) fn into_last(self) -> Option<Box<[u8]>> {
        self.before.map(Vec::into_boxed_slice)
    }
}

/// Refuses a key that is too long, and an entry whose bytes can not be in a pack that the new version may refer to.
pub(super) fn check(packs: &PackWriter, key: &[u8], entry: Option<&Entry>) -> Result<()> {
    if key.len() > MAX_KEY_BYTES {
        return Err(Error::invalid(format!(
            "a key has {} bytes, more than the {MAX_KEY_BYTES} that it can have; use shorter keys",
            key.len()
        )));
    }
    let wrong = |what: &str| {
        let key = String::from_utf8_lossy(key);
        Err(Error::invalid(format!("the entry put under key `{}` {what}", key.escape_debug())))
    };
    match entry.map(|entry| (&entry.place, entry.meta.len)) {
        Some((Place::Inline(bytes), len)) if bytes.len() as u64 != len => {
            wrong("has another length than its inline bytes")
        }
        Some((Place::Pack { stored: 0, .. }, _)) => wrong("lies in a pack and has no bytes there"),
        Some((Place::Pack { pack, .. }, _)) if !packs.may_refer_to(*pack) => {
            wrong(&format!("lies in pack {pack}, which this run has not written and its base does not know"))
        }
        _ => Ok(()),
    }
}

/// Goes down to the first node that has no single child. The root is the first level with one node, so an inner node with one child
/// can not be the root: equal contents would have different roots, by how they came about.
fn collapse(source: &Source, root: NodeRef) -> Result<Root> {
    let mut root = Wanted::root(root);
    while root.node.level > 0 {
        let node = source.node(&root)?;
        match node.child(0) {
            Some(child) if node.len() == 1 => root = child,
            _ => break,
        }
    }
    Ok(root.node.into())
}
