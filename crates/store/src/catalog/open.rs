//! A catalog: opening, and the way to its versions.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use deltic_core::{CatalogUuid, Digest, Version};
use futures::future::join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;

use crate::backend::client::{ObjectRoot, Requests};
use crate::backend::secrets::{check_url, without_secrets};
use crate::backend::stores::Stores;
use crate::catalog::latest;
use crate::catalog::snapshot::{Content, Snapshot};
use crate::format::node::Wanted;
use crate::format::object_name::ObjectName;
use crate::format::record::{CATALOG_FORMAT, CatalogRecord, Unreadable, VersionRecord};
use crate::format::{checked_json, record};
use crate::mutant::Mutant;
use crate::packs::cache::NodeCache;
use crate::packs::source::Source;
use crate::tree::{Shape, Tree};
use crate::write::commit::lost;
use crate::{Error, ErrorKind, Result};

/// Bytes of decoded nodes that are kept per catalog.
const CACHE_BYTES: usize = 32 << 20;

/// Records of versions that are asked for at once, at most.
pub(crate) const RECORDS_AHEAD: usize = 64;

/// A catalog at a URL. Cheap to clone; clones share the cache of nodes and the request counters.
#[derive(Clone)]
pub struct Catalog {
    shared: Arc<Shared>,
}

struct Shared {
    root: ObjectRoot,
    cache: NodeCache,
    shape: Shape,
    /// A rule of the protocol that is left out, for tests of the tests.
    mutant: Mutant,
    /// The latest version seen: immutable, so it is never read twice, and where the next search begins.
    latest: Mutex<Option<Arc<Content>>>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Catalog({})", self.url())
    }
}

impl Catalog {
    /// Opens a catalog. Makes no request: whether there is one shows when a version is asked for.
    pub fn open(stores: &Stores, url: &str) -> Result<Catalog> {
        Ok(Catalog::at(stores.open(url)?, Shape::FORMAT_1))
    }

    /// The same catalog to be read only: what drafts of it write goes to a folder, which must be there, and is the
    /// caller's to remove. A draft of it must not be committed. Begins with an empty cache and counters at zero, in
    /// which the folder's requests count too.
    ///
    /// For work that needs trees over what is published and must change nothing; the store gets reads alone.
    pub fn under(&self, folder: &std::path::Path) -> Result<Catalog> {
        let url = self.url();
        let folder = LocalFileSystem::new_with_prefix(folder)
            .map_err(|e| Error::unavailable(format!("{url}: a folder to write to could not be opened")).because(&e))?;
        Ok(Catalog::at(self.root().under(Arc::new(folder)), self.shared.shape))
    }

    pub(super) fn at(root: ObjectRoot, shape: Shape) -> Catalog {
        let cache = NodeCache::new(CACHE_BYTES);
        Catalog { shared: Arc::new(Shared { root, cache, shape, mutant: Mutant::None, latest: Mutex::new(None) }) }
    }

