//! Importing: partitions from outside become the next version of a catalog that no task writes.
//!
//! The caller puts and deletes partitions, layer by layer; a layer that is *replaced* gets exactly what was put. Everything
//! becomes visible as one new version, or nothing does. Payloads that equal the base are not stored, and an import that
//! changes nothing makes no version.
//!
//! Memory: one entry for each partition that is named, and the payloads that callers hold.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use deltic_core::{Layer, LayerId, Name, NameBytes, Payload, RunId, Timestamp, Version};
use deltic_store::{Committed, Draft, DraftOptions, Entry, KeyRange, NextVersion, Owner, Requests, Snapshot, Tree};
use serde::Serialize;

use crate::run::owner;
use crate::sort::read_ahead::read_ahead;
use crate::{Error, Result};

/// An import, which becomes one version. Shared by reference, it takes partitions from any number of threads.
pub struct Import {
    base: Snapshot,
    draft: Draft,
    before: Requests,
    layers: BTreeMap<LayerId, ImportLayer>,
    limits: ImportLimits,
    is_dry: bool,
}

/// Limits of what an import may delete from the layers that it replaces. Without limits, a source that is empty or incomplete
/// by mistake deletes partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportLimits {
    /// Whether a layer that has partitions may become empty.
    pub allow_empty: bool,
    /// The most partitions of a layer that may be deleted, in millionths of all. Up to ten of a layer may always be deleted.
    pub most_deleted: u32,
}

impl ImportLimits {
    /// No limits.
    pub const NONE: ImportLimits = ImportLimits { allow_empty: true, most_deleted: 1_000_000 };
    /// Partitions of a layer that may always be deleted: in a small one, most may get new names at once.
    const FREE: u64 = 10;

    fn check(self, url: &str, layer: &LayerId, counts: ImportCounts, before: u64) -> Result<()> {
        let after = before - counts.deleted + counts.added;
        let refused = |is_empty: bool| Err(Error::guarded(url, layer, is_empty, counts.deleted, before));
        if after == 0 && before > 0 {
            if self.allow_empty {
                return Ok(());
            }
            return refused(true);
        }
        let share = u128::from(counts.deleted) * 1_000_000;
        if counts.deleted > ImportLimits::FREE && share > u128::from(before) * u128::from(self.most_deleted) {
            return refused(false);
        }
        Ok(())
    }
}

struct ImportLayer {
    settings: Layer,
    published: Tree,
    changes: Mutex<LayerChanges>,
}

/// The changes of a layer, so far.
#[derive(Default)]
struct LayerChanges {
    replaced: bool,
    names: BTreeMap<NameBytes, NameChange>,
    counts: ImportCounts,
}

/// The change of one name.
enum NameChange {
    /// None: it was put with the content of the base, or deleted without being there.
    None,
    /// It is put; without an entry in a dry import, which stores nothing.
    Put(Option<Entry>),
    Delete,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The version it started from.
    pub base: Version,
    /// The version it made; `None` if nothing changed.
    pub version: Option<Version>,
    /// All layers together.
    #[serde(flatten)]
    pub counts: ImportCounts,
    /// The layers that were replaced, or of which partitions were named.
    pub layers: BTreeMap<LayerId, ImportCounts>,
    /// Bytes uploaded.
    pub bytes_written: u64,
}

/// The counts of a layer's partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ImportCounts {
    /// New ones.
    pub added: u64,
    /// Those with new content.
    pub modified: u64,
    /// Deleted ones.
    pub deleted: u64,
    /// Those that were put with the content of the base.
    pub unchanged: u64,
}

impl Import {
    /// Begins the version after `base`, which must be the catalog's latest. `run` is drawn anew for each import. There are
    /// no limits on what may be deleted unless [`within`](Import::within) is called.
    ///
    /// Fails with [`ErrorKind::Owned`](crate::ErrorKind::Owned) if the catalog belongs to another writer, such as tasks:
    /// their next run would not notice the change.
    pub fn begin(base: &Snapshot, run: RunId) -> Result<Import> {
        owner::check_imports(base, "an import")?;
        Import::taking_over(base, run)
    }

