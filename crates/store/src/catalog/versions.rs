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
    /// Cost: three requests when the hint is right, one when this catalog has seen the latest version before. A hint that is behind
    /// costs one more request for each version that it is behind by, up to 64 at once. A missing hint costs a request for every
    /// version. A hint that is ahead is [`ErrorKind::Corrupt`] where that means that a version was lost.
    pub fn latest(&self) -> Result<Snapshot> {
        self.found(None, self.client().drive(latest::find(self)))
    }

    /// The snapshot of a version. Fails with [`ErrorKind::Expired`] when the version is not retained any more.
    ///
    /// Cost: one request when this catalog has seen a later version, else also those of finding the latest. A version that expires
    /// after that can still be opened; reading it fails after the sweep.
    pub fn snapshot(&self, version: Version) -> Result<Snapshot> {
        self.found(Some(version), self.client().drive(self.find(version)))
    }

    /// The snapshots of several catalogs at once, each at a version or, without one, at its latest; in the given order. At the same
    /// time reads the root nodes of `roots`, which are committed trees, into the caches of their catalogs where these lie on remote
    /// stores. An error of such a read is ignored here; the next read of that node reports it.
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
        // This version may be readable although the latest one is not.
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

    /// Turns the result of a search for a version, or for the latest, into a snapshot or an error. Remembers the latest.
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
                "{url}: there is no version {version}; `deltic log {url}` lists the existing versions"
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

    /// The error where there is no version at all: there is no catalog, or its creation was interrupted.
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
