//! Explains a failed read by the catalog's history: the object was removed rightly, or it belongs to another line of history.

use std::sync::Arc;

use deltic_core::{CatalogUuid, Digest, RunId, Version};
use futures::future::BoxFuture;

use super::open::Shared;
use super::{Catalog, latest};
use crate::backend::client::ObjectRoot;
use crate::format::object_name::ObjectName;
use crate::format::shape::Shape;
use crate::packs::source::{NodeCache, Origin, Source};
use crate::{Error, ErrorKind};

impl Origin for Shared {
    fn client(&self) -> &ObjectRoot {
        &self.client
    }

    fn cache(&self) -> &NodeCache {
        &self.cache
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    /// When the version has expired meanwhile, its objects may rightly be gone. When a draft has lost its race, so may the objects of
    /// every version that its base retained.
    fn explain<'a>(self: Arc<Self>, source: &'a Source) -> BoxFuture<'a, Option<Error>> {
        let catalog = Catalog { shared: self };
        Box::pin(async move {
            match &source.writer {
                Some(writer) => catalog.overtaken(writer.base).await,
                None => match catalog.expired_since(source.version).await {
                    None => catalog.is_foreign(source.version, source.uuid).await,
                    expired => expired,
                },
            }
        })
    }
}

impl Catalog {
    /// The error where a version that is being read has expired meanwhile.
    async fn expired_since(&self, version: Version) -> Option<Error> {
        let latest = latest::find(self).await.ok()??;
        self.remember(&latest);
        let expired = latest.version() >= version && !latest.record().retains(version);
        expired.then(|| self.expired(version, &latest))
    }

    /// The error where a run on `base` has lost its race, so that what it reads may be gone.
    async fn overtaken(&self, base: Version) -> Option<Error> {
        let bytes = self.record_bytes(base.next()).await.ok()??;
        let winner = self.read_version(base.next(), &bytes).await.ok()?;
        Some(self.conflict(base.next(), winner.record().run))
    }

    /// The error for a run that was not the first to make a version.
    pub(super) fn conflict(&self, version: Version, winner: RunId) -> Error {
        let url = self.url();
        let message =
            format!("{url}: run {winner} has made version {version} first; begin again from the latest version");
        Error::new(ErrorKind::Conflict { version, winner }, message)
    }

    /// The error where the record of a version belongs to another catalog, or to another line of this one's history. Then its
    /// objects are missing here, or are others.
    async fn is_foreign(&self, version: Version, uuid: CatalogUuid) -> Option<Error> {
        let corrupt = |what: String| Some(Error::corrupt(self.url(), ObjectName::Version(version), what));
        if let Ok(Some(record)) = self.catalog_record_async().await
            && record.catalog != uuid
        {
            return corrupt(format!("it belongs to catalog {uuid}, and this is catalog {}", record.catalog));
        }
        let read = |version: Version| async move {
            let bytes = self.record_bytes(version).await.ok()??;
            Some((Digest::of(&bytes), self.read_version(version, &bytes).await.ok()))
        };
        let (digest, record) = read(version).await?;
        let (_, after) = read(version.next()).await?;
        let after = after?;
        let fits = after.record().parent == Some(record.map_or(digest, |record| record.record_digest()));
        if fits { None } else { corrupt(format!("it is not the parent that version {} names", after.version())) }
    }
}
