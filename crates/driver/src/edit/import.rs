//! Importing: partitions from outside become the next version of a catalog that no task writes.
//!
//! An import is told what to put and what to delete, layer by layer; a layer that is *replaced* becomes exactly what
//! was put. Everything becomes visible as one new version, or nothing does. What equals the base is neither stored nor
//! uploaded, and an import that changes nothing makes no version.
//!
//! Memory: one entry for each partition named, and the payloads that callers hold at the moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use deltic_core::{Layer, LayerId, Name, NameBytes, Payload, RunId, Timestamp, Version};
use deltic_store::{Committed, Draft, DraftOptions, Entry, KeyRange, NextVersion, Owner, Requests, Snapshot, Tree};
use serde::Serialize;

use crate::run::owner;
use crate::sort::key_set::read_ahead;
use crate::{Error, Result};

/// One version in the making. Shared by reference, it takes partitions from any number of threads.
pub struct Import {
    base: Snapshot,
    draft: Draft,
    before: Requests,
    layers: BTreeMap<LayerId, ImportLayer>,
    limits: ImportLimits,
    is_dry: bool,
}

/// What an import may take away from the layers that it replaces. Without limits a mount that is empty, or half of it, wipes
/// out what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportLimits {
    /// Whether a layer that has partitions may be replaced by nothing at all.
    pub allow_empty: bool,
    /// The most that may go of a layer, in millionths of its partitions. The first ten of a layer do not count.
    pub most_deleted: u32,
}

impl ImportLimits {
    /// None.
    pub const NONE: ImportLimits = ImportLimits { allow_empty: true, most_deleted: 1_000_000 };
    /// So many partitions of a layer may always go: of a small one, most change names now and then.
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
    named: Mutex<Named>,
}

/// What was said about a layer so far.
#[derive(Default)]
struct Named {
    replaced: bool,
    names: BTreeMap<NameBytes, Said>,
    counts: ImportCounts,
}

enum Said {
    /// It stays: put with the content that the base has, or deleted where there was nothing.
    Stays,
    /// Nothing to put where nothing is to be written.
    Put(Option<Entry>),
    Goes,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The version it started from.
    pub base: Version,
    /// The version it made; `None` when nothing had changed.
    pub version: Option<Version>,
    /// All layers together.
    #[serde(flatten)]
    pub counts: ImportCounts,
    /// The layers that were spoken of.
    pub layers: BTreeMap<LayerId, ImportCounts>,
    /// Bytes uploaded.
    pub bytes_written: u64,
}

/// What became of the partitions of a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ImportCounts {
    /// New ones.
    pub added: u64,
    /// Those with new content.
    pub modified: u64,
    /// Those that are gone.
    pub deleted: u64,
    /// Those that were put as they are already.
    pub unchanged: u64,
}

impl Import {
    /// Begins the version after `base`, which must be the catalog's latest. `run` is drawn anew for each import.
    ///
    /// Fails with [`ErrorKind::Owned`] when somebody else writes to the catalog, such as tasks: the next run would not know of
    /// the change.
    pub fn begin(base: &Snapshot, run: RunId) -> Result<Import> {
        owner::check_imports(base, "an import")?;
        Import::taking_over(base, run)
    }

    /// Begins the version after `base` whoever writes to the catalog. From then on imports do: what tasks remember of it goes,
    /// and layers that are not imported stay as they are.
    pub fn taking_over(base: &Snapshot, run: RunId) -> Result<Import> {
        let draft = Draft::begin(base, run, DraftOptions::default());
        let layer = |settings: &Layer| {
            let published = draft.adopt(&base.tree(&settings.id)?);
            let layer = ImportLayer { settings: settings.clone(), published, named: Mutex::default() };
            Some((settings.id.clone(), layer))
        };
        let layers = base.layers().filter_map(layer).collect();
        let before = base.catalog().requests();
        Ok(Import { base: base.clone(), before, draft, layers, limits: ImportLimits::NONE, is_dry: false })
    }

    /// Limits what may be taken away.
    #[must_use]
    pub fn within(self, limits: ImportLimits) -> Import {
        Import { limits, ..self }
    }

