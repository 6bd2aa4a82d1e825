//! Removing packs that nothing can need any more: no clocks, no locks, and nothing is asked of writers and readers.
//!
//! The rules that make it safe (`docs/format.md`, section 7):
//!
//! * **G1** A pack's name says on which base it was written.
//! * **G2** A version refers only to packs that runs on its base wrote, its own or others, and to packs that a version in
//!   its base's retained set refers to.
//! * **G3** The retained set is part of the record, shrinks only by a commit, and always holds the version itself.
//! * **G4** The name of a version is never freed.
//!
//! A run that takes over what another one on the same base had done makes no difference: the packs of both carry that base.
//!
//! The sweeper reads the latest version `L`, marks the packs that `L` and the versions it retains refer to, lists all
//! packs, and removes those that are not marked and whose base is less than `L`; likewise the progress of runs whose base is
//! less than `L`, which nothing refers to, and what writers of a folder have left unfinished that could come to nothing any
//! more. It may be overtaken at any point, by
//! writers, by retention and by other sweepers, stand still for days, or die:
//!
//! * A run whose base is less than `L` can not commit any more, for its version is taken (G4). So its packs are needed
//!   only by versions up to `L`, and of these only by retained ones: they are marked, or nobody can need them.
//! * Later versions refer to packs that are marked at `L`, or whose base is `L` or later: by induction over G2 and G3.
//! * A node that is missing during the mark means that a later sweeper was at work, and that what is being marked has
//!   expired; the sweep begins again from the latest version. If it has not expired, the catalog is damaged: nothing is
//!   removed.

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
    /// How many versions are retained as of it.
    pub retained: u64,
    /// Packs that retained versions need.
    pub needed: Objects,
    /// Packs that were removed, or would be.
    pub removed: Objects,
    /// Packs that no retained version needs, and that runs which are at work may be about to commit. What a run has left
    /// that died is removed after the next commit.
    pub undecided: Objects,
    /// What runs had done that can not commit any more: removed, or would be.
    pub progress_removed: Objects,
    /// What runs have done that are at work, or that the next run can go on from.
    pub progress_kept: Objects,
    /// Files of a folder that a writer which was killed has left half-written: removed, or would be.
    pub unfinished_removed: Objects,
    /// The same of writers that may be at work.
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
        // Sizes of files with holes may add up to more than can be counted.
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Whether nothing can come of what somebody began to write as an object, as of a version that is there.
///
/// * Of packs and progress by the base in the name: that run can not commit any more.
/// * A record whose version is there can not be created again, nor can `catalog.json`, and a probe belongs to a creation that
///   is bound to fail.
/// * The hint is written by every commit, and its name does not say by which. That of a writer at work may go too: it tries
///   again, and a hint that is old or missing costs requests and nothing else.
///
/// Names are not freed by this: whoever creates an object of such a name later is refused, or tries again.
fn is_dead(name: &ObjectName, latest: Version) -> bool {
    match name {
        ObjectName::Pack(name) | ObjectName::Progress(name) => name.base < latest,
        ObjectName::Version(version) => *version <= latest,
        ObjectName::Catalog | ObjectName::Latest | ObjectName::Probe(_) => true,
    }
}

impl Catalog {
    /// Removes the packs that no retained version and no running writer can need; with `dry_run` only says which.
    ///
    /// Safe beside anything else, other sweepers included, and when it is interrupted: what is left is removed next time.
    /// Cost: reads the metadata of the latest version, of the other retained ones what differs from the next, and lists
    /// packs and progress.
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
        self.check_standing(&latest)?;
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
            // What refers to packs goes before these do.
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

    /// Checks that the latest version is of this catalog and follows the one before it. A record of another catalog, or
    /// of a copy that went on by itself, may be right in itself and need nothing of what is here.
    fn check_standing(&self, latest: &Snapshot) -> Result<()> {
        self.check_catalog_record(Some(latest))?;
        let Some(before) = latest.version().0.checked_sub(1).map(Version) else { return Ok(()) };
        self.records(&[before])?.iter().try_for_each(|before| self.check_parent(latest, before))
    }

    /// Checks that of two versions in a row the one is the parent of the other.
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

    /// Goes through a version and all that it retains, newest first. Of two versions in a row the one must be the parent
    /// that the other names: a record of another line of the catalog's history may be right in itself, and would name
    /// other packs.
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
