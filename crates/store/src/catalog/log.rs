//! All versions of a catalog, one after the other.

use deltic_core::{Digest, Version};

use super::Catalog;
use crate::object::ObjectName;
use crate::snapshot::Snapshot;
use crate::{Error, Result};

impl Catalog {
    /// Walks all versions, newest first, those that have expired too, checking that each is the parent that the one
    /// after it names. Cost: one request a version.
    pub fn log(&self) -> Log {
        Log { catalog: self.clone(), next: Next::Latest }
    }
}

/// The versions of a catalog, newest first.
#[derive(Debug)]
pub struct Log {
    catalog: Catalog,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Latest,
    Version(Version, Option<Digest>),
    Done,
}

impl Iterator for Log {
    type Item = Result<Snapshot>;

    fn next(&mut self) -> Option<Result<Snapshot>> {
        let found = match std::mem::replace(&mut self.next, Next::Done) {
            Next::Done => return None,
            Next::Latest => self.catalog.latest(),
            Next::Version(version, named) => self.catalog.records(&[version]).and_then(|mut found| {
                let snapshot = found.swap_remove(0);
                if named.is_some_and(|digest| digest != snapshot.record_digest()) {
                    let object = ObjectName::Version(version);
                    let what = format!("it is not the parent that version {} names", version.next());
                    return Err(Error::corrupt(self.catalog.url(), object, what));
                }
                Ok(snapshot)
            }),
        };
        if let Ok(snapshot) = &found
            && let Some(before) = snapshot.version().0.checked_sub(1)
        {
            self.next = Next::Version(Version(before), snapshot.record().parent);
        }
        Some(found)
    }
}