    /// The same store, read and written by code that leaves out a rule.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_mutant(&self, mutant: Mutant) -> Catalog {
        let Shared { root, shape, .. } = &*self.shared;
        let (root, cache) = (root.clone(), NodeCache::new(CACHE_BYTES));
        Catalog { shared: Arc::new(Shared { root, cache, shape: *shape, mutant, latest: Mutex::new(None) }) }
    }

    pub(crate) fn is_mutant(&self, mutant: Mutant) -> bool {
        self.shared.mutant == mutant
    }

    /// The same store, with trees of another shape and a cache and counters that begin anew.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_shape(&self, shape: Shape) -> Catalog {
        Catalog::at(self.shared.root.clone(), shape)
    }

    pub(super) fn catalog_record(&self) -> Result<Option<CatalogRecord>> {
        self.root().drive(self.catalog_record_async())
    }

    /// Says so if the record of a version is that of another catalog, or of another line of this one's history: then its
    /// objects are missed here, or are others.
    pub(crate) async fn is_foreign(&self, version: Version, uuid: CatalogUuid) -> Option<Error> {
        let corrupt = |what: String| Some(Error::corrupt(self.url(), ObjectName::Version(version), what));
        if let Ok(Some(record)) = self.catalog_record_async().await
            && record.catalog != uuid
        {
            return corrupt(format!("it is of catalog {uuid}, and this is {}", record.catalog));
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

    async fn catalog_record_async(&self) -> Result<Option<CatalogRecord>> {
        let read = || async { self.root().get_async(&ObjectName::Catalog).await };
        let Some(bytes) = read().await? else { return Ok(None) };
        match self.read_catalog_record(&bytes) {
            Err(error) if self.root().asks_again(&error) => {
                read().await?.map_or(Err(error), |bytes| self.read_catalog_record(&bytes)).map(Some)
            }
            record => record.map(Some),
        }
    }

    fn read_catalog_record(&self, bytes: &[u8]) -> Result<CatalogRecord> {
        let record: CatalogRecord =
            checked_json::from_json(bytes).map_err(|what| Error::corrupt(self.url(), ObjectName::Catalog, what))?;
        if record.format != CATALOG_FORMAT {
            return Err(self.not_known(&format!("format {}", record.format)));
        }
        if record.tree != Shape::FORMAT_1 {
            let what = "its tree constants are not those of its format";
            return Err(Error::corrupt(self.url(), ObjectName::Catalog, what));
        }
        Ok(record)
    }

    /// Checks `catalog.json`, against a version if there is one.
    pub(crate) fn check_catalog_record(&self, version: Option<&Snapshot>) -> Result<()> {
        let corrupt = |what: String| Error::corrupt(self.url(), ObjectName::Catalog, what);
        let found = self.catalog_record()?.ok_or_else(|| corrupt("the object is missing".to_owned()))?.catalog;
        match version.map(Snapshot::uuid).filter(|uuid| *uuid != found) {
            Some(uuid) => Err(corrupt(format!("it is of catalog {found}, and the versions are of {uuid}"))),
            None => Ok(()),
        }
    }

    /// What a catalog is that another program wrote, of a later day.
    fn not_known(&self, what: &str) -> Error {
        Error::invalid(format!(
            "{}: the catalog has {what}, which this program does not know; use a program that does",
            self.url()
        ))
    }

    /// The URL it was opened by.
    pub fn url(&self) -> &str {
        self.shared.root.url()
    }

    /// The latest version.
    ///
    /// Cost: three requests when the hint is right, one when this catalog has seen the latest version before. A hint
    /// that is behind costs a request for each version that it is behind by, up to 64 at once, and so does one that is not
    /// there: all versions. One that is ahead is
    /// [`ErrorKind::Corrupt`] where that means that a version was lost.
    pub fn latest(&self) -> Result<Snapshot> {
        self.found(None, self.root().drive(latest::find(self)))
    }

    /// The snapshot of a version. One that is not retained any more is [`ErrorKind::Expired`].
    ///
    /// Cost: one request when this catalog has seen a later version, else those of finding the latest beside it. A
    /// version that expires after that was seen can be opened, and reading it is an error once it has been swept.
    pub fn snapshot(&self, version: Version) -> Result<Snapshot> {
        self.found(Some(version), self.root().drive(self.find(version)))
    }

    /// The snapshots of several catalogs at once, each at a version or, without one, at its latest; in the order asked.
    /// Beside it reads the root nodes of committed trees, `roots`, into the caches of their catalogs, as far as they lie
    /// on remote stores; what can not be read is left for whoever looks at it to find out.
    ///
    /// Cost: the requests of each by itself, in as many round trips as the longest of them takes.
    pub fn snapshots(wanted: &[(&Catalog, Option<Version>)], roots: &[Tree]) -> Vec<Result<Snapshot>> {
        let searches = wanted.iter().map(|(catalog, version)| async move {
            match version {
                Some(version) => catalog.find(*version).await,
                None => latest::find(catalog).await,
            }
        });
        let mut nodes: Vec<(&Source, Vec<Wanted>)> = Vec::new();
        for (tree, root) in roots.iter().filter_map(|tree| Some((tree, tree.root.node()?))) {
            let same = |source: &Source| Arc::ptr_eq(&source.catalog.shared, &tree.source.catalog.shared);
            match nodes.iter_mut().find(|(source, _)| same(source)) {
                Some((_, nodes)) => nodes.push(root),
                None if tree.is_remote() => nodes.push((&tree.source, vec![root])),
                None => {}
            }
        }
        let mut all = wanted.iter().map(|(catalog, _)| *catalog).chain(nodes.iter().map(|(source, _)| &source.catalog));
        let first = wanted.first().map(|(catalog, _)| *catalog);
        let Some(driver) = all.find(|catalog| catalog.root().is_remote()).or(first) else {
            return Vec::new();
        };
        let nodes = nodes.iter().map(|(source, nodes)| source.nodes_async(nodes));
        let (found, _) = driver.root().drive(async { futures::join!(join_all(searches), join_all(nodes)) });
        wanted.iter().zip(found).map(|((catalog, version), found)| catalog.found(*version, found)).collect()
    }

    async fn find(&self, version: Version) -> Result<Option<Snapshot>> {
        let (latest, bytes) = match self.seen() {
            Some(seen) if seen.version() == version => return Ok(Some(seen)),
            Some(seen) if seen.version() > version => {
                if !seen.record().retains(version) {
                    return Err(self.expired(version, &seen));
                }
                let bytes = self.record_bytes(version).await?;
                return self.read_version(version, &bytes.ok_or_else(|| self.missing(version))?).await.map(Some);
            }
            Some(_) => match self.record_bytes(version).await? {
                Some(bytes) => (Some(latest::find(self).await), Some(bytes)),
                None => return Ok(None),
            },
            None => {
                let (latest, bytes) = futures::join!(latest::find(self), self.record_bytes(version));
                (Some(latest), bytes?)
            }
        };
        // That the latest version can not be read is no reason not to read this one.
        if let Some(Ok(Some(latest))) = &latest {
            self.remember(latest);
            if latest.version() >= version && !latest.record().retains(version) {
                return Err(self.expired(version, latest));
            }
        }
        match (bytes, latest) {
            (Some(bytes), _) => self.read_version(version, &bytes).await.map(Some),
            (None, Some(Ok(Some(latest)))) if latest.version() >= version => Err(self.missing(version)),
            (None, Some(Err(error))) => Err(error),
            (None, _) => Ok(None),
        }
    }

    /// What a record is that is not there although there are later ones.
    pub(crate) fn missing(&self, version: Version) -> Error {
        let what = "the object is missing, although later versions are there";
        Error::corrupt(self.url(), ObjectName::Version(version), what)
    }

    fn expired(&self, version: Version, latest: &Snapshot) -> Error {
        let url = self.url();
        let retained = record::show(&latest.record().retained);
        let message = format!(
            "{url}: version {version} has expired; as of version {} these can be read: {retained}",
            latest.version()
        );
        Error::new(ErrorKind::Expired, message)
    }

    /// Says so if a version that is being read has expired meanwhile.
    pub(crate) async fn expired_since(&self, version: Version) -> Option<Error> {
        let latest = latest::find(self).await.ok()??;
        self.remember(&latest);
        let expired = latest.version() >= version && !latest.record().retains(version);
        expired.then(|| self.expired(version, &latest))
    }

    /// Says so if a run on `base` has lost its race, so that what it reads may be gone.
    pub(crate) async fn overtaken(&self, base: Version) -> Option<Error> {
        let bytes = self.record_bytes(base.next()).await.ok()??;
        let winner = self.read_version(base.next(), &bytes).await.ok()?;
        Some(lost(self, base.next(), winner.record().run))
    }

    /// The records of versions, whether they can be read or not, in the order asked; all at once where that helps.
    pub(crate) fn records(&self, versions: &[Version]) -> Result<Vec<Snapshot>> {
        let read = |version: Version| async move {
            let bytes = self.record_bytes(version).await?.ok_or_else(|| self.missing(version))?;
            self.read_version(version, &bytes).await
        };
        self.root().drive(async {
            let reads: Vec<_> = versions.iter().map(|version| read(*version)).collect();
            stream::iter(reads).buffered(RECORDS_AHEAD).try_collect().await
        })
    }

    /// What came out of looking for a version, or the latest: remembers it, or says what is missing.
    fn found(&self, version: Option<Version>, found: Result<Option<Snapshot>>) -> Result<Snapshot> {
        let url = self.url();
        match (found?, version) {
            (Some(snapshot), None) => {
                self.remember(&snapshot);
                Ok(snapshot)
            }
            (Some(snapshot), Some(_)) => Ok(snapshot),
            (None, None) => Err(self.nothing_here()),
            (None, Some(version)) => Err(Error::not_found(format!(
                "{url}: there is no version {version}; `deltic log {url}` lists those there are"
            ))),
        }
    }

    /// What this catalog and its clones have asked of the store since it was opened.
    pub fn requests(&self) -> Requests {
        self.shared.root.requests()
    }

    pub(crate) fn root(&self) -> &ObjectRoot {
        &self.shared.root
    }

    pub(crate) fn cache(&self) -> &NodeCache {
        &self.shared.cache
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shared.shape
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

    /// Says why there is no version at all: no catalog, or one whose creation was interrupted.
    fn nothing_here(&self) -> Error {
        let url = self.url();
        match self.catalog_record() {
            Ok(None) => {
                Error::not_found(format!("{url}: there is no catalog; create it with `deltic init {url} --layer …`"))
            }
            Ok(Some(_)) => match self.check_unused() {
                Ok(()) => Error::not_found(format!(
                    "{url}: the catalog's creation was interrupted; complete it with `deltic init {url} --layer …`"
                )),
                Err(error) => error,
            },
            Err(error) => error,
        }
    }

    /// Refuses a catalog without versions in which runs have been.
    pub(crate) fn check_unused(&self) -> Result<()> {
        let Some(pack) = self.root().packs()?.pop() else { return Ok(()) };
        // Whoever creates the catalog at this moment may have come as far as that.
        if self.root().get(&ObjectName::Version(Version(0)))?.is_some() {
            return Ok(());
        }
        let what = format!(
            "it is missing, and so are all others, although a run on version {} has left packs",
            pack.name.base
        );
        Err(Error::corrupt(self.url(), ObjectName::Version(Version(0)), what))
    }

    pub(crate) async fn record_bytes(&self, version: Version) -> Result<Option<Bytes>> {
        self.root().get_async(&ObjectName::Version(version)).await
    }

    /// Reads the record of a version from the bytes that were read of it; where they are wrong, and the store is remote, from
    /// those that a second read gives.
    pub(crate) async fn read_version(&self, version: Version, bytes: &Bytes) -> Result<Snapshot> {
        match self.read_record(version, bytes) {
            Err(error) if self.root().asks_again(&error) => match self.record_bytes(version).await? {
                Some(bytes) => self.read_record(version, &bytes),
                None => Err(error),
            },
            read => read,
        }
    }

    fn read_record(&self, version: Version, bytes: &Bytes) -> Result<Snapshot> {
        let object = ObjectName::Version(version);
        let corrupt = |what: String| Error::corrupt(self.url(), object, what);
        let mut record = VersionRecord::from_bytes(bytes).map_err(|unreadable| match unreadable {
            Unreadable::Damaged(what) => corrupt(what),
            Unreadable::Format(format) => self.not_known(&format!("records of format {format}")),
            Unreadable::Beyond(what) => self.not_known(what),
        })?;
        // Whoever wrote it may have put more into a URL than a place. What is read here is printed, and copied.
        for dependency in &mut record.dependencies {
            if check_url(&dependency.url).is_err() {
                dependency.url = without_secrets(&dependency.url).into_owned();
            }
        }
        if let Some(problem) = record.problem(version) {
            return Err(corrupt(problem));
        }
        if let Some(seen) = self.seen().filter(|seen| seen.uuid() != record.catalog) {
            let (ours, seen) = (seen.uuid(), seen.version());
            return Err(corrupt(format!("it is of catalog {}, and version {seen} is of {ours}", record.catalog)));
        }
        Ok(Snapshot::new(self.clone(), record, Digest::of(bytes)))
    }
}
