//! A layer at a version, by the names of its partitions.

use deltic_core::{Layer, LayerId, Name, NameBytes, Payload};

use super::snapshot::{Part, Snapshot};
use crate::format::entry::Entry;
use crate::tree::{KeyRange, Tree};
use crate::{Error, ErrorKind, Result};

/// A layer at a version. Makes no request until something is looked up.
#[derive(Debug, Clone)]
pub struct LayerView<'a> {
    snapshot: &'a Snapshot,
    settings: &'a Layer,
    tree: Tree,
}

impl Snapshot {
    /// A layer of this version, if there is one.
    pub fn layer(&self, id: &LayerId) -> Option<LayerView<'_>> {
        Some(LayerView { snapshot: self, settings: self.layer_settings(id)?, tree: self.tree(id)? })
    }
}

impl<'a> LayerView<'a> {
    /// The settings.
    pub fn settings(&self) -> &'a Layer {
        self.settings
    }

    /// The tree, whose keys are the bytes of names.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Looks a partition up. Cost: as of [`Tree::get`].
    pub fn get(&self, name: &Name) -> Result<Option<Entry>> {
        self.tree.get(&name.to_bytes())
    }

    /// Reads the payload of a partition; none where there is no such partition. Cost: that of looking it up, and one request
    /// more unless the payload is inline.
    pub fn read(&self, name: &Name) -> Result<Option<Payload>> {
        self.get(name)?.map(|entry| self.tree.read(&entry)).transpose()
    }

    /// Walks all partitions in the order of their names' bytes. Cost: as of [`Tree::scan`].
    pub fn iter(&self) -> impl Iterator<Item = Result<(Name, Entry)>> + use<'a> {
        self.range(KeyRange::all())
    }

    /// Walks the partitions whose names' bytes are in a range: those that begin alike, or for tiles those below one. Cost: as
    /// of [`Tree::scan`].
    pub fn range(&self, range: KeyRange) -> impl Iterator<Item = Result<(Name, Entry)>> + use<'a> {
        let (snapshot, settings) = (self.snapshot, self.settings);
        self.tree.scan(range).map(move |found| {
            let (key, entry) = found?;
            Ok((name(snapshot, settings, &key)?, entry))
        })
    }

    /// The name of a partition, from a key of this layer's tree.
    pub fn name(&self, key: &NameBytes) -> Result<Name> {
        name(self.snapshot, self.settings, key)
    }
}

/// The name of a partition. A name that is not legal in its layer is not the reader's mistake: the catalog is damaged.
fn name(snapshot: &Snapshot, settings: &Layer, key: &NameBytes) -> Result<Name> {
    settings.name_from_bytes(key).map_err(|error| {
        let (url, version, part) = (snapshot.catalog().url(), snapshot.version(), Part::Layer(settings.id.clone()));
        Error::new(
            ErrorKind::Corrupt { object: part.to_string() },
            format!("{url}: version {version} has a name in {part} that the layer can not have: {error}"),
        )
    })
}
