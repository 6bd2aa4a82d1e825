//! Listing packs and removing them: what only maintenance does.

use std::sync::atomic::Ordering;

use futures::{StreamExt, stream};
use object_store::ObjectStoreExt;
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
        self.drive(async {
            let mut attempt = 0;
            loop {
                match self.packs_once().await {
                    Ok(packs) => return Ok(packs),
                    Err(_) if attempt + 1 < TRIES => {
                        self.pause(attempt).await;
                        attempt += 1;
                    }
                    Err(error) => {
                        let message = format!("{}: the packs could not be listed", self.url);
                        return Err(Error::unavailable(message).because(&error));
                    }
                }
            }
        })
    }

    async fn packs_once(&self) -> std::result::Result<Vec<PackRecord>, object_store::Error> {
        self.counters.lists.fetch_add(1, Ordering::Relaxed);
        let prefix = Path::from("packs");
        let mut listing = self.store.list(Some(&prefix));
        let mut packs = Vec::new();
        while let Some(found) = listing.next().await {
            let found = found?;
            let name = found.location.as_ref().strip_prefix("packs/").and_then(|name| name.parse::<PackName>().ok());
            packs.extend(name.map(|name| PackRecord { name, bytes: found.size }));
        }
        packs.sort_by_key(|pack| pack.name);
        Ok(packs)
    }

    /// Removes an object, unless it is gone already.
    pub(crate) fn remove_if_there(&self, name: &ObjectName) -> Result<()> {
        let path = name.path();
        match self.drive(self.store.delete(&path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, "removed", &error)),
        }
    }

    /// Removes packs; what is gone already is no failure. Stops at the first that can not be removed.
    pub(crate) fn remove_packs(&self, packs: &[PackName]) -> Result<()> {
        packs.chunks(REMOVED_AT_ONCE).try_for_each(|packs| self.drive(self.remove_once_or_again(packs)))
    }

    async fn remove_once_or_again(&self, packs: &[PackName]) -> Result<()> {
        let mut attempt = 0;
        loop {
            let paths: Vec<_> = packs.iter().map(|name| Ok(ObjectName::Pack(*name).path())).collect();
            let mut answers = self.store.delete_stream(stream::iter(paths).boxed());
            let mut failed = None;
            while let Some(answer) = answers.next().await {
                match answer {
                    Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => failed = Some(error),
                }
            }
            let Some(error) = failed else { return Ok(()) };
            attempt += 1;
            if attempt == TRIES {
                let message = format!("{}: packs could not be removed; run it again to go on", self.url);
                return Err(Error::unavailable(message).because(&error));
            }
            self.pause(attempt - 1).await;
        }
    }
}
