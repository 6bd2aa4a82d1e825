//! Writes trees in the order of their keys: tables of the state, and output layers.
//!
//! A tree is written by one editor, or in parts: each range of keys by an editor of its own, as if it were on a machine of its
//! own, and what comes of them is stitched. The tree is the same; see [`PartEditor`].
//!
//! Most tables of most runs change nothing, so nothing is begun before the first change.

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
        let draft = self.writers.draft;
        if self.writers.in_parts {
            let part = match &mut self.part {
                Some(part) => part,
                none => none.insert(draft.part_editor(&self.before)?),
            };
            return Ok(part.apply(key, entry)?);
        }
        let editor = match &mut self.editor {
            Some(editor) => editor,
            none => none.insert(draft.editor(&self.before)?),
        };
        Ok(editor.apply(key, entry)?)
    }

    /// Ends a range of keys: none that is set from here on lies before it.
    pub(crate) fn end_range(&mut self) -> Result<()> {
        let Some(part) = self.part.take() else { return Ok(()) };
        let editor = match &mut self.editor {
            Some(editor) => editor,
            none => none.insert(self.writers.draft.editor(&self.before)?),
        };
        Ok(editor.stitch(&part.finish()?)?)
    }

    pub(crate) fn finish(mut self) -> Result<Tree> {
        self.end_range()?;
        Ok(match self.editor {
            Some(editor) => editor.finish()?,
            None => self.before,
        })
    }
}
