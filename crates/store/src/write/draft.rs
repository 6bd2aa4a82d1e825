//! One attempt to make the next version of a catalog.

use std::fmt;
use std::sync::Arc;

use deltic_core::{Meta, NameBytes, Payload, RunId};

use crate::catalog::snapshot::Snapshot;
use crate::format::entry::{Codec, Entry, Place};
use crate::format::tree_part::TreePart;
use crate::format::tree_root::Root;
use crate::packs::source::Source;
use crate::packs::writer::{DraftOptions, PackWriter, Written};
use crate::tree::{PartEditor, Tree, TreeEditor};
use crate::write::checkpoint_store::CheckpointStore;
use crate::write::commit::{self, Committed, NextVersion};
use crate::{Error, Result};

/// One attempt to make the next version: takes payloads and edits from any number of workers, and publishes all or none. A draft
/// that is dropped without a commit leaves the catalog unchanged, except for packs that nothing refers to.
pub struct Draft {
    base: Snapshot,
    pub(crate) source: Arc<Source>,
    pub(crate) writer: Arc<PackWriter>,
    options: DraftOptions,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft(of run {} on {:?})", self.writer.run, self.base)
    }
}

impl Draft {
    /// Begins an attempt on `base`. Draw a new `run` for every attempt: it marks everything that the attempt writes.
    pub fn begin(base: &Snapshot, run: RunId, options: DraftOptions) -> Draft {
        let catalog = base.catalog();
        let bases = catalog.rules().bases_to_take_over(base.version());
        let writer = Arc::new(PackWriter::new(catalog.client().clone(), base.version(), run, bases, options));
        let (uuid, version) = (base.uuid(), base.version());
        let source = Arc::new(Source { origin: catalog.origin(), uuid, version, writer: Some(Arc::clone(&writer)) });
        Draft { base: base.clone(), source, writer, options }
    }

    /// The version it starts from.
    pub fn base(&self) -> &Snapshot {
        &self.base
    }

    /// Writes a payload: into the entry itself when it is small, else into a pack. Cost: a pass to digest it; the
    /// worker whose payload fills a pack also uploads the pack.
    pub fn put(&self, payload: &Payload) -> Result<Entry> {
        self.put_known(payload.meta(), payload)
    }

    /// Writes a payload whose meta the caller knows. A wrong digest makes an entry that can not be read.
    pub fn put_known(&self, meta: Meta, payload: &Payload) -> Result<Entry> {
        if meta.len != payload.len() {
            return Err(Error::invalid(format!("a payload of {} bytes came with meta of {}", payload.len(), meta.len)));
        }
        debug_assert_eq!(meta, payload.meta(), "the meta of another payload");
        if payload.is_empty() || payload.len() <= self.options.inline_bytes.min(MAX_INLINE_BYTES) {
            // A copy: a slice would keep the whole buffer it was cut from.
            let place = Place::Inline(bytes::Bytes::copy_from_slice(payload.bytes()));
            return Ok(Entry { meta, place });
        }
        let (pack, offset) = self.writer.payload(payload.bytes(), &meta.digest)?;
        let place = Place::Pack { pack, offset, stored: meta.len, codec: Codec::Raw };
        Ok(Entry { meta, place })
    }

    /// The same tree, readable through this draft, so that its entries and those put here may mix. Returns a tree of another catalog,
    /// or of a version that the base does not retain, unchanged: put its payloads here before you refer to them.
    pub fn adopt(&self, base: &Tree) -> Tree {
        if base.source.uuid == self.source.uuid && self.is_reachable(base) && self.is_retained(base) {
            return Tree { source: Arc::clone(&self.source), root: base.root };
        }
        base.clone()
    }

    /// A tree without entries.
    pub fn empty_tree(&self) -> Tree {
        Tree { source: Arc::clone(&self.source), root: Root::empty() }
    }

    /// Applies operations to a tree, and returns the new one, readable at once. `Some` puts an entry, `None` deletes;
    /// deleting what is not there does nothing. Keys must ascend and be unique. An entry must have been put here, or come from a
    /// tree of a version that the base retains. The draft can not check that: an entry of an expired version may be swept, and
    /// then the new version can not be read.
    ///
    /// The operations are a stream: memory is a few nodes a level. Cost: reads and writes the paths to what changes. A node whose
    /// content is unchanged is not written.
    pub fn edit<E: From<Error>>(
        &self,
        base: &Tree,
        ops: impl Iterator<Item = std::result::Result<(NameBytes, Option<Entry>), E>>,
    ) -> std::result::Result<Tree, E> {
        let mut editor = self.editor(base)?;
        let mut batch = Vec::with_capacity(BATCH);
        let mut ops = ops.fuse();
        loop {
            batch.extend(ops.by_ref().take(BATCH));
            if batch.is_empty() {
                return Ok(editor.finish()?);
            }
            let keys: Vec<&[u8]> = batch.iter().flatten().map(|(key, _)| &**key).collect();
            editor.read_ahead(&keys)?;
            for op in batch.drain(..) {
                let (key, entry) = op?;
                editor.apply(&key, entry.as_ref())?;
            }
        }
    }

