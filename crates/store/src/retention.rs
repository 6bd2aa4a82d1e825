//! Which versions can be read. The set is part of each version's record, so dropping versions is an ordinary commit: a
//! new version with the content of the latest, whose record retains fewer.
//!
//! Versions that are dropped have expired: whoever opens one is told so. Their names stay taken, and their packs stay
//! until [`Catalog::gc`] removes them.

use std::collections::BTreeSet;

use deltic_core::{RunId, Timestamp, Version};

use crate::catalog::{Catalog, RECORDS_AHEAD};
use crate::commit::{publish, same_again};
use crate::record::{ranges, retain};
use crate::snapshot::Snapshot;
use crate::{Error, ErrorKind, Result};

/// Which versions to keep. A version that any of the rules names is kept, and the latest always is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// The last so many. Versions that follow one another and say the same, as maintenance makes them, count as one.
    pub last: Option<u64>,
    /// These. Each must be one that can be read now.
    pub keep: BTreeSet<Version>,
    /// Every version that was the latest at some moment since then, by the times in the records.
    pub since: Option<Timestamp>,
}

/// What retention did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retained {
    /// The version that was made; none when nothing expired, or it was only to be said what would.
    pub version: Option<Version>,
    /// The versions that can be read, the new one included, as ranges of numbers.
    pub retained: Vec<(Version, Version)>,
    /// The versions that could be read before and can not be any more.
    pub expired: Vec<(Version, Version)>,
}

impl Catalog {
    /// Keeps the versions that `retention` names and the latest, and lets the others expire; with `dry_run` only says
    /// which. Makes a version only when one expires.
    ///
    /// Fails with [`ErrorKind::Conflict`] when another run made the next version meanwhile, and with
    /// [`ErrorKind::Expired`] or [`ErrorKind::NotFound`] when a version to keep can not be kept. Cost: one request for
    /// each version that `last` and `since` have to look at, and a commit.
    pub fn retain(&self, retention: &Retention, run: RunId, created: Timestamp, dry_run: bool) -> Result<Retained> {
        let latest = self.latest()?;
        let before: BTreeSet<Version> = latest.record().retained_versions().collect();
        let mut kept = self.named(&latest, &before, retention)?;
        kept.insert(latest.version());
        let expired = ranges(before.difference(&kept).copied());
        let retained = ranges(kept);
        if expired.is_empty() || dry_run {
            return Ok(Retained { version: None, retained, expired });
        }
        let mut record = same_again(&latest, run, created, "retention".to_owned())?;
        record.retained = retain(&retained, record.version);
        let made = publish(self, record)?;
        Ok(Retained { version: Some(made.version()), retained: made.record().retained.clone(), expired })
    }

    /// The versions that the rules name, of those that can be read.
    fn named(&self, latest: &Snapshot, before: &BTreeSet<Version>, rules: &Retention) -> Result<BTreeSet<Version>> {
        if rules.last.is_none() && rules.keep.is_empty() && rules.since.is_none() {
            return Err(Error::invalid("retention names no versions to keep; say how many, which, or since when"));
        }
        if rules.last == Some(0) {
            return Err(Error::invalid("the latest version is always kept: the last 0 versions can not be"));
        }
        if let Some(version) = rules.keep.difference(before).next() {
            let url = self.url();
            // A version that is not there, or has expired, says so itself.
            self.snapshot(*version)?;
            let message = format!("{url}: version {version} was made after version {}; try again", latest.version());
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let mut kept = rules.keep.clone();
        let mut last = rules.last.map(|last| Counting { left: last, after: None });
        let mut since = rules.since;
        let mut versions = before.iter().rev().copied();
        while last.is_some() || since.is_some() {
            let batch: Vec<Version> = versions.by_ref().take(RECORDS_AHEAD).collect();
            if batch.is_empty() {
                break;
            }
            for snapshot in self.records(&batch)? {
                let version = snapshot.version();
                if let Some(time) = since {
                    kept.insert(version);
                    // It was the latest then: those before it were not, whatever their clocks said.
                    since = (snapshot.record().created > time).then_some(time);
                }
                if let Some(counting) = &mut last {
                    if counting.takes(&snapshot) {
                        kept.insert(version);
                    } else {
                        last = None;
                    }
                }
            }
        }
        Ok(kept)
    }
}

/// Counts versions from the latest backwards.
struct Counting {
    left: u64,
    after: Option<Snapshot>,
}

impl Counting {
    fn takes(&mut self, snapshot: &Snapshot) -> bool {
        let same = self.after.as_ref().is_some_and(|after| {
            after.version() == snapshot.version().next() && after.record().says_the_same(snapshot.record())
        });
        if !same {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
        }
        self.after = Some(snapshot.clone());
        true
    }
}
