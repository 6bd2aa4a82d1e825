//! The tip of a catalog's history, also where the latest record can not be read: the number of the latest version, and the newest
//! version that can be read.

use deltic_core::Version;

use super::{Catalog, RECORDS_AHEAD};
use crate::catalog::snapshot::Snapshot;
use crate::format::object_name::ObjectName;
use crate::{ErrorKind, Result};

/// The latest version, and the newest that can be read.
pub(crate) struct Tip {
    /// The number of the latest version.
    pub(crate) latest: Version,
    /// The newest version whose record can be read: the latest, unless that is damaged.
    pub(crate) newest: Option<Snapshot>,
}

impl Tip {
    /// The record of the latest version, if it can be read.
    pub(crate) fn whole(&self) -> Option<&Snapshot> {
        self.newest.as_ref().filter(|newest| newest.version() == self.latest)
    }

    /// Whether a version is known to have expired.
    pub(crate) fn has_expired(&self, version: Version) -> bool {
        self.whole().is_some_and(|latest| version < self.latest && !latest.record().retains(version))
    }
}

impl Catalog {
    /// Finds the latest version, and the newest that can be read where the record of the latest is damaged or lost.
    ///
    /// Fails when there is no version at all. Cost: that of [`Catalog::latest`]; where that fails, a listing of the versions and a
    /// request for each record that can not be read.
    pub(crate) fn tip(&self) -> Result<Tip> {
        let error = match self.latest() {
            Ok(latest) => return Ok(Tip { latest: latest.version(), newest: Some(latest) }),
            Err(error) => error,
        };
        let damaged = match error.kind() {
            ErrorKind::Corrupt { object } => ObjectName::parse(object),
            ErrorKind::NotFound => Some(ObjectName::Latest),
            _ => None,
        };
        let there = match damaged {
            Some(ObjectName::Version(_) | ObjectName::Latest) => self.client().versions()?,
            _ => return Err(error),
        };
        let first = match damaged {
            // Its record is there, or something in its place; or the first of all is missing.
            Some(ObjectName::Version(version)) if version.0 > 0 || there.first() == Some(&version) => Some(version),
            _ => there.first().copied(),
        };
        let Some(mut latest) = first else { return Err(error) };
        while latest.0 < u64::MAX && there.binary_search(&latest.next()).is_ok() {
            latest = latest.next();
        }
        let known: Vec<Version> = there.into_iter().filter(|version| *version <= latest).collect();
        for batch in known.rchunks(RECORDS_AHEAD) {
            if let Some(newest) = self.look_up(batch)?.into_iter().flatten().next_back() {
                return Ok(Tip { latest, newest: Some(newest) });
            }
        }
        Ok(Tip { latest, newest: None })
    }
}
