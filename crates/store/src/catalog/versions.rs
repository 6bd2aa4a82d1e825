//! The way to the versions of a catalog: the latest, one by its number, several of several catalogs at once.

use deltic_core::Version;
use futures::future::join_all;

use super::snapshot::Snapshot;
use super::{Catalog, latest};
use crate::format::node::Wanted;
use crate::format::record::show;
use crate::packs::source::Source;
use crate::tree::Tree;
use crate::{Error, ErrorKind, Result};

impl Catalog {
    /// The latest version.
    ///
    /// Cost: three requests when the hint is right, one when this catalog has seen the latest version before. A hint
    /// that is behind costs a request for each version that it is behind by, up to 64 at once, and so does one that is not
    /// there: all versions. One that is ahead is
    /// [`ErrorKind::Corrupt`] where that means that a version was lost.
    pub fn latest(&self) -> Result<Snapshot> {
        self.found(None, self.client().drive(latest::find(self)))
    }

    /// The snapshot of a version. One that is not retained any more is [`ErrorKind::Expired`].
    ///
    /// Cost: one request when this catalog has seen a later version, else those of finding the latest beside it. A
    /// version that expires after that was seen can be opened, and reading it is an error once it has been swept.
    pub fn snapshot(&self, version: Version) -> Result<Snapshot> {
        self.found(Some(version), self.client().drive(self.find(version)))
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
            match nodes.iter_mut().find(|(source, _)| source.shares_cache_with(&tree.source)) {
                Some((_, nodes)) => nodes.push(root),
                None if tree.is_remote() => nodes.push((&tree.source, vec![root])),
                None => {}
            }
        }
        let clients = || wanted.iter().map(|(catalog, _)| catalog.client());
        let mut all = clients().chain(nodes.iter().map(|(source, _)| source.client()));
        let Some(driver) = all.find(|client| client.is_remote()).or(clients().next()) else {
            return Vec::new();
        };
        let nodes = nodes.iter().map(|(source, nodes)| source.nodes_async(nodes));
        let (found, _) = driver.drive(async { futures::join!(join_all(searches), join_all(nodes)) });
        wanted.iter().zip(found).map(|((catalog, version), found)| catalog.found(*version, found)).collect()
    }

    pub(super) async fn find(&self, version: Version) -> Result<Option<Snapshot>> {
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

    pub(super) fn expired(&self, version: Version, latest: &Snapshot) -> Error {
        let url = self.url();
        let retained = show(&latest.record().retained);
        let message = format!(
            "{url}: version {version} has expired; as of version {} these can be read: {retained}",
            latest.version()
        );
        Error::new(ErrorKind::Expired, message)
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
}
