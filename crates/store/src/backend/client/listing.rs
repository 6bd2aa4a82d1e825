//! Listing and removing packs and checkpoints. Used by maintenance, and by a run that resumes an interrupted one.

use std::sync::atomic::Ordering;

use deltic_core::Version;
use futures::{StreamExt, stream};
use object_store::path::Path;

use super::{ObjectRoot, TRIES};
use crate::backend::cause;
use crate::format::object_name::{ListedPack, ObjectName, PackName};
use crate::{Error, Result};

/// The most objects of a listing, which is held in memory. A longer listing fails.
const MAX_LISTED: usize = 1 << 24;

/// How many objects one call removes: as many as S3 accepts in one request.
const REMOVED_AT_ONCE: usize = 1000;

impl ObjectRoot {
    /// All packs, by name. Objects with other names are skipped.
    ///
    /// Cost: one request for about a thousand packs.
    pub(crate) fn packs(&self) -> Result<Vec<ListedPack>> {
        self.packs_listed("packs", None)
    }

    /// The packs of runs on a version, or on a later one.
    pub(crate) fn packs_since(&self, base: Version) -> Result<Vec<ListedPack>> {
        self.packs_listed("packs", Some(base))
    }

    /// All checkpoint objects, by name, at the cost of [`ObjectRoot::packs`].
    pub(crate) fn progress(&self) -> Result<Vec<ListedPack>> {
        self.packs_listed("progress", None)
    }

    fn packs_listed(&self, folder: &'static str, since: Option<Version>) -> Result<Vec<ListedPack>> {
        let pack = |object, bytes| match object {
            ObjectName::Pack(name) | ObjectName::Progress(name) => Some(ListedPack { name, bytes }),
            _ => None,
        };
        let mut packs = self.listed(folder, since, MAX_LISTED, &pack)?;
        packs.sort_by_key(|pack| pack.name);
        // A repeated listing has some packs twice.
        packs.dedup_by_key(|pack| pack.name);
        Ok(packs)
    }

    /// The numbers of the versions that have a record, ascending, at the cost of [`ObjectRoot::packs`].
    pub(crate) fn versions(&self) -> Result<Vec<Version>> {
        let version = |object, _| match object {
            ObjectName::Version(version) => Some(version),
            _ => None,
        };
        let mut versions = self.listed("versions", None, MAX_LISTED, &version)?;
        versions.sort_unstable();
        versions.dedup();
        Ok(versions)
    }

    fn listed<T>(
        &self,
        folder: &'static str,
        since: Option<Version>,
        most: usize,
        take: &dyn Fn(ObjectName, u64) -> Option<T>,
    ) -> Result<Vec<T>> {
        self.drive(self.retry(|_| async move {
            let listed = self.listed_once(folder, since, most, take).await;
            listed.map_err(|error| {
                let message = format!("{}: the {folder} could not be listed", self.url);
                let failed = || Error::unavailable(message).because(&cause::of(&error));
                (self.no_bucket(&error).unwrap_or_else(failed), TRIES)
            })
        }))
    }

    async fn listed_once<T>(
        &self,
        folder: &str,
        since: Option<Version>,
        most: usize,
        take: &dyn Fn(ObjectName, u64) -> Option<T>,
    ) -> std::result::Result<Vec<T>, object_store::Error> {
        self.counters.lists.fetch_add(1, Ordering::Relaxed);
        let prefix = Path::from(folder);
        let mut listing = match since {
            // The names of packs on this base come after this prefix.
            Some(base) => self.store.list_with_offset(Some(&prefix), &prefix.clone().join(format!("{:016x}", base.0))),
            None => self.store.list(Some(&prefix)),
        };
        let (mut objects, mut seen) = (Vec::new(), 0);
        while let Some(found) = self.watched(&folder, "to be listed", listing.next()).await {
            let found = found?;
            seen += 1;
            if seen > most {
                let source = format!("there are more than {most} objects").into();
                return Err(object_store::Error::Generic { store: "deltic", source });
            }
            objects.extend(ObjectName::parse(found.location.as_ref()).and_then(|name| take(name, found.size)));
        }
        Ok(objects)
    }

    /// Removes an object, unless it is gone already.
    pub(crate) fn remove_if_there(&self, name: &ObjectName) -> Result<()> {
        match self.drive(self.delete_async(name)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(name, "removed", &error)),
        }
    }

    /// Removes packs; packs that are gone already are no failure. Stops at the first batch with a pack that can not be removed.
    pub(crate) fn remove_packs(&self, packs: &[PackName]) -> Result<()> {
        self.remove_all(packs, ObjectName::Pack)
    }

    /// Removes checkpoint objects in the same way.
    pub(crate) fn remove_progress(&self, names: &[PackName]) -> Result<()> {
        self.remove_all(names, ObjectName::Progress)
    }

    fn remove_all(&self, names: &[PackName], object: fn(PackName) -> ObjectName) -> Result<()> {
        names.chunks(REMOVED_AT_ONCE).try_for_each(|names| self.drive(self.remove_batch(names, object)))
    }

    async fn remove_batch(&self, names: &[PackName], object: fn(PackName) -> ObjectName) -> Result<()> {
        self.retry(|_| async move {
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
            let message =
                format!("{}: objects could not be removed; run the command again to remove the rest", self.url);
            Err((Error::unavailable(message).because(&cause::of(&error)), TRIES))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use deltic_core::RunId;
    use object_store::memory::InMemory;

    use super::super::Executor;
    use super::*;
    use crate::backend::blocking::SharedRuntime;

    #[test]
    fn a_listing_that_is_too_long_is_given_up() {
        let root = ObjectRoot::new(Arc::new(InMemory::new()), "memory:", Executor::Inline(SharedRuntime::default()));
        for seq in 0..5 {
            let name = PackName { base: Version(0), run: RunId(1), seq };
            root.overwrite(&ObjectName::Pack(name), &[Bytes::from_static(b"x")]).unwrap();
        }
        let listed = |most| root.listed("packs", None, most, &|name, _| Some(name));
        assert_eq!(listed(5).unwrap().len(), 5);
        let error = listed(4).unwrap_err();
        assert!(matches!(error.kind(), crate::ErrorKind::Unavailable), "{error}");
    }
}
