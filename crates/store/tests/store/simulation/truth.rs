//! What the versions must hold, and the checks of the store against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use deltic_core::{RunId, Version};
use deltic_store::testing::Mutant;
use deltic_store::{Catalog, Entry, KeyRange, ObjectName, Place, Snapshot, Stores};
use object_store::memory::InMemory;

use super::{Happened, open};
use crate::support::{Model, content, names, objects};

/// What is known of a catalog beside the catalog.
pub(crate) struct Truth {
    stores: Stores,
    store: Arc<InMemory>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What each run meant its version to hold. Runs of maintenance are not in it: their versions say the same again.
    meant: BTreeMap<RunId, Model>,
    acknowledged: BTreeMap<Version, RunId>,
    /// What an actor saw that must not be.
    wrong: Option<String>,
    /// The versions that were there at the last check, what each holds, and the packs it needs.
    versions: Vec<(Model, BTreeSet<String>)>,
    packs: BTreeSet<String>,
    removed: u64,
    taken_over: u64,
    stitched: u64,
}

impl Truth {
    pub(crate) fn new(stores: Stores, store: Arc<InMemory>) -> Truth {
        Truth { stores, store, known: Mutex::default() }
    }

    fn catalog(&self) -> Catalog {
        open(&self.stores, Mutant::None)
    }

    /// A run is about to make a version that holds this.
    pub(crate) fn means(&self, run: RunId, model: Model) {
        self.known.lock().unwrap().meant.insert(run, model);
    }

    /// A run was told that it has made a version.
    pub(crate) fn acknowledged(&self, version: Version, run: RunId) {
        let before = self.known.lock().unwrap().acknowledged.insert(version, run);
        if let Some(before) = before {
            self.wrong(format!("version {version} was acknowledged to runs {before} and {run}"));
        }
    }

    /// A run was told that it has made a version in which there is what another run had done.
    pub(crate) fn took_over(&self) {
        self.known.lock().unwrap().taken_over += 1;
    }

    /// A run was told that it has made a version with a part that another run had handed over.
    pub(crate) fn stitched(&self) {
        self.known.lock().unwrap().stitched += 1;
    }

    /// An actor saw what must not be.
    pub(crate) fn wrong(&self, what: String) {
        self.known.lock().unwrap().wrong.get_or_insert(what);
    }

    /// What an actor read of a version.
    pub(crate) fn was_read(&self, version: Version, read: &Model) {
        let held = self.known.lock().unwrap().versions.get(version.0 as usize).map(|(model, _)| model == read);
        if held == Some(false) {
            self.wrong(format!("version {version} was read and holds something else"));
        }
    }

    /// An actor was told that a version has expired.
    pub(crate) fn was_told_expired(&self, version: Version) {
        if self.catalog().latest().unwrap().record().retains(version) {
            self.wrong(format!("a reader was told that version {version} has expired, and it has not"));
        }
    }