    /// Only finds out what would be done: nothing is written, and `commit` makes no version.
    #[must_use]
    pub fn dry(self) -> Import {
        Import { is_dry: true, ..self }
    }

    /// The settings of a layer; an error that names those there are when the catalog has none of this id.
    pub fn layer(&self, id: &LayerId) -> Result<&Layer> {
        Ok(&self.find(id)?.settings)
    }

    /// Says that a layer becomes exactly what is put: everything else in it goes.
    pub fn replace(&self, layer: &LayerId) -> Result<()> {
        self.find(layer)?.with(|named| named.replaced = true);
        Ok(())
    }

    /// Reads what the base has of partitions that are about to be put or deleted, in any order, so that these need not be
    /// looked up one by one. Cost: a round trip for each level of the tree, and as many requests as the leaves are far
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
            layer.with(|named| named.counts.unchanged += 1);
            return Ok(());
        }
        let entry = if self.is_dry { None } else { Some(self.draft.put_known(meta, payload)?) };
        layer.with(|named| {
            *if before.is_some() { &mut named.counts.modified } else { &mut named.counts.added } += 1;
            named.names.insert(key, Said::Put(entry));
        });
        Ok(())
    }

    /// Deletes a partition and says whether there was one.
    ///
    /// Fails when the name is not legal in the layer, or was put or deleted before.
    pub fn delete(&self, layer: &LayerId, name: &Name) -> Result<bool> {
        let layer = self.find(layer)?;
        let key = layer.claim(name)?;
        let goes = layer.published.get(&key)?.is_some();
        if goes {
            layer.with(|named| {
                named.counts.deleted += 1;
                named.names.insert(key, Said::Goes);
            });
        }
        Ok(goes)
    }

    /// Makes the version. `created` and `note` are recorded with it.
    ///
    /// Fails with the store's conflict when another run made that version first, and with [`ErrorKind::Guarded`] where more would
    /// be taken away than the limits allow: nothing was imported then.
    pub fn commit(self, created: Timestamp, note: &str) -> Result<ImportReport> {
        let Import { base, draft, before, layers, limits, is_dry } = self;
        // Where it takes over from tasks, what these read is nothing to what there is from now on.
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
            let mut named = layer.named.into_inner().unwrap_or_else(PoisonError::into_inner);
            let spoken_of = named.replaced || !named.names.is_empty();
            if named.replaced {
                named.delete_others(&layer.published)?;
                limits.check(base.catalog().url(), &id, named.counts, layer.published.count())?;
            }
            if spoken_of {
                report.counts += named.counts;
                report.layers.insert(id, named.counts);
            }
            if !is_dry {
                next.layers.push((layer.settings, named.apply(&draft, &layer.published)?));
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
    /// Checks a name and takes it, so that nobody else can speak of it.
    fn claim(&self, name: &Name) -> Result<NameBytes> {
        self.settings.check(name).map_err(|error| self.refused(error.to_string()))?;
        let key = name.to_bytes();
        if self.with(|named| named.names.insert(key.clone(), Said::Stays)).is_some() {
            return Err(self.refused(format!("`{name}` is named twice in one import")));
        }
        Ok(key)
    }

    fn refused(&self, message: String) -> Error {
        Error::publish(&self.settings.id, message)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Named) -> T) -> T {
        change(&mut self.named.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Named {
    /// Lets all go that was not named.
    fn delete_others(&mut self, published: &Tree) -> Result<()> {
        for found in published.scan(KeyRange::all()) {
            let (name, _) = found?;
            if !self.names.contains_key(&name) {
                self.counts.deleted += 1;
                self.names.insert(name, Said::Goes);
            }
        }
        Ok(())
    }

    /// The layer's next tree.
    fn apply(self, draft: &Draft, published: &Tree) -> Result<Tree> {
        let changes = self.names.into_iter().filter_map(|(name, said)| match said {
            Said::Stays | Said::Put(None) => None,
            Said::Put(Some(entry)) => Some(Ok::<_, Error>((name, Some(entry)))),
            Said::Goes => Some(Ok((name, None))),
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
