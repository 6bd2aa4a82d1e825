//! A catalog at a URL: opening it, and what its clones share.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::local::LocalFileSystem;

use crate::backend::client::{ObjectRoot, Requests};
use crate::backend::stores::Stores;
use crate::catalog::rules::{Protocol, Rules};
use crate::catalog::snapshot::{Content, Snapshot};
use crate::format::shape::Shape;
use crate::packs::source::{NodeCache, Origin};
use crate::{Error, Result};

/// Bytes of decoded nodes that are kept per catalog.
const CACHE_BYTES: u64 = 32 << 20;

/// Shards of that cache, so that threads seldom wait for each other.
const CACHE_SHARDS: usize = 8;

/// A catalog at a URL. Cheap to clone; clones share the cache of nodes and the request counters.
#[derive(Clone)]
pub struct Catalog {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) client: ObjectRoot,
    pub(super) cache: NodeCache,
    pub(super) shape: Shape,
    rules: Arc<dyn Rules>,
    /// The latest version seen: immutable, so it is never read twice, and where the next search begins.
    latest: Mutex<Option<Arc<Content>>>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Catalog({})", self.url())
    }
}

impl Catalog {
    /// Opens a catalog. Makes no request: the first read of a version fails where there is no catalog.
    pub fn open(stores: &Stores, url: &str) -> Result<Catalog> {
        Ok(Catalog::at(stores.open(url)?, Shape::FORMAT_1))
    }

    /// The same catalog, read only. Its drafts write to a folder, which must exist and which the caller removes. They must not be
    /// committed. The cache is empty and the counters are zero at first; requests to the folder count too.
    ///
    /// For work that needs trees over published data and must change nothing: the store gets only reads.
    pub fn under(&self, folder: &std::path::Path) -> Result<Catalog> {
        let url = self.url();
        let folder = LocalFileSystem::new_with_prefix(folder)
            .map_err(|e| Error::unavailable(format!("{url}: a folder to write to could not be opened")).because(&e))?;
        Ok(Catalog::at(self.client().under(Arc::new(folder)), self.shared.shape))
    }

    pub(super) fn at(client: ObjectRoot, shape: Shape) -> Catalog {
        Catalog::with(client, shape, Arc::new(Protocol))
    }

    fn with(client: ObjectRoot, shape: Shape, rules: Arc<dyn Rules>) -> Catalog {
        let cache = NodeCache::new(CACHE_BYTES, CACHE_SHARDS);
        Catalog { shared: Arc::new(Shared { client, cache, shape, rules, latest: Mutex::new(None) }) }
    }

    /// The same store, read and written by other rules, with a cache and counters that begin anew.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_rules(&self, rules: Arc<dyn Rules>) -> Catalog {
        Catalog::with(self.shared.client.clone(), self.shared.shape, rules)
    }

    /// The same store, with trees of another shape and a cache and counters that begin anew.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_shape(&self, shape: Shape) -> Catalog {
        Catalog::at(self.shared.client.clone(), shape)
    }

    /// The URL it was opened by.
    pub fn url(&self) -> &str {
        self.shared.client.url()
    }

    /// What this catalog and its clones have asked of the store since it was opened.
    pub fn requests(&self) -> Requests {
        self.shared.client.requests()
    }

    pub(crate) fn client(&self) -> &ObjectRoot {
        &self.shared.client
    }

    /// This catalog, in the role that code which reads packs needs.
    pub(crate) fn origin(&self) -> Arc<dyn Origin> {
        Arc::clone(&self.shared) as Arc<dyn Origin>
    }

    /// The rules of its writers and sweeps.
    pub(crate) fn rules(&self) -> &dyn Rules {
        &*self.shared.rules
    }

    /// The latest version that this catalog has seen.
    pub(crate) fn seen(&self) -> Option<Snapshot> {
        let content = self.shared.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(Snapshot::of(self.clone(), content))
    }

    pub(crate) fn remember(&self, snapshot: &Snapshot) {
        let mut latest = self.shared.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.as_ref().is_none_or(|seen| seen.record.version < snapshot.version()) {
            // Without the snapshot's way back to this catalog: the two would keep each other alive for good.
            *latest = Some(snapshot.content());
        }
    }
}
