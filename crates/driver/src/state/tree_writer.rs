//! Writes a tree in the order of its keys: a table of the state, or an output layer.
//!
//! Most tables of most runs change nothing, so nothing is begun before the first change.

use deltic_store::{Draft, Entry, Tree, TreeEditor};

use crate::Result;

/// A tree that is being written, on top of what it was.
pub(crate) struct TreeWriter<'a> {
    draft: &'a Draft,
    before: Tree,
    editor: Option<TreeEditor>,
}

impl<'a> TreeWriter<'a> {
    pub(crate) fn new(draft: &'a Draft, before: &Tree) -> TreeWriter<'a> {
        TreeWriter { draft, before: before.clone(), editor: None }
    }

    /// The tree as it was.
    pub(crate) fn before(&self) -> &Tree {
        &self.before
    }

    /// Sets or removes a key. Keys ascend.
    pub(crate) fn set(&mut self, key: &[u8], entry: Option<&Entry>) -> Result<()> {
        let editor = match &mut self.editor {
            Some(editor) => editor,
            none => none.insert(self.draft.editor(&self.before)?),
        };
        Ok(editor.apply(key, entry)?)
    }

    /// Ends a range of keys: none that is set from here on lies before it.
    pub(crate) fn end_range(&mut self) -> Result<()> {
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Tree> {
        Ok(match self.editor {
            Some(editor) => editor.finish()?,
            None => self.before,
        })
    }
}
