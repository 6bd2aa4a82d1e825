//! Which versions can be read. The set is part of each version's record. So dropping versions is an ordinary commit: a new version
//! with the content of the latest, whose record retains fewer versions.
//!
//! Dropped versions have expired: opening one is an error. Their names stay taken, and their packs stay until [`Catalog::gc`]
//! removes them.

use std::collections::BTreeSet;

use deltic_core::{RunId, Timestamp, Version};

use crate::catalog::publish::publish;
use crate::catalog::snapshot::Snapshot;
use crate::catalog::{Catalog, RECORDS_AHEAD, tags};
use crate::format::record::{Tag, minus, ranges, retain, rfc3339};
use crate::write::commit::unchanged_successor;
use crate::{Error, ErrorKind, Result};

/// Which versions to keep: those that any of the rules names. The latest version, and versions with a tag, are always kept. Without
/// `last`, `keep` and `since` all versions are kept. The default has no rule and changes no tag: [`Catalog::retain`] refuses it with
/// [`ErrorKind::InvalidInput`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// This many of the last versions. Versions in a row with the same content, as maintenance makes them, count as one.
    pub last: Option<u64>,
    /// These versions. Each must be one that can be read now.
    pub keep: BTreeSet<Version>,
    /// Every version that may have been the latest at some moment since then, by the times in the records. Where times contradict each
    /// other, more versions are kept.
    pub since: Option<Timestamp>,
    /// Tags to set, each on a version that can be read now. Where the tag is on the same version already, its note is replaced, if a
    /// note is given. Where it is on another version, that is an error.
    pub tags: Vec<Tag>,
    /// The names of tags to take away, before others are set. This alone lets no version expire.
    pub untag: Vec<String>,
}

/// What retention did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retained {
    /// The version that was made; none when no version expired and no tag changed, or in a dry run.
    pub version: Option<Version>,
    /// The versions that can be read, the new one included, as ranges of numbers.
    pub retained: Vec<(Version, Version)>,
    /// The versions that could be read before, and can not be read any more.
    pub expired: Vec<(Version, Version)>,
    /// All tags, sorted by name.
    pub tags: Vec<Tag>,
}

impl Retention {
    /// Whether it names versions to keep, so that others expire.
    fn lets_expire(&self) -> bool {
        self.last.is_some() || !self.keep.is_empty() || self.since.is_some()
    }
}

impl Catalog {
    /// Keeps the versions that `retention` names, those with a tag, and the latest; lets the others expire. With `dry_run` only reports
    /// which. Changes tags in the same version. Makes a version only when a version expires or a tag changes. `created` is the time
    /// of that version: now.
    ///
    /// Fails with [`ErrorKind::Conflict`] when another run made the next version meanwhile, and with
    /// [`ErrorKind::Expired`] or [`ErrorKind::NotFound`] when a version to keep can not be kept. Cost: one request for
    /// each version that `last` counts and for each that is named, with `since` for each that can be read; and a commit.
    pub fn retain(&self, retention: &Retention, run: RunId, created: Timestamp, dry_run: bool) -> Result<Retained> {
        let latest = self.latest()?;
        if !retention.lets_expire() && retention.tags.is_empty() && retention.untag.is_empty() {
            return Err(Error::invalid("retention names no versions to keep; state how many, which, or since when"));
        }
        let tags = tags::changed(self.url(), latest.record(), &retention.tags, &retention.untag)?;
        let retained = if retention.lets_expire() {
            let mut kept = self.named(&latest, retention, created)?;
            kept.insert(latest.version());
            kept.extend(tags.iter().map(|tag| tag.version));
            ranges(kept)
        } else {
            latest.record().retained.clone()
        };
        self.check_readable(&latest, retention.tags.iter().map(|tag| tag.version))?;
        // Fails here when a version that is to be kept is lost.
        for version in retention.tags.iter().map(|tag| tag.version).chain(retention.keep.iter().copied()) {
            self.snapshot(version)?;
        }
        let expired = minus(&latest.record().retained, &retained);
        if expired.is_empty() && tags == latest.record().tags || dry_run {
            return Ok(Retained { version: None, retained, expired, tags });
        }
        let mut record = unchanged_successor(&latest, run, created, "retention".to_owned())?;
        record.retained = retain(&retained, record.version);
        record.tags.clone_from(&tags);
        let made = publish(self, record)?;
        Ok(Retained { version: Some(made.version()), retained: made.record().retained.clone(), expired, tags })
    }

