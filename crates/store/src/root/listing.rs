//! Listing packs and progress, and removing them: what maintenance does, and a run that follows one which was interrupted.

use std::sync::atomic::Ordering;

use deltic_core::Version;
use futures::{StreamExt, stream};
use object_store::path::Path;

use super::{ObjectRoot, TRIES};
use crate::object::{ObjectName, PackName};
use crate::record::PackRecord;
use crate::{Error, Result};

/// Objects that one call asks the store to remove: as many as S3 takes in one request.
const REMOVED_AT_ONCE: usize = 1000;

impl ObjectRoot {
    /// All packs, by name. What has another name is passed over.
    ///
    /// Cost: one request for about a thousand packs.
    pub(crate) fn packs(&self) -> Result<Vec<PackRecord>> {
        self.listed("packs", None)
    }

    /// The packs that runs on a version wrote, or on a later one.
    pub(crate) fn packs_since(&self, base: Version) -> Result<Vec<PackRecord>> {
        self.listed("packs", Some(base))
    }

    /// All objects of progress, by name, at the cost of [`ObjectRoot::packs`].
    pub(crate) fn progress(&self) -> Result<Vec<PackRecord>> {
        self.listed("progress", None)
    }

    fn listed(&self, folder: &'static str, since: Option<Version>) -> Result<Vec<PackRecord>> {
        self.drive(async {
            let mut attempt = 0;
            loop {
                match self.listed_once(folder, since).await {
                    Ok(packs) => return Ok(packs),
                    Err(_) if attempt + 1 < TRIES => {
                        self.pause(attempt).await;
                        attempt += 1;
                    }
                    Err(error) => {
                        let message = format!("{}: the {folder} could not be listed", self.url);
                        let failed = || Error::unavailable(message).because(&error);
                        return Err(self.no_bucket(&error).unwrap_or_else(failed));
                    }
                }
            }
        })
    }

    async fn listed_once(
        &self,
        folder: &str,
        since: Option<Version>,
    ) -> std::result::Result<Vec<PackRecord>, object_store::Error> {
        self.counters.lists.fetch_add(1, Ordering::Relaxed);
        let prefix = Path::from(folder);
        let mut listing = match since {
            // Names that begin with this version come after it.
            Some(base) => self.store.list_with_offset(Some(&prefix), &prefix.clone().join(format!("{:016x}", base.0))),
            None => self.store.list(Some(&prefix)),
        };
        let mut packs = Vec::new();
        while let Some(found) = self.watched(&folder, "to be listed", listing.next()).await {
            let found = found?;
            let name = found.location.filename().and_then(|name| name.parse::<PackName>().ok());
            let name = name.filter(|_| found.location.parts().count() == 2);
            packs.extend(name.map(|name| PackRecord { name, bytes: found.size }));
        }
        packs.sort_by_key(|pack| pack.name);
        Ok(packs)
    }

    /// Removes an object, unless it is gone already.
    pub(crate) fn remove_if_there(&self, name: &ObjectName) -> Result<()> {
        match self.drive(self.delete_async(name)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, "removed", &error)),
        }
    }

    /// Removes packs; what is gone already is no failure. Stops at the first that can not be removed.
    pub(crate) fn remove_packs(&self, packs: &[PackName]) -> Result<()> {
        self.remove_all(packs, ObjectName::Pack)
    }

    /// Removes objects of progress in the same way.
    pub(crate) fn remove_progress(&self, names: &[PackName]) -> Result<()> {
        self.remove_all(names, ObjectName::Progress)
    }

    fn remove_all(&self, names: &[PackName], object: fn(PackName) -> ObjectName) -> Result<()> {
        names.chunks(REMOVED_AT_ONCE).try_for_each(|names| self.drive(self.remove_once_or_again(names, object)))
    }

    async fn remove_once_or_again(&self, names: &[PackName], object: fn(PackName) -> ObjectName) -> Result<()> {
        let mut attempt = 0;
        loop {
            let paths: Vec<_> = names.iter().map(|name| Ok(object(*name).path())).collect();
            let mut answers = self.store.delete_stream(stream::iter(paths).boxed());
            let mut failed = None;
            while let Some(answer) = self.watched(&"objects", "to be removed", answers.next()).await {
                match answer {
                    Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => failed = Some(error),
                }
            }
            let Some(error) = failed else { return Ok(()) };
            attempt += 1;
            if attempt == TRIES {
                let message = format!("{}: objects could not be removed; run it again to go on", self.url);
                return Err(Error::unavailable(message).because(&error));
            }
            self.pause(attempt - 1).await;
        }
    }
}
