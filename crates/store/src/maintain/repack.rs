//! Copies the live part of sparse packs into new packs, so that the sweep can remove the old ones.
//!
//! A pack stays as long as a retained version needs one blob of it. Repacking copies what the **latest** version needs of mostly dead
//! packs, rewrites the nodes that refer to them, and commits a version with the same digests. Older retained versions keep the old
//! packs until they expire; the sweep after that frees the space.
//!
//! All that any retained version needs counts as live: a pack that older versions need must stay, so copying its rest would gain
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use deltic_core::{RunId, Timestamp, Version};

use crate::catalog::Catalog;
use crate::catalog::publish::publish;
use crate::catalog::snapshot::{Part, Snapshot};
use crate::format::entry::{Codec, Place};
use crate::format::node::{Columns, Node, NodeRef, NodeWriter, TreeNode, Wanted};
use crate::format::object_name::ListedPack;
use crate::format::object_name::PackName;
use crate::format::record::Packs;
use crate::format::tree_root::Root;
use crate::maintain::gc::Objects;
use crate::maintain::mark::Walk;
use crate::packs::payload;
use crate::packs::source::Source;
use crate::packs::writer::DraftOptions;
use crate::tree::Tree;
use crate::write::commit::unchanged_successor;
use crate::write::draft::Draft;
use crate::{Error, Result};

/// How many bytes of payloads are copied at once.
const BATCH_BYTES: u64 = 16 << 20;

/// Which packs are rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepackOptions {
    /// Packs of which less than this share of the bytes is needed, in percent.
    pub below_percent: u32,
    /// The most bytes to copy. The sparsest packs come first.
    pub most_bytes: Option<u64>,
    /// How the new packs are written.
    pub draft: DraftOptions,
}

impl Default for RepackOptions {
    fn default() -> RepackOptions {
        RepackOptions { below_percent: 50, most_bytes: None, draft: DraftOptions::default() }
    }
}

/// What repacking did, or would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repacked {
    /// The version that was made; none when no pack is sparse, or in a dry run.
    pub version: Option<Version>,
    /// The packs that the new version does not need any more.
    pub replaced: Objects,
    /// About how many bytes of them are needed: the bytes that are copied.
    pub live_bytes: u64,
    /// The packs that were written instead, with the rewritten nodes.
    pub written: Objects,
}

/// Bytes of a pack that are needed.
#[derive(Debug, Default)]
struct Live {
    by_latest: u64,
    by_older: u64,
}

impl Catalog {
    /// Rewrites the packs of which little is needed; with `dry_run` only counts them. Digests do not change.
    ///
    /// Fails with [`crate::ErrorKind::Conflict`] when another run made the next version meanwhile; the sweep
    /// removes what was written. Cost: reads the metadata of the latest version and what differs between retained ones, twice, and
    /// copies what is needed of the packs. Memory: about a batch of payloads and a few nodes a level.
    pub fn repack(&self, options: &RepackOptions, run: RunId, created: Timestamp, dry_run: bool) -> Result<Repacked> {
        let latest = self.latest()?;
        let live = self.live(&latest)?;
        let mut sparse: Vec<(u64, u64, PackName)> = Vec::new();
        for pack in self.client().packs()? {
            let Some(Live { by_latest, by_older }) = live.get(&pack.name) else { continue };
            let needed = u128::from(*by_latest) + u128::from(*by_older);
            if *by_latest > 0 && needed * 100 < u128::from(pack.bytes) * u128::from(options.below_percent) {
                sparse.push((*by_latest, pack.bytes, pack.name));
            }
        }
        // The share is compared without dividing: a / b < c / d.
        sparse.sort_by(|a, b| (u128::from(a.0) * u128::from(b.1), a.2).cmp(&(u128::from(b.0) * u128::from(a.1), b.2)));
        let (mut replaced, mut live_bytes, mut chosen) = (Objects::default(), 0, BTreeSet::new());
        for (needed, bytes, name) in sparse {
            let with_it = needed.saturating_add(live_bytes);
            if options.most_bytes.is_some_and(|most| with_it > most) {
                break;
            }
            live_bytes = with_it;
            replaced.add(&ListedPack { name, bytes });
            chosen.insert(name);
        }
        let mut done = Repacked { version: None, replaced, live_bytes, written: Objects::default() };
        if chosen.is_empty() || dry_run {
            return Ok(done);
        }
        let draft = Draft::begin(&latest, run, options.draft);
        let mut roots: BTreeMap<Part, Root> = BTreeMap::new();
        for (part, tree) in latest.trees() {
            let mut rewriter = Rewriter { draft: &draft, chosen: &chosen, writer: NodeWriter::new()? };
            let root = tree.root.node().map(|root| rewriter.node(&tree, &root)).transpose()?;
            roots.insert(part, root.map_or(tree.root, Root::from));
        }
        let mut record = unchanged_successor(&latest, run, created, "repacking".to_owned())?;
        let missing = || Error::internal("a tree was not rewritten");
        for layer in &mut record.layers {
            layer.root = *roots.get(&Part::Layer(layer.layer.id.clone())).ok_or_else(missing)?;
        }
        for table in &mut record.state {
            table.root = *roots.get(&Part::State(table.table.clone())).ok_or_else(missing)?;
        }
        let written = draft.writer.flush()?;
        record.packs = Packs::of(&written);
        written.iter().for_each(|pack| done.written.add(pack));
        let made = publish(self, record)?;
        draft.writer.set_committed();
        done.version = Some(made.version());
        Ok(done)
    }