    /// Begins the version after `base`, whatever writer the catalog belongs to. From then on it belongs to imports: the state of
    /// tasks is dropped, and layers that are not imported stay.
    pub fn taking_over(base: &Snapshot, run: RunId) -> Result<Import> {
        let draft = Draft::begin(base, run, DraftOptions::default());
        let layer = |settings: &Layer| {
            let published = draft.adopt(&base.tree(&settings.id)?);
            let layer = ImportLayer { settings: settings.clone(), published, changes: Mutex::default() };
            Some((settings.id.clone(), layer))
        };
        let layers = base.layers().filter_map(layer).collect();
        let before = base.catalog().requests();
        Ok(Import { base: base.clone(), before, draft, layers, limits: ImportLimits::NONE, is_dry: false })
    }

    /// Limits what may be deleted.
    #[must_use]
    pub fn within(self, limits: ImportLimits) -> Import {
        Import { limits, ..self }
    }

    /// Makes it a dry import: it reports what would change, writes nothing, and `commit` makes no version.
    #[must_use]
    pub fn dry(self) -> Import {
        Import { is_dry: true, ..self }
    }

    /// The settings of a layer; an error with the layers of the catalog if it has none of this id.
    pub fn layer(&self, id: &LayerId) -> Result<&Layer> {
        Ok(&self.find(id)?.settings)
    }

    /// Replaces a layer: partitions that are not put are deleted.
    pub fn replace(&self, layer: &LayerId) -> Result<()> {
        self.find(layer)?.with(|changes| changes.replaced = true);
        Ok(())
    }

    /// Looks up partitions in the base that are about to be put or deleted, in any order, so that these need not be looked up
    /// one by one. Cost: a round trip for each level of the tree, and as many requests as the leaves are far
    /// apart. About a thousand names at once: what was read is kept in a cache.
    ///
    /// Fails when the catalog has no such layer.
    pub fn look_up<'n>(&self, layer: &LayerId, names: impl IntoIterator<Item = &'n Name>) -> Result<()> {
        let layer = self.find(layer)?;
        let mut keys: Vec<NameBytes> = names.into_iter().map(Name::to_bytes).collect();
        keys.sort_unstable();
        read_ahead(&layer.published, &keys)
    }

    /// Puts a partition. Cost: a digest and a look-up in the base, which [`look_up`](Import::look_up) can make for many
    /// together; an upload if the content is new.
    ///
    /// Fails when the name is not legal in the layer, or was put or deleted before.
    pub fn put(&self, layer: &LayerId, name: &Name, payload: &Payload) -> Result<()> {
        let layer = self.find(layer)?;
        layer.settings.check_put(name).map_err(|error| layer.refused(error.to_string()))?;
        let key = layer.claim(name)?;
        let meta = payload.meta();
        let before = layer.published.get(&key)?;
        if before.as_ref().is_some_and(|before| before.meta == meta) {
            layer.with(|changes| changes.counts.unchanged += 1);
            return Ok(());
        }
        let entry = if self.is_dry { None } else { Some(self.draft.put_known(meta, payload)?) };
        layer.with(|changes| {
            *if before.is_some() { &mut changes.counts.modified } else { &mut changes.counts.added } += 1;
            changes.names.insert(key, NameChange::Put(entry));
        });
        Ok(())
    }

    /// Deletes a partition; returns whether there was one.
    ///
    /// Fails when the name is not legal in the layer, or was put or deleted before.
    pub fn delete(&self, layer: &LayerId, name: &Name) -> Result<bool> {
        let layer = self.find(layer)?;
        let key = layer.claim(name)?;
        let goes = layer.published.get(&key)?.is_some();
        if goes {
            layer.with(|changes| {
                changes.counts.deleted += 1;
                changes.names.insert(key, NameChange::Delete);
            });
        }
        Ok(goes)
    }

    /// Makes the version. `created` and `note` are recorded with it.
    ///
    /// Fails with the store's conflict if another writer made that version first, and with
    /// [`ErrorKind::Guarded`](crate::ErrorKind::Guarded) if more would be deleted than the limits allow. Then nothing was
    /// imported.
    pub fn commit(self, created: Timestamp, note: &str) -> Result<ImportReport> {
        let Import { base, draft, before, layers, limits, is_dry } = self;
        // After it has taken over from tasks, the catalog no longer depends on what these read.
        let is_own = matches!(base.record().owner, None | Some(Owner::Imports));
        let mut next = NextVersion {
            dependencies: if is_own { base.record().dependencies.clone() } else { Vec::new() },
            owner: Some(Owner::Imports),
            created,
            note: note.to_owned(),
            ..NextVersion::default()
        };
        let mut report = ImportReport {
            base: base.version(),
            version: None,
            counts: ImportCounts::default(),
            layers: BTreeMap::new(),
            bytes_written: 0,
        };
        for (id, layer) in layers {
            let mut changes = layer.changes.into_inner().unwrap_or_else(PoisonError::into_inner);
            let is_imported = changes.replaced || !changes.names.is_empty();
            if changes.replaced {
                changes.delete_others(&layer.published)?;
                limits.check(base.catalog().url(), &id, changes.counts, layer.published.count())?;
            }
            if is_imported {
                report.counts += changes.counts;
                report.layers.insert(id, changes.counts);
            }
            if !is_dry {
                next.layers.push((layer.settings, changes.apply(&draft, &layer.published)?));
            }
        }
        if is_dry {
            return Ok(report);
        }
        next.statistics = serde_json::json!(report.layers);
        if let Committed::New(snapshot) = draft.commit(next)? {
            report.version = Some(snapshot.version());
        }
        report.bytes_written = (base.catalog().requests() - before).bytes_written;
        Ok(report)
    }

    fn find(&self, id: &LayerId) -> Result<&ImportLayer> {
        self.layers.get(id).ok_or_else(|| {
            let known: Vec<&str> = self.layers.keys().map(LayerId::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) };
            Error::setup(format!("catalog {} has no layer `{id}`: it has {known}", self.base.catalog().url()))
        })
    }
}