    /// Checks what has changed in the store since the last time.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(wrong) = &self.known.lock().unwrap().wrong {
            return Err(wrong.clone());
        }
        let catalog = self.catalog();
        let latest = catalog.latest().map_err(|error| error.to_string())?;
        let mut known = self.known.lock().unwrap();
        let packs: BTreeSet<String> =
            futures::executor::block_on_stream(object_store::ObjectStore::list(&*self.store, Some(&"packs".into())))
                .map(|meta| meta.unwrap().location.to_string())
                .collect();
        known.removed += known.packs.difference(&packs).count() as u64;
        while known.versions.len() as u64 <= latest.version().0 {
            // Checked as each version appears: whatever it refers to must be there now.
            let version = Version(known.versions.len() as u64);
            let snapshot = catalog.snapshot(version).map_err(|error| error.to_string())?;
            let held = read(&snapshot)?;
            let run = snapshot.record().run;
            let before = known.versions.last().map(|(model, _)| model.clone()).unwrap_or_default();
            if held.0 != *known.meant.get(&run).unwrap_or(&before) {
                return Err(format!("version {version} holds something else than run {run} meant it to"));
            }
            known.versions.push(held);
        }
        for version in latest.record().retained_versions() {
            if let Some(gone) = known.versions[version.0 as usize].1.iter().find(|pack| !packs.contains(*pack)) {
                return Err(format!("version {version} is retained by {} and {gone} is gone", latest.version()));
            }
        }
        known.packs = packs;
        Ok(())
    }

    /// Checks the whole once more, and that a sweep leaves nothing that nothing needs.
    pub(crate) fn check_at_end(&self) -> Result<Happened, String> {
        self.check()?;
        let catalog = self.catalog();
        let swept = catalog.gc(false).map_err(|error| error.to_string())?;
        self.check()?;
        let mut next = catalog.latest().map_err(|error| error.to_string())?.version().0 + 1;
        for snapshot in catalog.log() {
            // The log checks that each version is the parent that the next one names.
            let snapshot = snapshot.map_err(|error| error.to_string())?;
            next -= 1;
            let known = self.known.lock().unwrap();
            let run = known.acknowledged.get(&Version(next));
            if snapshot.version().0 != next || run.is_some_and(|run| *run != snapshot.record().run) {
                return Err(format!("version {next} is not the one that was acknowledged"));
            }
        }
        let known = self.known.lock().unwrap();
        if known.acknowledged.keys().any(|version| version.0 >= known.versions.len() as u64) {
            return Err("a version that was acknowledged is not there".to_owned());
        }
        let latest = catalog.latest().map_err(|error| error.to_string())?;
        for version in latest.record().retained_versions() {
            let snapshot = catalog.snapshot(version).map_err(|error| error.to_string())?;
            if read(&snapshot)? != known.versions[version.0 as usize] {
                return Err(format!("version {version} has changed"));
            }
        }
        let needed: BTreeSet<&String> =
            latest.record().retained_versions().flat_map(|version| &known.versions[version.0 as usize].1).collect();
        let pending = format!("packs/{:016x}-", latest.version().0);
        let there = objects(&self.store).into_keys().filter(|object| object.starts_with("packs/"));
        if let Some(left) = there.into_iter().find(|pack| !needed.contains(pack) && !pack.starts_with(&pending)) {
            return Err(format!("a sweep left {left}, which nothing can need"));
        }
        if swept.needed.count != needed.len() as u64 {
            return Err(format!("a sweep marked {} packs, and {} are needed", swept.needed.count, needed.len()));
        }
        let &Known { removed, taken_over, stitched, .. } = &*known;
        Ok(Happened { versions: latest.version().0, removed, taken_over, stitched })
    }
}

/// What a version holds, and the packs that it takes to read it.
fn read(snapshot: &Snapshot) -> Result<(Model, BTreeSet<String>), String> {
    let tree = names(snapshot);
    let mut packs: BTreeSet<String> = deltic_store::testing::packs_of(snapshot)
        .map_err(|error| format!("version {}: {error}", snapshot.version()))?
        .into_iter()
        .map(|pack| ObjectName::Pack(pack).to_string())
        .collect();
    for item in tree.scan(KeyRange::all()) {
        let (_, Entry { place, .. }) = item.map_err(|error| format!("version {}: {error}", snapshot.version()))?;
        if let Place::Pack { pack, .. } = place {
            packs.insert(ObjectName::Pack(pack).to_string());
        }
    }
    let items: Result<Model, String> = tree
        .scan(KeyRange::all())
        .map(|item| {
            let (key, entry) = item.map_err(|error| error.to_string())?;
            let payload = tree.read(&entry).map_err(|error| format!("version {}: {error}", snapshot.version()))?;
            Ok((key.to_vec(), payload.bytes().to_vec()))
        })
        .collect();
    debug_assert!(items.as_ref().is_ok_and(|items| *items == content(&tree)) || items.is_err());
    Ok((items?, packs))
}
