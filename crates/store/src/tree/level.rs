//! One level of a tree that is being edited: takes sorted operations, writes nodes, and emits operations for the level above.
//!
//! Invariant: [`Shape::ends`] alone decides where a node ends. So the nodes are those that any other edit makes of the same keys.

use std::sync::Arc;

use super::cursor::{Cursor, Found};
use crate::format::entry::{Entry, NodePlace};
use crate::format::node::{Columns, Node, NodeRef, NodeWriter};
use crate::format::shape::Shape;
use crate::packs::writer::PackWriter;
use crate::{Error, Result};

/// Where finished nodes go.
pub(super) struct Output {
    pub(super) packs: Arc<PackWriter>,
    pub(super) writer: NodeWriter,
    pub(super) shape: Shape,
}

/// An operation for the level above.
pub(super) struct ParentOp {
    pub(super) key: Box<[u8]>,
    pub(super) child: Option<NodeRef>,
}

/// What is put under a key: an entry of a leaf, or a child of an inner node.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    Entry(&'a Entry),
    Child(&'a NodeRef),
}

/// Edits one level.
pub(super) struct LevelEditor {
    level: u8,
    has_parent: bool,
    /// The base's nodes of this level, if it is that high.
    base: Option<Cursor>,
    /// The base node that is being merged, from an entry on.
    window: Option<(Found, usize)>,
    /// The node that is being made.
    open: Columns,
    /// The last base node whose entries went into new nodes. The deletion of its key is held back until the next node is closed: that
    /// node may be the same one (nothing changed), or have the same last key (its put replaces the old child). Emitted at once, the
    /// deletion would reach the parent before a put of the same key, and keys must be unique.
    replaced: Option<(Box<[u8]>, NodeRef)>,
    /// Whether the last base node of the level has been merged.
    exhausted: bool,
    /// Nodes made so far.
    made: u64,
    /// Operations for the level above.
    pub(super) emitted: Vec<ParentOp>,
}

impl LevelEditor {
    pub(super) fn new(level: u8, base: Option<Cursor>, has_parent: bool) -> LevelEditor {
        LevelEditor {
            level,
            has_parent,
            exhausted: base.is_none(),
            base,
            window: None,
            open: Columns::default(),
            replaced: None,
            made: 0,
            emitted: Vec::new(),
        }
    }

    /// Puts an item under a key, or with `None` deletes what is there.
    pub(super) fn apply(&mut self, key: &[u8], item: Option<Item<'_>>, output: &mut Output) -> Result<()> {
        let is_end = item.is_some() && output.shape.ends(self.level, key);
        self.apply_known(key, item, is_end, output)
    }

    /// The same, where the caller knows whether the key is put and ends a node.
    pub(super) fn apply_known(
        &mut self,
        key: &[u8],
        item: Option<Item<'_>>,
        is_end: bool,
        output: &mut Output,
    ) -> Result<()> {
        self.advance(key, output)?;
        if let Some((found, next)) = &mut self.window {
            // The window covers the key: keep the entries before it, and skip the one that the operation replaces.
            let node = Arc::clone(&found.node);
            let at = node.search_from(*next, key);
            self.open.push_range(node.columns(), *next..at);
            *next = at;
            if node.key(at) == key {
                *next += 1;
                if *next == node.len() {
                    self.leave_window();
                }
            }
        }
        match item {
            Some(Item::Entry(entry)) => self.open.push_entry(key, entry),
            Some(Item::Child(child)) => self.open.push_child(key, child),
            None => return Ok(()),
        }
        if is_end { self.close(output) } else { Ok(()) }
    }

    /// Merges base nodes until the window covers `key`, or no base node does.
    fn advance(&mut self, key: &[u8], output: &mut Output) -> Result<()> {
        loop {
            match &self.window {
                Some((found, _)) if found.node.last_key() >= key => return Ok(()),
                Some(_) => self.merge_rest(output)?,
                None if self.exhausted => return Ok(()),
                // The open node has no end yet, so it goes on into the next base node. To seek instead would skip the entries
                // between here and the key.
                None if !self.open.is_empty() => self.join_neighbour()?,
                None => {
                    let Some(cursor) = &mut self.base else {
                        return Ok(());
                    };
                    let found = cursor.seek(key)?;
                    let last_key = found.node.last_key();
                    if self.has_parent && last_key < key && output.shape.ends(self.level, last_key) {
                        // The key lies after all others, and the last node is complete without it. The base's root has no
                        // parent: it is merged all the same, so that a reference to it is emitted.
                        self.exhausted = true;
                    } else {
                        self.window = Some((found, 0));
                    }
                }
            }
        }
    }

    /// Opens the window on the node to the right of the last one, if there is one.
    fn join_neighbour(&mut self) -> Result<()> {
        let found = match &mut self.base {
            Some(cursor) => cursor.next()?,
            None => None,
        };
        match found {
            Some(found) => self.window = Some((found, 0)),
            None => self.exhausted = true,
        }
        Ok(())
    }

