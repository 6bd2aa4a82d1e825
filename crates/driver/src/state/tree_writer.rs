//! Writes trees in the order of their keys: tables of the state, and output layers.
//!
//! A tree is written by one editor, or in parts: each range of keys by an editor of its own, which could as well run on
//! another machine, and the parts are stitched. The tree is the same; see [`PartEditor`].
//!
//! In most runs most tables do not change, so an editor is begun with the first change.

use deltic_core::Payload;
use deltic_store::{Draft, Entry, PartEditor, Tree, TreeEditor};

use crate::Result;

/// The most keys that one part sets; the next key begins another part. A part holds the keys that it removes one after the other
/// until it ends, and a stage may remove all that there was.
const PART_KEYS: usize = 1 << 16;

/// Makes writers of trees.
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

    /// A writer that changes a tree.
    pub(crate) fn tree(self, before: &Tree) -> TreeWriter<'a> {
        TreeWriter { writers: self, before: before.clone(), editor: None, part: None, part_keys: 0 }
    }
}

/// A tree that is being changed.
pub(crate) struct TreeWriter<'a> {
    writers: Writers<'a>,
    before: Tree,
    /// Writes the tree, or stitches its parts.
    editor: Option<TreeEditor>,
    /// Writes the current range.
    part: Option<PartEditor>,
    /// How many keys that part has set.
    part_keys: usize,
}

impl TreeWriter<'_> {
    /// The tree before the changes.
    pub(crate) fn before(&self) -> &Tree {
        &self.before
    }

    /// Sets or removes a key. Keys ascend.
    pub(crate) fn set(&mut self, key: &[u8], entry: Option<&Entry>) -> Result<()> {
        if !self.writers.in_parts {
            return Ok(self.editor()?.apply(key, entry)?);
        }
        if self.part_keys == PART_KEYS {
            self.end_range()?;
        }
        self.part_keys += 1;
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

    /// Ends a range of keys: all keys that are set later lie behind it.
    pub(crate) fn end_range(&mut self) -> Result<()> {
        let Some(part) = self.part.take() else { return Ok(()) };
        self.part_keys = 0;
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

#[cfg(test)]
mod tests {
    use deltic_core::{CatalogUuid, RunId, Timestamp};
    use deltic_store::{Catalog, DraftOptions, NewCatalog, Stores};

    use super::*;

    /// Removes more keys than a part may, and sets one of them anew: once in one piece, once in parts.
    #[test]
    fn a_part_ends_where_it_has_set_enough() {
        let identity = NewCatalog { uuid: CatalogUuid(5), run: RunId(1), created: Timestamp(0) };
        let catalog = Catalog::create(&Stores::new(), "memory:out", Vec::new(), identity).unwrap();
        let draft = Draft::begin(&catalog.latest().unwrap(), RunId(2), DraftOptions::default());
        let key = |number: usize| format!("{number:07}").into_bytes();
        let mut before = Writers::whole(&draft).tree(&draft.empty_tree());
        (0..3 * PART_KEYS).for_each(|number| before.set_value(&key(number), Some(b"v")).unwrap());
        let before = before.finish().unwrap();
        for (count, parts) in [(PART_KEYS - 1, 1), (PART_KEYS, 1), (PART_KEYS + 1, 2), (2 * PART_KEYS + 1, 3)] {
            let edited = |in_parts| {
                let mut writer = Writers { draft: &draft, in_parts }.tree(&before);
                let mut begun = 0;
                for number in 0..count {
                    let is_last = number + 1 == count;
                    writer.set_value(&key(number), is_last.then_some(b"w")).unwrap();
                    begun += usize::from(writer.part_keys == 1);
                }
                (writer.finish().unwrap(), begun)
            };
            let ((whole, none), (parted, begun)) = (edited(false), edited(true));
            assert_eq!((whole.digest(), whole.count(), none), (parted.digest(), parted.count(), 0), "{count}");
            assert_eq!((whole.count(), begun), ((3 * PART_KEYS - count + 1) as u64, parts), "{count}");
        }
    }
}
