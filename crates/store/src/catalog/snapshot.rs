//! A catalog at a version.

use std::fmt;
use std::sync::Arc;

use deltic_core::{CatalogUuid, Digest, Layer, LayerId, Version};

use crate::Result;
use crate::catalog::Catalog;
use crate::format::object_name::ListedPack;
use crate::format::record::{StateRecord, VersionRecord};
use crate::format::tree_root::Root;
use crate::packs::source::Source;
use crate::tree::Tree;

/// A catalog at a version: immutable and cheap to clone. It makes no request until one of its trees is read.
#[derive(Clone)]
pub struct Snapshot {
    catalog: Catalog,
    content: Arc<Content>,
}

/// What a snapshot holds besides the way to its catalog.
pub(crate) struct Content {
    pub(crate) record: VersionRecord,
    record_digest: Digest,
}

/// One of the trees of a version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The metadata of a layer.
    Layer(LayerId),
    /// A table of the state.
    State(String),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Layer(id) => write!(f, "layer `{id}`"),
            Part::State(table) => write!(f, "state table `{table}`"),
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} version {})", self.catalog.url(), self.version())
    }
}

impl Snapshot {
    pub(crate) fn new(catalog: Catalog, record: VersionRecord, record_digest: Digest) -> Snapshot {
        Snapshot::of(catalog, Arc::new(Content { record, record_digest }))
    }

    pub(crate) fn of(catalog: Catalog, content: Arc<Content>) -> Snapshot {
        Snapshot { catalog, content }
    }

    pub(crate) fn content(&self) -> Arc<Content> {
        Arc::clone(&self.content)
    }

    /// The version's number.
    pub fn version(&self) -> Version {
        self.content.record.version
    }

    /// The version's record.
    pub fn record(&self) -> &VersionRecord {
        &self.content.record
    }

    /// BLAKE3 of the record's bytes: what the next version names as its parent.
    pub fn record_digest(&self) -> Digest {
        self.content.record_digest
    }

    /// The catalog's identity.
    pub fn uuid(&self) -> CatalogUuid {
        self.content.record.catalog
    }

    /// The catalog digest: equal for equal layers, settings and contents, whatever the version.
    pub fn digest(&self) -> Digest {
        self.content.record.digest
    }

    /// Digest of all tables of the state.
    pub fn state_digest(&self) -> Digest {
        self.content.record.state_digest()
    }

    /// The settings of the layers, sorted by id.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.content.record.layers.iter().map(|record| &record.layer)
    }

    /// The settings of a layer.
    pub fn layer_settings(&self, id: &LayerId) -> Option<&Layer> {
        self.layers().find(|layer| layer.id == *id)
    }

    /// The metadata of a layer.
    pub fn tree(&self, id: &LayerId) -> Option<Tree> {
        let record = self.content.record.layers.iter().find(|record| record.layer.id == *id)?;
        Some(self.tree_at(record.root))
    }

    /// A table of the state.
    pub fn state_table(&self, name: &str) -> Option<Tree> {
        let record = self.content.record.state.iter().find(|record| record.table == name)?;
        Some(self.tree_at(record.root))
    }

    /// Every tree of the version: layers, then tables of the state, both sorted.
    pub(crate) fn trees(&self) -> impl Iterator<Item = (Part, Tree)> {
        let record = &self.content.record;
        let layers = record.layers.iter().map(|one| (Part::Layer(one.layer.id.clone()), one.root));
        let tables = record.state.iter().map(|one| (Part::State(one.table.clone()), one.root));
        layers.chain(tables).map(|(part, root)| (part, self.tree_at(root)))
    }

    /// The names of the state's tables, sorted.
    pub fn state_tables(&self) -> impl Iterator<Item = &str> {
        self.content.record.state.iter().map(|StateRecord { table, .. }| table.as_str())
    }

    /// The packs that the version's run wrote and that still exist, by name; none for version 0. Packs of earlier
    /// runs that the version also refers to are not listed. Cost: a listing of the packs, from those of its base on: a request for about
    /// a thousand packs.
    pub fn listed_packs(&self) -> Result<Vec<ListedPack>> {
        let Some(base) = self.version().0.checked_sub(1).map(Version) else { return Ok(Vec::new()) };
        let run = self.content.record.run;
        let listed = self.catalog.client().packs_since(base)?;
        Ok(listed.into_iter().filter(|pack| pack.name.base == base && pack.name.run == run).collect())
    }

    /// The catalog.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn tree_at(&self, root: Root) -> Tree {
        let (origin, uuid, version) = (self.catalog.origin(), self.uuid(), self.version());
        Tree { source: Arc::new(Source { origin, uuid, version, writer: None }), root }
    }
}