    /// Fails unless all of these can be read as of the latest version.
    fn check_readable(&self, latest: &Snapshot, versions: impl IntoIterator<Item = Version>) -> Result<()> {
        let Some(version) = versions.into_iter().find(|version| !latest.record().retains(*version)) else {
            return Ok(());
        };
        // Where the version is missing or has expired, this returns the error.
        self.snapshot(version)?;
        let (url, latest) = (self.url(), latest.version());
        let message = format!("{url}: version {version} was made after version {latest}; try again");
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// The versions that the rules name, of those that can be read.
    fn named(&self, latest: &Snapshot, rules: &Retention, now: Timestamp) -> Result<BTreeSet<Version>> {
        if rules.last == Some(0) {
            return Err(Error::invalid(
                "the latest version is always kept, so the number of last versions to keep must be at least 1",
            ));
        }
        if let Some(since) = rules.since.filter(|since| *since > now) {
            let url = self.url();
            // Most likely a mistake. It would let all versions but the latest expire.
            return Err(Error::invalid(format!(
                "{url}: versions since {} are to be kept, but that time is in the future: it is {} now",
                rfc3339::show(since),
                rfc3339::show(now)
            )));
        }
        self.check_readable(latest, rules.keep.iter().copied())?;
        let mut kept = rules.keep.clone();
        let mut last = rules.last.map(|last| Counting { left: last, after: None });
        let mut made: Vec<(Version, Timestamp)> = Vec::new();
        let mut versions = considered(latest, rules.since.is_some());
        'all: while last.is_some() || rules.since.is_some() {
            let batch: Vec<Version> = versions.by_ref().take(RECORDS_AHEAD).collect();
            if batch.is_empty() {
                break;
            }
            for (version, found) in batch.iter().zip(self.look_up(&batch)?) {
                // Records before the last one that counts may be damaged: those versions expire.
                if last.is_none() && rules.since.is_none() {
                    break;
                }
                let all_counted = rules.since.is_none() && last.as_ref().is_some_and(|counting| counting.left == 0);
                let snapshot = match found {
                    Some(snapshot) => snapshot,
                    // A second read of a retained record succeeds, or returns the error that states what is wrong.
                    None if latest.record().retains(*version) => match self.records(&[*version]) {
                        Ok(mut found) => found.swap_remove(0),
                        // At most it has the same content as the one after it, which is counted already.
                        Err(error) if all_counted && matches!(error.kind(), ErrorKind::Corrupt { .. }) => break 'all,
                        Err(error) => return Err(error),
                    },
                    // Then it is not known when the version before was replaced, and that version is kept.
                    None => continue,
                };
                made.push((snapshot.version(), snapshot.record().created));
                if let Some(counting) = last.as_mut().filter(|_| latest.record().retains(snapshot.version())) {
                    if counting.takes(&snapshot) {
                        kept.insert(snapshot.version());
                    } else {
                        last = None;
                    }
                }
            }
        }
        if let Some(time) = rules.since {
            let first = latest_at(made.iter().rev().copied(), time, now).unwrap_or(Version(0));
            let since = made.iter().map(|(version, _)| *version).filter(|version| *version >= first);
            kept.extend(since.filter(|version| latest.record().retains(*version)));
        }
        Ok(kept)
    }
}

/// The versions that can be read, newest first. With `with_ends` also the version after each row of them: its time is when the row's
/// last version was replaced.
fn considered(latest: &Snapshot, with_ends: bool) -> impl Iterator<Item = Version> {
    let row = move |&(first, last): &(Version, Version)| {
        let end = if with_ends { last.next().min(latest.version()) } else { last };
        (first.0..=end.0).rev().map(Version)
    };
    latest.record().retained.iter().rev().flat_map(row)
}

/// The version that was the latest at a time: the newest that was certainly made by then. The versions come oldest first, each with
/// the time in its record.
///
/// The times come from the clocks of different machines. A version is made after all versions with lower numbers. So of a time and an
/// earlier version's later time one is wrong; and a time in the future is wrong. No wrong time may make a version look old: it would
/// expire too early.
fn latest_at(versions: impl Iterator<Item = (Version, Timestamp)>, time: Timestamp, now: Timestamp) -> Option<Version> {
    let (mut newest, mut latest) = (Timestamp(0), None);
    for (version, made) in versions.filter(|(_, made)| *made <= now) {
        if made >= newest {
            newest = made;
            latest = if made <= time { Some(version) } else { latest };
        }
    }
    latest
}

/// Counts versions from the latest backwards.
struct Counting {
    left: u64,
    after: Option<Snapshot>,
}

impl Counting {
    fn takes(&mut self, snapshot: &Snapshot) -> bool {
        let same = self.after.as_ref().is_some_and(|after| {
            after.version() == snapshot.version().next() && after.record().has_same_content(snapshot.record())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1000;

    proptest! {
        /// With right clocks the version that was the latest is found. With some evidently wrong clocks, ahead of now or behind an
        /// earlier version, no version that was the latest later is skipped.
        #[test]
        fn nothing_expires_that_was_the_latest_later(
            steps in proptest::collection::vec((0u64..60, 0u8..4, any::<u64>()), 1..20),
            time in 0..NOW,
        ) {
            let (mut truth, mut dated, mut newest) = (0, Vec::new(), 0);
            let mut all = Vec::new();
            for (step, kind, random) in steps {
                truth = (truth + step).min(NOW);
                let stamp = match kind {
                    0 => NOW + 1 + random % 1000,
                    1 if newest > 0 => random % newest,
                    _ => truth,
                };
                newest = if stamp <= NOW { newest.max(stamp) } else { newest };
                all.push(truth);
                dated.push(stamp);
            }
            let versions = |times: &[u64]| {
                (0..).map(Version).zip(times.iter().map(|time| Timestamp(*time)).collect::<Vec<_>>())
            };
            let expected = all.iter().rposition(|made| *made <= time).map(|index| Version(index as u64));
            prop_assert_eq!(latest_at(versions(&all), Timestamp(time), Timestamp(NOW)), expected);
            prop_assert!(latest_at(versions(&dated), Timestamp(time), Timestamp(NOW)) <= expected);
        }
    }
}
