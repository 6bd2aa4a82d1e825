//! The sweep: removes packs that nothing can need any more. It uses no clocks and no locks, and needs no help of writers and readers.
//!
//! The rules that make it safe (`docs/format.md`, section 7):
//!
//! * **G1** A pack's name has the base that it was written on.
//! * **G2** A version refers only to packs that runs on its base wrote (its own run or others), and to packs that a version in its
//!   base's retained set refers to.
//! * **G3** The retained set is part of the record, shrinks only by a commit, and always holds the version itself.
//! * **G4** The name of a version is never freed.
//!
//! A run may take over the results of another run on the same base: the packs of both have that base in their names.
//!
//! The sweep reads the latest version `L` and marks the packs that `L` and the versions it retains refer to. Then it lists all packs,
//! and removes those that are not marked and whose base is less than `L`. It also removes the checkpoints of runs whose base is less
//! than `L`, and the half-written files in a folder that can not become objects any more. Writers, retention and other sweeps may
//! overtake it at any point; it may pause for days, or die. It is safe all the same:
//!
//! * A run whose base is less than `L` can not commit any more, because its version exists already (G4). So only versions up to `L`
//!   can need its packs, and of these only retained ones: the packs are marked, or nobody can need them.
//! * Later versions refer to packs that are marked at `L`, or whose base is `L` or later: by induction over G2 and G3.
//! * Packs are listed after the latest version was read. A pack that appears in between has a base of `L` or later, or belongs to a
//!   run that can not commit any more.
//! * When a node is missing during the mark, a later sweep has removed it, and the version that is being marked has expired. Then the
//!   sweep begins again from the latest version. If the version has not expired, the catalog is damaged: nothing is removed.

use std::collections::HashSet;

use deltic_core::Version;

use crate::catalog::snapshot::Snapshot;
use crate::catalog::{Catalog, RECORDS_AHEAD};
use crate::format::object_name::ListedPack;
use crate::format::object_name::{ObjectName, PackName};
use crate::maintain::mark::Walk;
use crate::{Error, ErrorKind, Result};

/// How often a sweep begins again when later ones overtake it.
const TRIES: u32 = 10;

/// What a sweep did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// The version that was the latest when it began.
    pub version: Version,
    /// How many versions it retains.
    pub retained: u64,
    /// Packs that retained versions need.
    pub needed: Objects,
    /// Packs that were removed, or would be.
    pub removed: Objects,
    /// Packs that no retained version needs, but that a running run may be about to commit. Packs of a run that died are removed after
    /// the next commit.
    pub undecided: Objects,
    /// Checkpoints of runs that can not commit any more: removed, or would be.
    pub progress_removed: Objects,
    /// Checkpoints of running runs, or that the next run can resume from.
    pub progress_kept: Objects,
    /// Half-written files in a folder, left by killed writers: removed, or would be.
    pub unfinished_removed: Objects,
    /// Half-written files of writers that may still be running.
    pub unfinished_kept: Objects,
}