    /// Merges what is left in the window.
    fn merge_rest(&mut self, output: &mut Output) -> Result<()> {
        let Some((found, next)) = &self.window else {
            return Ok(());
        };
        let node: Arc<Node> = Arc::clone(&found.node);
        self.open.push_range(node.columns(), *next..node.len());
        self.leave_window();
        // Only the last key of a base node can end a node: the shape is a function of the key.
        if output.shape.ends(self.level, node.last_key()) {
            self.close(output)?;
        }
        Ok(())
    }

    /// Closes the window. Its node is gone, unless the new one turns out to be the same.
    fn leave_window(&mut self) {
        let Some((found, _)) = self.window.take() else {
            return;
        };
        self.exhausted = self.base.as_ref().is_none_or(Cursor::is_last);
        let replaced = (Box::from(found.node.last_key()), found.reference);
        if let Some((key, _)) = self.replaced.replace(replaced) {
            self.emit(key, None);
        }
    }

    /// Ends the node that is being made.
    fn close(&mut self, output: &mut Output) -> Result<()> {
        let Some(last_key) = self.open.last_key().map(Box::<[u8]>::from) else {
            return Ok(());
        };
        let digest = output.writer.digest(self.level, &self.open);
        let same = self.replaced.as_ref().filter(|(key, reference)| *key == last_key && reference.digest == digest);
        let child = match same {
            Some((_, reference)) => *reference,
            None => output.write(self.level, &self.open, digest)?,
        };
        let is_same = same.is_some();
        self.open.clear();
        self.made += 1;
        match self.replaced.take() {
            // Unchanged: the parent refers to this node already. At the top there is no parent, and the reference is emitted.
            Some(_) if is_same && self.has_parent => return Ok(()),
            Some((key, _)) if key != last_key => self.emit(key, None),
            _ => {}
        }
        self.emit(last_key, Some(child));
        Ok(())
    }

    fn emit(&mut self, key: Box<[u8]>, child: Option<NodeRef>) {
        // Without a parent there is nothing to delete from.
        if child.is_some() || self.has_parent {
            self.emitted.push(ParentOp { key, child });
        }
    }

    /// Goes on after a key that ends a node now, where others did everything up to that key. Begins with the rest of the base node
    /// that lies on both sides of the key.
    pub(super) fn begin_after(&mut self, end: &[u8]) -> Result<()> {
        let Some(cursor) = self.base.as_mut().filter(|_| !self.exhausted) else {
            return Ok(());
        };
        let found = cursor.seek(end)?;
        let at = found.node.search(end);
        let next = if at < found.node.len() && found.node.key(at) == end { at + 1 } else { at };
        if next < found.node.len() {
            self.window = Some((found, next));
        } else {
            self.exhausted = cursor.is_last();
        }
        Ok(())
    }

    /// Stops after the put of a key that ends a node. The rest of the base node in the window belongs to the editor that goes on after
    /// that key; it also emits the parent's operation for that node.
    pub(super) fn stop(&mut self) {
        self.window = None;
    }

    /// Writes everything up to the next end of a base node that still exists: the rest of the base node that the last operation lies
    /// in, and the nodes that join it.
    pub(super) fn flush(&mut self, output: &mut Output) -> Result<()> {
        self.merge_all(output)?;
        if let Some((key, _)) = self.replaced.take_if(|_| self.open.is_empty()) {
            self.emit(key, None);
        }
        Ok(())
    }

    /// Whether everything that was begun has been written.
    pub(super) fn is_flushed(&self) -> bool {
        self.window.is_none() && self.open.is_empty() && self.replaced.is_none()
    }

    /// Merges base nodes until one ends, or there is none left.
    fn merge_all(&mut self, output: &mut Output) -> Result<()> {
        loop {
            if self.window.is_some() {
                self.merge_rest(output)?;
            } else if self.open.is_empty() || self.exhausted {
                return Ok(());
            } else {
                self.join_neighbour()?;
            }
        }
    }

    pub(super) fn finish(&mut self, output: &mut Output) -> Result<()> {
        self.merge_all(output)?;
        if self.level > 0 && !self.has_parent && self.made == 0 && self.open.len() == 1 {
            // The one node of the topmost level would have one child. Then the child is the root, and this node must not exist.
            if let (Some(key), Some(child)) = (self.open.last_key().map(Box::from), self.open.child(0, self.level)) {
                self.emit(key, Some(child));
                self.open.clear();
            }
        }
        self.close(output)?;
        if let Some((key, _)) = self.replaced.take() {
            self.emit(key, None);
        }
        Ok(())
    }
}

impl Output {
    fn write(&mut self, level: u8, columns: &Columns, digest: deltic_core::Digest) -> Result<NodeRef> {
        let bytes = self.writer.encode(level, columns)?;
        let (pack, offset) = self.packs.node(&bytes, &digest)?;
        let place = NodePlace { pack, offset, stored: bytes.len() as u64 };
        let (count, bytes) = columns
            .totals(level)
            .ok_or_else(|| Error::invalid("the payloads of a tree have more bytes together than can be counted"))?;
        Ok(NodeRef { digest, level, count, bytes, place })
    }
}
