//! All versions of a catalog, one after the other.

use std::collections::VecDeque;

use deltic_core::{Digest, Version};

use super::{Catalog, RECORDS_AHEAD};
use crate::catalog::snapshot::Snapshot;
use crate::format::object_name::ObjectName;
use crate::{Error, ErrorKind, Result};

impl Catalog {
    /// Walks all versions, newest first, expired ones included, and checks that each is the parent that the next newer one names. A
    /// record that can not be read is an error that names it; the walk goes on with the version before it.
    ///
    /// Cost: one request a version; where a record can not be read, one listing of the versions. On a remote store records are
    /// read ahead: as many as were taken so far, at most 64 at once. So a walk that stops early reads at most twice what it needs.
    pub fn log(&self) -> Log {
        Log { catalog: self.clone(), next: Next::Latest, there: None, ahead: VecDeque::new(), batch: 1 }
    }
}

/// The versions of a catalog, newest first. An error [`ErrorKind::Corrupt`] is about one record, and others may follow. Any other
/// error ends the walk.
#[derive(Debug)]
pub struct Log {
    catalog: Catalog,
    next: Next,
    /// The versions that exist, after they were listed.
    there: Option<Vec<Version>>,
    /// Versions that were read ahead, the newest first; none where a record could not be read.
    ahead: VecDeque<(Version, Option<Snapshot>)>,
    /// How many to read next.
    batch: usize,
}

#[derive(Debug)]
enum Next {
    Latest,
    /// The version, and which record the one after it names.
    Version(Version, Option<Digest>),
    /// The newest version before this number whose record is there.
    Before(Version),
    Done,
}

impl Log {
    fn record(&mut self, version: Version, named: Option<Digest>) -> Result<Snapshot> {
        let snapshot = match self.read_ahead(version)? {
            Some(snapshot) => snapshot,
            // A read of this record alone returns the error that states what is wrong.
            None => self.catalog.records(&[version])?.swap_remove(0),
        };
        if named.is_some_and(|digest| digest != snapshot.record_digest()) {
            let what = format!("it is not the parent that version {} names", version.next());
            return Err(Error::corrupt(self.catalog.url(), ObjectName::Version(version), what));
        }
        Ok(snapshot)
    }

    /// Reads a version and, on a remote store, also versions before it, for the next calls.
    fn read_ahead(&mut self, version: Version) -> Result<Option<Snapshot>> {
        if !self.catalog.client().is_remote() {
            return Ok(None);
        }
        if self.ahead.front().is_none_or(|(next, _)| *next != version) {
            let first = version.0.saturating_sub(self.batch as u64 - 1);
            let versions: Vec<Version> = (first..=version.0).rev().map(Version).collect();
            // An error is reported when the walk reaches its record: then that record is read alone.
            let found = self.catalog.look_up(&versions).unwrap_or_else(|_| vec![None; versions.len()]);
            self.ahead = versions.into_iter().zip(found).collect();
            self.batch = (self.batch * 2).min(RECORDS_AHEAD);
        }
        Ok(self.ahead.pop_front().and_then(|(_, found)| found))
    }

    /// The newest version before a number, from a listing: a missing record may have had any number.
    fn before(&mut self, number: Version) -> Result<Option<Version>> {
        let there = match &mut self.there {
            Some(there) => there,
            unknown => unknown.insert(self.catalog.client().versions()?),
        };
        Ok(there.partition_point(|version| *version < number).checked_sub(1).map(|index| there[index]))
    }
}

impl Iterator for Log {
    type Item = Result<Snapshot>;

    fn next(&mut self) -> Option<Result<Snapshot>> {
        let (version, found) = match std::mem::replace(&mut self.next, Next::Done) {
            Next::Done => return None,
            Next::Latest => match self.catalog.latest() {
                // The number of the latest version may be known all the same.
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt { .. } | ErrorKind::NotFound) => {
                    (self.catalog.tip().ok().map(|tip| tip.latest), Err(error))
                }
                found => (None, found),
            },
            Next::Version(version, named) => (Some(version), self.record(version, named)),
            Next::Before(number) => match self.before(number) {
                Ok(None) => return None,
                Ok(Some(version)) => (Some(version), self.record(version, None)),
                Err(error) => return Some(Err(error)),
            },
        };
        self.next = match (&found, version) {
            (Ok(snapshot), _) => match snapshot.version().0.checked_sub(1) {
                Some(before) => Next::Version(Version(before), snapshot.record().parent),
                None => Next::Done,
            },
            (Err(error), Some(version)) => match error.kind() {
                ErrorKind::Corrupt { object } if *object == ObjectName::Version(version).to_string() => {
                    Next::Before(version)
                }
                // Something else is wrong: the hint, or a record before this one.
                ErrorKind::Corrupt { .. } => Next::Before(version.next()),
                _ => Next::Done,
            },
            (Err(_), None) => Next::Done,
        };
        Some(found)
    }
}
