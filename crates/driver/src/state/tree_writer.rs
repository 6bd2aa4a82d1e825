//! Writes trees in the order of their keys: tables of the state, and output layers.
//!
//! A tree is written by one editor, or in parts: each range of keys by an editor of its own, as if it were on a machine of its
//! own, and what comes of them is stitched. The tree is the same; see [`PartEditor`].
//!
//! Most tables of most runs change nothing, so nothing is begun before the first change.

use deltic_core::Payload;
use deltic_store::{Draft, Entry, PartEditor, Tree, TreeEditor};

use crate::Result;

/// Begins to write trees.
#[derive(Clone, Copy)]
pub(crate) struct Writers<'a> {
    pub(crate) draft: &'a Draft,
    /// Whether ranges are written by editors of their own.
    pub(crate) in_parts: bool,
}

impl<'a> Writers<'a> {
    /// Trees that are written by one editor each.
    pub(crate) fn whole(draft: &'a Draft) -> Writers<'a> {
        Writers { draft, in_parts: false }
    }

    /// A writer on top of what a tree was.
    pub(crate) fn tree(self, before: &Tree) -> TreeWriter<'a> {
        TreeWriter { writers: self, before: before.clone(), editor: None, part: None }
    }
}

/// A tree that is being written, on top of what it was.
pub(crate) struct TreeWriter<'a> {
    writers: Writers<'a>,
    before: Tree,
    /// Writes the tree, or stitches its parts.
    editor: Option<TreeEditor>,
    /// Writes the range at hand.
    part: Option<PartEditor>,
}

impl TreeWriter<'_> {
    /// The tree as it was.
    pub(crate) fn before(&self) -> &Tree {
        &self.before
    }

    /// Sets or removes a key. Keys ascend.
    pub(crate) fn set(&mut self, key: &[u8], entry: Option<&Entry>) -> Result<()> {
        if !self.writers.in_parts {
            return Ok(self.editor()?.apply(key, entry)?);
        }
        let part = match &mut self.part {
            Some(part) => part,
            none => none.insert(self.writers.draft.part_editor(&self.before)?),
        };
        Ok(part.apply(key, entry)?)
    }

    /// Sets a key to a value, which is small and lies inline, or removes it.
    pub(crate) fn set_value(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let put = |value: &[u8]| self.writers.draft.put(&Payload::new(value.to_vec()));
        let entry = value.map(put).transpose()?;
        self.set(key, entry.as_ref())
    }

    /// Ends a range of keys: none that is set from here on lies before it.
    pub(crate) fn end_range(&mut self) -> Result<()> {
        let Some(part) = self.part.take() else { return Ok(()) };
        let part = part.finish()?;
        Ok(self.editor()?.stitch(&part)?)
    }

    fn editor(&mut self) -> Result<&mut TreeEditor> {
        Ok(match &mut self.editor {
            Some(editor) => editor,
            none => none.insert(self.writers.draft.editor(&self.before)?),
        })
    }

    pub(crate) fn finish(mut self) -> Result<Tree> {
        self.end_range()?;
        Ok(match self.editor {
            Some(editor) => editor.finish()?,
            None => self.before,
        })
    }
}