    /// The same, driven by the caller: takes operations one by one, so that several trees can be made side by side.
    pub fn editor(&self, base: &Tree) -> Result<TreeEditor> {
        self.check_tree(base)?;
        TreeEditor::new(&self.source, &self.writer, &base.root)
    }

    /// The same for one range of keys. Other drafts on the same base, also in other processes, may edit other ranges of the same tree.
    /// [`TreeEditor::stitch`] makes one tree of the parts.
    pub fn part_editor(&self, base: &Tree) -> Result<PartEditor> {
        self.check_tree(base)?;
        PartEditor::new(&self.source, &self.writer, &base.root)
    }

    /// Uploads what was put so far and is still in memory, and notes in parts that this draft has made which packs they may refer
    /// to, so that drafts on the same base can stitch them, in other processes too. This draft may go on, and hand over more.
    /// Other threads may put meanwhile: what they hold of what was put before is waited for.
    ///
    /// Fails when a part is one of another draft, or when packs could not be uploaded: they stay in memory, and the next call,
    /// or the commit, tries again. Cost: an upload for each pack in memory, all at once. Hand all parts over together, since the
    /// packs of each call are of their own.
    pub fn hand_over(&self, parts: &mut [TreePart]) -> Result<()> {
        let (base, run) = (self.writer.base, self.writer.run);
        if let Some(part) = parts.iter().find(|part| (part.version, part.run) != (base, run)) {
            return Err(Error::invalid(format!(
                "a part of a tree that run {} made on version {} can not be handed over by run {run} on version {base}: the draft \
                 that made it has to do that",
                part.run, part.version
            )));
        }
        let mut packs = self.writer.flush()?;
        packs.extend(self.writer.taken_over.list());
        packs.sort_unstable_by_key(|pack| pack.name);
        packs.dedup_by_key(|pack| pack.name);
        parts.iter_mut().for_each(|part| part.packs = Some(packs.clone()));
        Ok(())
    }

    /// What was written so far.
    pub fn written(&self) -> Written {
        self.writer.written()
    }

    /// The checkpoints of this draft, for a later run on the same base.
    pub fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::new(&self.base, Arc::clone(&self.writer))
    }

    /// Makes the next version: uploads what is still in memory, sees that the packs of parts that were stitched are there, then
    /// creates the version's record.
    ///
    /// Fails with [`crate::ErrorKind::Conflict`] when another run made that version; then begin again from the latest version. After
    /// any error the catalog is either unchanged or has the new version. When an acknowledgement is lost, the record is read back.
    pub fn commit(self, next: NextVersion) -> Result<Committed> {
        for (layer, tree) in &next.layers {
            self.check_tree(tree).map_err(|e| Error::invalid(format!("layer `{}`: {e}", layer.id)))?;
        }
        for (table, tree) in &next.state {
            self.check_tree(tree).map_err(|e| Error::invalid(format!("state table `{table}`: {e}")))?;
        }
        commit::commit(&self.base, &self.source, &self.writer, next)
    }

    /// Whether the packs that a tree refers to are in the store when this draft commits.
    fn is_reachable(&self, tree: &Tree) -> bool {
        match &tree.source.writer {
            None => true,
            Some(writer) => Arc::ptr_eq(writer, &self.writer) || writer.is_committed(),
        }
    }

    /// Whether a tree belongs to this draft, or to a version that its base retains (rule G2). The sweep may remove the packs of any
    /// other version while this draft is at work: then the new version would refer to packs that are gone.
    fn is_retained(&self, tree: &Tree) -> bool {
        let version = match &tree.source.writer {
            None => tree.source.version,
            Some(writer) if Arc::ptr_eq(writer, &self.writer) => return true,
            Some(writer) => writer.base.next(),
        };
        tree.is_empty() || self.base.catalog().rules().may_refer_to(self.base.record(), version)
    }

    fn check_tree(&self, tree: &Tree) -> Result<()> {
        if tree.source.uuid != self.source.uuid {
            return Err(Error::invalid(format!(
                "a tree of catalog {} can not be part of catalog {}; put its payloads here first",
                tree.source.client().url(),
                self.source.client().url()
            )));
        }
        if !self.is_reachable(tree) {
            return Err(Error::invalid("a tree of another draft that was not committed can not be part of this one"));
        }
        if !self.is_retained(tree) {
            return Err(Error::invalid(format!(
                "a tree of version {} can not be part of a version made from version {}, which does not retain it",
                tree.source.version,
                self.base.version()
            )));
        }
        Ok(())
    }
}

/// How many operations an edit takes at once, so that the nodes they touch are read together.
const BATCH: usize = 256;

/// The longest payload in a leaf, whatever `inline_bytes` is: leaves must stay short.
const MAX_INLINE_BYTES: u64 = 4096;