/// How many objects of a kind, or unfinished files, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Objects {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Objects {
    pub(crate) fn add(&mut self, pack: &ListedPack) {
        self.add_bytes(pack.bytes);
    }

    fn add_bytes(&mut self, bytes: u64) {
        self.count += 1;
        // The sizes of sparse files may overflow the sum.
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Whether a half-written object can be removed, given the latest version.
///
/// * Packs and checkpoints, by the base in the name: their run can not commit any more.
/// * The record of a version that exists can not be created again, nor can `catalog.json`. A probe belongs to a creation that is
///   bound to fail.
/// * Every commit writes the hint, and its name does not show which commit did. A running writer may lose its hint too: it tries
///   again, and an old or missing hint only costs requests.
///
/// This frees no names: a later attempt to create an object of such a name is refused, or tries again.
fn is_dead(name: &ObjectName, latest: Version) -> bool {
    match name {
        ObjectName::Pack(name) | ObjectName::Progress(name) => name.base < latest,
        ObjectName::Version(version) => *version <= latest,
        ObjectName::Catalog | ObjectName::Latest | ObjectName::Probe(_) => true,
    }
}

impl Catalog {
    /// Removes the packs that no retained version and no running writer can need; with `dry_run` only counts them.
    ///
    /// Safe beside anything else, other sweeps included, and when it is interrupted: the next sweep removes the rest. Cost: reads the
    /// metadata of the latest version, and for each other retained version what differs from the next one; lists packs and
    /// checkpoints.
    pub fn gc(&self, dry_run: bool) -> Result<Collected> {
        for _ in 0..TRIES {
            match self.gc_once(dry_run) {
                Err(error) if *error.kind() == ErrorKind::Expired => {}
                done => return done,
            }
        }
        let url = self.url();
        Err(Error::unavailable(format!("{url}: other sweeps keep overtaking this one; let them end, and try again")))
    }

    fn gc_once(&self, dry_run: bool) -> Result<Collected> {
        let latest = self.latest()?;
        self.check_lineage(&latest)?;
        let marked = self.mark(&latest)?;
        let (mut needed, mut removed, mut undecided) = (Objects::default(), Objects::default(), Objects::default());
        let mut dead = Vec::new();
        for pack in self.client().packs()? {
            if marked.contains(&pack.name) {
                needed.add(&pack);
            } else if self.rules().may_sweep(pack.name.base, latest.version()) {
                removed.add(&pack);
                dead.push(pack.name);
            } else {
                undecided.add(&pack);
            }
        }
        let (mut progress_removed, mut progress_kept) = (Objects::default(), Objects::default());
        let mut passed = Vec::new();
        for object in self.client().progress()? {
            if object.name.base < latest.version() {
                progress_removed.add(&object);
                passed.push(object.name);
            } else {
                progress_kept.add(&object);
            }
        }
        let (mut unfinished_removed, mut unfinished_kept) = (Objects::default(), Objects::default());
        let mut left = Vec::new();
        for file in self.client().unfinished()? {
            if is_dead(&file.name, latest.version()) {
                unfinished_removed.add_bytes(file.bytes);
                left.push(file);
            } else {
                unfinished_kept.add_bytes(file.bytes);
            }
        }
        if !dry_run {
            // Checkpoints go before the packs that they refer to: an interrupted sweep must not leave checkpoints of missing packs.
            self.client().remove_progress(&passed)?;
            self.client().remove_packs(&dead)?;
            left.iter().try_for_each(|file| self.client().remove_unfinished(file))?;
        }
        let retained = latest.record().retained_count();
        Ok(Collected {
            version: latest.version(),
            retained,
            needed,
            removed,
            undecided,
            progress_removed,
            progress_kept,
            unfinished_removed,
            unfinished_kept,
        })
    }

    /// Checks that the latest version belongs to this catalog and follows the one before it. A record of another catalog, or of a copy
    /// that went on by itself, may be valid in itself and refer to none of the packs here: the sweep would remove them all.
    fn check_lineage(&self, latest: &Snapshot) -> Result<()> {
        self.check_catalog_record(Some(latest))?;
        let Some(before) = latest.version().0.checked_sub(1).map(Version) else { return Ok(()) };
        self.records(&[before])?.iter().try_for_each(|before| self.check_parent(latest, before))
    }

    /// Checks that of two versions in a row the older is the parent of the newer.
    fn check_parent(&self, after: &Snapshot, before: &Snapshot) -> Result<()> {
        let version = before.version();
        if after.version() != version.next() || after.record().parent == Some(before.record_digest()) {
            return Ok(());
        }
        let what = format!("it is not the parent that version {} names", after.version());
        Err(Error::corrupt(self.url(), ObjectName::Version(version), what))
    }

    /// The packs that a version and those it retains refer to. Memory: a name a pack.
    fn mark(&self, latest: &Snapshot) -> Result<HashSet<PackName>> {
        let mut marked = HashSet::new();
        let mut walk = Walk::new();
        self.retained_by(latest, |snapshot| {
            for (_, tree) in snapshot.trees() {
                marked.extend(tree.root.place.map(|place| place.pack));
            }
            walk.version(snapshot, &mut |_, node| marked.extend(node.columns().packs()))
        })?;
        Ok(marked)
    }

    /// Calls `take` for a version and all that it retains, newest first. Of two versions in a row, the older must be the parent that the
    /// newer names: a record of another line of history may be valid in itself, but refers to other packs.
    pub(crate) fn retained_by(&self, latest: &Snapshot, mut take: impl FnMut(&Snapshot) -> Result<()>) -> Result<()> {
        take(latest)?;
        if !self.rules().marks_retained() {
            return Ok(());
        }
        let mut others = latest.record().retained_versions().skip(1).peekable();
        let mut after = latest.clone();
        while others.peek().is_some() {
            let batch: Vec<Version> = others.by_ref().take(RECORDS_AHEAD).collect();
            for snapshot in self.records(&batch)? {
                self.check_parent(&after, &snapshot)?;
                take(&snapshot)?;
                after = snapshot;
            }
        }
        Ok(())
    }
}