impl ImportLayer {
    /// Checks a name and takes it, so that it can not be named again.
    fn claim(&self, name: &Name) -> Result<NameBytes> {
        self.settings.check(name).map_err(|error| self.refused(error.to_string()))?;
        let key = name.to_bytes();
        if self.with(|changes| changes.names.insert(key.clone(), NameChange::None)).is_some() {
            return Err(self.refused(format!("`{name}` is named twice in one import")));
        }
        Ok(key)
    }

    fn refused(&self, message: String) -> Error {
        Error::publish(&self.settings.id, message)
    }

    fn with<T>(&self, change: impl FnOnce(&mut LayerChanges) -> T) -> T {
        change(&mut self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LayerChanges {
    /// Deletes all partitions that were not named.
    fn delete_others(&mut self, published: &Tree) -> Result<()> {
        for found in published.scan(KeyRange::all()) {
            let (name, _) = found?;
            if !self.names.contains_key(&name) {
                self.counts.deleted += 1;
                self.names.insert(name, NameChange::Delete);
            }
        }
        Ok(())
    }

    /// The layer's next tree.
    fn apply(self, draft: &Draft, published: &Tree) -> Result<Tree> {
        let changes = self.names.into_iter().filter_map(|(name, change)| match change {
            NameChange::None | NameChange::Put(None) => None,
            NameChange::Put(Some(entry)) => Some(Ok::<_, Error>((name, Some(entry)))),
            NameChange::Delete => Some(Ok((name, None))),
        });
        let mut changes = changes.peekable();
        Ok(if changes.peek().is_some() { draft.edit(published, changes)? } else { published.clone() })
    }
}

impl std::ops::AddAssign for ImportCounts {
    fn add_assign(&mut self, other: ImportCounts) {
        self.added += other.added;
        self.modified += other.modified;
        self.deleted += other.deleted;
        self.unchanged += other.unchanged;
    }
}

impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("base", &self.base).finish_non_exhaustive()
    }
}