    /// The bytes of each pack that the latest version needs, and those that only other retained versions need. Where an entry was
    /// deleted and came back, its bytes may count twice; then a pack looks less sparse than it is.
    fn live(&self, latest: &Snapshot) -> Result<BTreeMap<PackName, Live>> {
        let mut live: BTreeMap<PackName, Live> = BTreeMap::new();
        let mut walk = Walk::new();
        let mut newer: Option<Snapshot> = None;
        self.retained_by(latest, |snapshot| {
            let first = newer.is_none();
            let mut add = |pack: PackName, bytes: u64| {
                let live = live.entry(pack).or_default();
                let live = if first { &mut live.by_latest } else { &mut live.by_older };
                *live = live.saturating_add(bytes);
            };
            walk.version(snapshot, &mut |place, node| {
                add(place.place.pack, place.place.stored);
                if first && node.level() == 0 {
                    (0..node.len()).filter_map(|n| node.columns().stored(n)).for_each(|(pack, bytes)| add(pack, bytes));
                }
            })?;
            if let Some(newer) = &newer {
                let trees: BTreeMap<Part, Tree> = newer.trees().collect();
                for (part, tree) in snapshot.trees() {
                    let newer = trees.get(&part).cloned().unwrap_or(Tree { root: Root::empty(), ..tree.clone() });
                    for change in tree.diff(&newer) {
                        if let Some(Place::Pack { pack, stored, .. }) = change?.before.map(|entry| entry.place) {
                            add(pack, stored);
                        }
                    }
                }
            }
            newer = Some(snapshot.clone());
            Ok(())
        })?;
        Ok(live)
    }
}

/// Rewrites what lies in the chosen packs, and the nodes above it.
struct Rewriter<'a> {
    draft: &'a Draft,
    chosen: &'a BTreeSet<PackName>,
    writer: NodeWriter,
}

impl Rewriter<'_> {
    /// Rewrites a node. Returns the same reference where neither the node nor anything below it lies in a chosen pack.
    fn node(&mut self, tree: &Tree, wanted: &Wanted) -> Result<NodeRef> {
        let (source, reference) = (&*tree.source, &wanted.node);
        let node = source.node(wanted)?;
        let columns = match node.level() {
            0 => self.leaf(source, &node)?,
            _ => self.inner(tree, &node)?,
        };
        let columns = match &columns {
            Some(columns) => columns,
            None if self.chosen.contains(&reference.place.pack) => node.columns(),
            None => return Ok(*reference),
        };
        if self.writer.digest(node.level(), columns) != reference.digest {
            return Err(Error::internal("repacking would change a digest"));
        }
        let bytes = self.writer.encode(node.level(), columns)?;
        let (pack, offset) = self.draft.writer.node(&bytes, &reference.digest)?;
        let place = crate::format::entry::NodePlace { pack, offset, stored: bytes.len() as u64 };
        Ok(NodeRef { place, ..*reference })
    }

    fn inner(&mut self, tree: &Tree, node: &TreeNode) -> Result<Option<Columns>> {
        let (mut columns, mut changed) = (Columns::default(), false);
        for (index, child) in node.children().enumerate() {
            let written = self.node(tree, &child)?;
            changed |= written != child.node;
            columns.push_child(node.key(index), &written);
        }
        Ok(changed.then_some(columns))
    }

    fn leaf(&mut self, source: &Source, node: &Node) -> Result<Option<Columns>> {
        let moves = |index: &usize| node.columns().stored(*index).is_some_and(|(pack, _)| self.chosen.contains(&pack));
        let moved: Vec<usize> = (0..node.len()).filter(moves).collect();
        if moved.is_empty() {
            return Ok(None);
        }
        let mut entries: Vec<_> = (0..node.len()).map(|index| node.entry(index)).collect();
        let mut rest = &moved[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |index: &&usize| {
                bytes += entries[**index].meta.len;
                bytes <= BATCH_BYTES
            };
            let (batch, after) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rest = after;
            let wanted: Vec<_> = batch.iter().map(|index| entries[*index].clone()).collect();
            for (index, payload) in batch.iter().zip(payload::read_all(source, &wanted)?) {
                let entry = &mut entries[*index];
                let (pack, offset) = self.draft.writer.payload(payload.bytes(), &entry.meta.digest)?;
                entry.place = Place::Pack { pack, offset, stored: payload.len(), codec: Codec::Raw };
            }
        }
        let mut columns = Columns::default();
        entries.iter().enumerate().for_each(|(index, entry)| columns.push_entry(node.key(index), entry));
        Ok(Some(columns))
    }
}
