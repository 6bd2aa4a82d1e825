//! Parts of a tree: several editors edit ranges of keys side by side, also in several processes. Then one editor stitches the results
//! to the tree that a single edit would make.
//!
//! A part takes the sorted operations of its range and builds two levels by itself. Some operations depend on the neighbouring ranges:
//! those at its two ends, for each level, and those for the level above. It hands these on as a [`TreePart`]. With the shape of
//! format 1 that is one operation for about 8,192 entries, and about 200 at each end. 2,000,000 entries in 16 parts take 1.3 times
//! the CPU time of a single edit, of which stitching is a hundredth.
//!
//! ```text
//! level 2 ........................ above ......................   the stitching editor
//! level 1 ........... head ──┤ nodes of the part ├── tail .....
//! level 0 .. head ──┤       nodes of the part        ├── tail
//!                    ▲ the first end of a node       ▲ the last
//! ```
//!
//! **Why the tree is the same.** Call a key an end when it ends a node of a level in the new tree.
//!
//! 1. A part knows the ends in its range. A key that is put is an end when its hash ends a node. A key that ends a node of the base
//!    is an end too when a later operation of the part comes after it: nobody else has operations between the first and the last
//!    key of a part, so the key stays. A deleted key is no end. What comes after the last operation is left open.
//! 2. Where nodes end is a function of keys alone. So the nodes between two ends of a level are the same, whoever makes them and
//!    whatever happens before and after.
//! 3. A base node may lie on both sides of an end. Only the editor of what comes after the end emits the operation for that node:
//!    the one before stops at the end ([`LevelEditor::stop`]), the one after begins there ([`LevelEditor::begin_after`]). So the
//!    operations for the level above come in order when parts are stitched as head, inside, tail, and no key gets two.
//! 4. So the level above gets operations that have the same effect on its base as those of a single edit. The same argument holds
//!    there.
//!
//! The stitching editor applies heads from level 0 upwards, since the head of a level ends where the part's nodes of that level begin;
//! then the operations for the level above; then tails downwards.
//!
//! **Memory.** For each level, a part holds the operations since the last end. They belong to one node of the new tree and are applied
//! when its end is known. There are at most as many puts as the node has entries. But deletes make no node longer: where the ends of
//! several nodes in a row are deleted, all deletes of the row are held, about 150 bytes and the key for each. So the longest such row
//! is the bound, and never more than the operations of the part, which the choice of ranges bounds, for example by
//! [`Tree::split_keys`]. A [`TreePart`] holds at most two such rows for each level, and the operations for the level above.
//!
//! [`Tree::split_keys`]: crate::Tree::split_keys

use std::fmt;
use std::sync::Arc;

use super::cursor::Cursor;
use super::edit::{Order, TreeEditor, check};
use super::find;
use super::level::{Item, LevelEditor, Output};
use crate::format::entry::Entry;
use crate::format::node::{Node, NodeWriter, Wanted};
use crate::format::shape::Shape;
use crate::format::tree_part::{LevelEnds, Op, OwnedItem, PART_LEVELS, Tail, TreePart};
use crate::format::tree_root::Root;
use crate::packs::source::Source;
use crate::packs::writer::PackWriter;
use crate::{Error, Result};

/// Edits the part of a tree that lies in a range of keys: takes the sorted operations of the range one by one.
///
/// See [`crate::Draft::part_editor`].
pub struct PartEditor {
    source: Arc<Source>,
    output: Output,
    base: Root,
    order: Order,
    levels: [PartLevel; PART_LEVELS],
    above: Vec<Op>,
}

/// One level of a part.
struct PartLevel {
    level: u8,
    /// Makes what lies between the first end and the last.
    editor: LevelEditor,
    ends: BaseEnds,
    /// The first end of the base that is not before the last operation.
    next_end: Option<Box<[u8]>>,
    /// The operations up to the first end, once there is one.
    head: Option<Vec<Op>>,
    /// The operations since the last end.
    open: Vec<Op>,
    /// The last end, unless it is one of the base too.
    after: Option<Box<[u8]>>,
}

/// Finds the keys that end nodes of a level in the base: the keys of the level above.
struct BaseEnds {
    cursor: Option<Cursor>,
    node: Option<Arc<Node>>,
}

impl fmt::Debug for PartEditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartEditor").field("base", &self.base).finish_non_exhaustive()
    }
}

impl PartEditor {
    pub(crate) fn new(source: &Arc<Source>, packs: &Arc<PackWriter>, base: &Root) -> Result<PartEditor> {
        let (shape, root) = (source.origin.shape(), base.node());
        Ok(PartEditor {
            source: Arc::clone(source),
            output: Output { packs: Arc::clone(packs), writer: NodeWriter::new()?, shape },
            base: *base,
            order: Order::default(),
            levels: [0, 1].map(|level| PartLevel::new(source, root.as_ref(), level)),
            above: Vec::new(),
        })
    }

