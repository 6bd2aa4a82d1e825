//! Compares the histories of two catalogs: whether they are the same, whether one is behind the other, or where they diverge.
//!
//! A copy has the uuid of its original. When both go on, the same version numbers get different contents. Each record names the
//! digest of the one before it, so two histories that agree on a version agree on all versions before it. So a binary search
//! finds where they diverge.

use deltic_core::{Digest, Version};

use crate::catalog::Catalog;
use crate::catalog::snapshot::Snapshot;
use crate::format::object_name::ObjectName;
use crate::{Error, Result};

/// How the history of a catalog compares with that of another one.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// The latest version of this catalog.
    pub ours: Snapshot,
    /// The latest version of the other catalog.
    pub theirs: Snapshot,
    /// How they compare.
    pub relation: Relation,
}

/// How two histories compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// They are of two catalogs: their uuids differ.
    Unrelated,
    /// They are the same, up to the latest version.
    Same,
    /// The other one has all versions of this one, and this many more.
    Behind(u64),
    /// This one has all versions of the other one, and this many more.
    Ahead(u64),
    /// The histories differ after a common version.
    Diverged {
        /// The last version that both have; `None` when they have none in common.
        after: Option<Version>,
        /// The catalog digest of the version after that here. Both can be equal, when the same was done twice.
        ours: Digest,
        /// The catalog digest of the version after that in the other one.
        theirs: Digest,
    },
}

impl Catalog {
    /// Compares the history of this catalog with that of another one, by records alone. Expired versions count too. Trees and packs
    /// are not read.
    ///
    /// Errors: one of them can not be read, or lacks the record of a version before its latest ([`Corrupt`](crate::ErrorKind::Corrupt)). Cost: finding both latest
    /// versions, and two requests for each halving of the number of versions.
    pub fn lineage(&self, other: &Catalog) -> Result<Lineage> {
        let (ours, theirs) = (self.latest()?, other.latest()?);
        let relation = relation(&ours, &theirs)?;
        Ok(Lineage { ours, theirs, relation })
    }
}

fn relation(ours: &Snapshot, theirs: &Snapshot) -> Result<Relation> {
    if ours.uuid() != theirs.uuid() {
        return Ok(Relation::Unrelated);
    }
    let common = ours.version().min(theirs.version());
    let (mut here, mut there) = (at(ours, common)?, at(theirs, common)?);
    if here.record_digest() == there.record_digest() {
        return Ok(match (ours.version().0 - common.0, theirs.version().0 - common.0) {
            (0, 0) => Relation::Same,
            (0, behind) => Relation::Behind(behind),
            (ahead, _) => Relation::Ahead(ahead),
        });
    }
    // The histories agree before `equal`, and differ at `here` and `there`.
    let mut equal = 0;
    while equal < here.version().0 {
        let middle = Version(equal + (here.version().0 - equal) / 2);
        let (one, other) = (at(ours, middle)?, at(theirs, middle)?);
        if one.record_digest() == other.record_digest() {
            equal = middle.0 + 1;
        } else {
            (here, there) = (one, other);
        }
    }
    let after = here.version().0.checked_sub(1).map(Version);
    Ok(Relation::Diverged { after, ours: here.digest(), theirs: there.digest() })
}

/// The record of a version up to the latest.
fn at(latest: &Snapshot, version: Version) -> Result<Snapshot> {
    if latest.version() == version {
        return Ok(latest.clone());
    }
    let catalog = latest.catalog();
    let found = catalog.look_up(&[version])?.pop().flatten();
    found.ok_or_else(|| {
        let what = "the object is missing or damaged, although later versions exist";
        Error::corrupt(catalog.url(), ObjectName::Version(version), what)
    })
}