    /// Puts an entry under a key, or with `None` deletes what is there, as [`TreeEditor::apply`] does. Nobody else may have
    /// operations on keys between those of this part.
    pub fn apply(&mut self, key: &[u8], entry: Option<&Entry>) -> Result<()> {
        self.order.take(key)?;
        check(&self.output.packs, key, entry)?;
        let item = entry.cloned().map(OwnedItem::Entry);
        self.operate(0, Op { key: key.into(), item })
    }

    /// Reads ahead, as [`TreeEditor::read_ahead`] does.
    pub fn read_ahead(&self, keys: &[&[u8]]) -> Result<()> {
        find::read_ahead(&self.source, self.base.node(), keys)
    }

    /// What came of the range, for the draft that this editor is of to stitch; [`crate::Draft::hand_over`] makes it one for
    /// others, by uploading the packs that it refers to.
    pub fn finish(self) -> Result<TreePart> {
        let [zero, one] = self.levels;
        Ok(TreePart {
            base: self.base.digest,
            version: self.output.packs.base,
            run: self.output.packs.run,
            packs: None,
            levels: [zero.finish()?, one.finish()?],
            above: self.above,
            last: self.order.into_last(),
        })
    }

    fn operate(&mut self, level: usize, op: Op) -> Result<()> {
        let Some(part) = self.levels.get_mut(level) else {
            self.above.push(op);
            return Ok(());
        };
        part.apply(op, &mut self.output)?;
        for op in std::mem::take(&mut part.editor.emitted) {
            self.operate(level + 1, Op { key: op.key, item: op.child.map(OwnedItem::Child) })?;
        }
        Ok(())
    }
}

impl PartLevel {
    fn new(source: &Arc<Source>, base: Option<&Wanted>, level: u8) -> PartLevel {
        let cursor_at = |cursor: u8| {
            let base = base.filter(|base| base.node.level >= cursor);
            base.map(|base| Cursor::new(source, base.clone(), cursor))
        };
        let above = cursor_at(level + 1);
        PartLevel {
            level,
            editor: LevelEditor::new(level, cursor_at(level), above.is_some()),
            ends: BaseEnds { cursor: above, node: None },
            next_end: None,
            head: None,
            open: Vec::new(),
            after: None,
        }
    }

    fn apply(&mut self, op: Op, output: &mut Output) -> Result<()> {
        let is_first = self.head.is_none() && self.open.is_empty();
        if is_first {
            self.next_end = self.ends.at_or_after(&op.key, self.level, output.shape)?;
        } else if self.next_end.as_ref().is_some_and(|end| *end < op.key) {
            // This operation comes after the end, and no other editor has operations before it: the end stays.
            self.apply_open(false, output)?;
            self.after = None;
            self.editor.flush(output)?;
            self.next_end = self.ends.at_or_after(&op.key, self.level, output.shape)?;
        }
        let is_end = op.item.is_some() && output.shape.ends(self.level, &op.key);
        let is_end_of_base = self.next_end.as_ref() == Some(&op.key);
        if !is_end && !is_end_of_base {
            self.open.push(op);
            return Ok(());
        }
        let key = op.key.clone();
        self.open.push(op);
        if is_end {
            let is_first = self.head.is_none();
            self.apply_open(true, output)?;
            // The head goes to the stitching editor, so this one begins after it: with the rest of the base node that the end cuts.
            if is_first {
                self.editor.begin_after(&key)?;
            }
        }
        // Also where the end was deleted: it is no end any more, and the open node goes on to the next one.
        if is_end_of_base {
            let after = [&key, &[0][..]].concat();
            self.next_end = self.ends.at_or_after(&after, self.level, output.shape)?;
        }
        if is_end {
            self.after = Some(key).filter(|_| !is_end_of_base);
        }
        Ok(())
    }

    /// Applies the operations since the last end, or keeps them as the head. `is_put`: the last of them puts an end.
    fn apply_open(&mut self, is_put: bool, output: &mut Output) -> Result<()> {
        let open = std::mem::take(&mut self.open);
        if self.head.is_none() {
            self.head = Some(open);
            return Ok(());
        }
        let count = open.len();
        for (index, op) in open.iter().enumerate() {
            self.editor.apply_known(&op.key, op.item(), is_put && index + 1 == count, output)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<LevelEnds> {
        let Some(head) = self.head else {
            return Ok(LevelEnds { head: self.open, tail: None });
        };
        self.editor.stop();
        check_flushed(&self.editor)?;
        Ok(LevelEnds { head, tail: Some(Tail { after: self.after, ops: self.open }) })
    }
}

impl BaseEnds {
    /// The first end that is not before a key; keys must ascend. Cost: reads a node of the level above once for all of its keys.
    fn at_or_after(&mut self, key: &[u8], level: u8, shape: Shape) -> Result<Option<Box<[u8]>>> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(None);
        };
        let node = match self.node.take().filter(|node| node.last_key() >= key) {
            Some(node) => node,
            None => cursor.seek(key)?.node,
        };
        let at = node.search(key);
        // The last node of a level may lack an end, and nothing comes after it.
        let end = (at < node.len()).then(|| node.key(at)).filter(|end| shape.ends(level, end)).map(Box::from);
        self.node = Some(node);
        Ok(end)
    }
}

impl Op {
    fn item(&self) -> Option<Item<'_>> {
        self.item.as_ref().map(|item| match item {
            OwnedItem::Entry(entry) => Item::Entry(entry),
            OwnedItem::Child(child) => Item::Child(child),
        })
    }
}

fn check_flushed(editor: &LevelEditor) -> Result<()> {
    if editor.is_flushed() { Ok(()) } else { Err(Error::internal("a part of a tree does not end where a node does")) }
}

impl TreeEditor {
    /// Adds what came of a range of keys that lies after all keys so far. Parts must have been made on the tree that is
    /// edited here, by this draft or by others on the same base that have handed them over ([`crate::Draft::hand_over`]), and be
    /// given in the order of their ranges; operations may be applied between them. The tree that comes of it is that of a
    /// single edit: same digest, level, count and bytes. After an error the editor is of no use, and the draft commits only where the packs of the
    /// refused part are there.
    ///
    /// The packs of a part are looked for at the commit, by one listing for all parts, which fails when one is missing or has
    /// another length. They are no packs of the run that commits: neither its record's `packs` nor
    /// [`crate::Snapshot::listed_packs`] has them.
    ///
    /// Cost: the operations that are left in the part, and at most one node of the base for each of its ends.
    pub fn stitch(&mut self, part: &TreePart) -> Result<()> {
        if part.base != self.digest {
            return Err(Error::invalid(format!(
                "a part of an edit of tree {} can not be stitched into an edit of tree {}",
                part.base.short(),
                self.digest.short()
            )));
        }
        self.output.packs.taken_over.add_part(part)?;
        for (level, LevelEnds { head, tail }) in part.levels.iter().enumerate() {
            self.operations(level, head)?;
            if tail.is_some() {
                self.end(level, head)?;
            }
        }
        self.operations(PART_LEVELS, &part.above)?;
        for (level, ends) in part.levels.iter().enumerate().rev() {
            let Some(Tail { after, ops }) = &ends.tail else {
                continue;
            };
            if let (Some(after), Some(editor)) = (after, self.levels.get_mut(level)) {
                editor.begin_after(after)?;
            }
            self.operations(level, ops)?;
        }
        if let Some(last) = &part.last {
            self.order.pass(last);
        }
        Ok(())
    }

    /// Ends a level where the nodes of a part begin, after its head.
    fn end(&mut self, level: usize, head: &[Op]) -> Result<()> {
        let (Some(editor), Some(last)) = (self.levels.get_mut(level), head.last()) else {
            return Err(Error::internal("a part of a tree has no head where it has a tail"));
        };
        if last.item.is_some() && self.output.shape.ends(level as u8, &last.key) {
            editor.stop();
        } else {
            editor.flush(&mut self.output)?;
        }
        check_flushed(editor)?;
        self.pass_up(level)
    }

    fn operations(&mut self, level: usize, ops: &[Op]) -> Result<()> {
        for op in ops {
            if level == 0 {
                let entry = match &op.item {
                    Some(OwnedItem::Entry(entry)) => Some(entry),
                    _ => None,
                };
                self.apply(&op.key, entry)?;
                continue;
            }
            if let Some(OwnedItem::Child(child)) = &op.item
                && !self.output.packs.may_refer_to(child.place.pack)
            {
                return Err(Error::invalid(format!(
                    "a node up to key `{}` lies in pack {}, which this run has not taken over and its base does not know",
                    String::from_utf8_lossy(&op.key).escape_debug(),
                    child.place.pack
                )));
            }
            if self.levels.len() < level {
                return Err(Error::internal("a part of a tree has operations above a level that it has not ended"));
            }
            // The only node of the level below is no longer the only one, so it can not be the root.
            if self.levels.len() == level
                && let Some(first) = self.top.take()
            {
                self.operate(level, &first.key, first.child.as_ref().map(Item::Child))?;
            }
            self.operate(level, &op.key, op.item())?;
        }
        Ok(())
    }
}
