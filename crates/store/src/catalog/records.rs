//! The records of a catalog, read and checked: `catalog.json`, and that of each version.

use bytes::Bytes;
use deltic_core::{Digest, Version};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::Catalog;
use super::snapshot::Snapshot;
use crate::backend::secrets::{check_url, without_secrets};
use crate::format::checked_json;
use crate::format::object_name::ObjectName;
use crate::format::record::{CATALOG_FORMAT, CatalogRecord, Unreadable, VersionRecord};
use crate::format::shape::Shape;
use crate::{Error, Result};

/// Records of versions that are asked for at once, at most.
pub(crate) const RECORDS_AHEAD: usize = 64;

impl Catalog {
    pub(super) fn catalog_record(&self) -> Result<Option<CatalogRecord>> {
        self.client().drive(self.catalog_record_async())
    }

    pub(super) async fn catalog_record_async(&self) -> Result<Option<CatalogRecord>> {
        let read = || async { self.client().get_async(&ObjectName::Catalog).await };
        let Some(bytes) = read().await? else { return Ok(None) };
        match self.read_catalog_record(&bytes) {
            Err(error) if self.client().asks_again(&error) => {
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

    /// Refuses a catalog without versions in which runs have been.
    pub(crate) fn check_unused(&self) -> Result<()> {
        let Some(pack) = self.client().packs()?.pop() else { return Ok(()) };
        // Whoever creates the catalog at this moment may have come as far as that.
        if self.client().get(&ObjectName::Version(Version(0)))?.is_some() {
            return Ok(());
        }
        let what = format!(
            "it is missing, and so are all others, although a run on version {} has left packs",
            pack.name.base
        );
        Err(Error::corrupt(self.url(), ObjectName::Version(Version(0)), what))
    }

    /// The records of versions, whether they can be read or not, in the order asked; all at once where that helps.
    pub(crate) fn records(&self, versions: &[Version]) -> Result<Vec<Snapshot>> {
        let read = |version: Version| async move {
            let bytes = self.record_bytes(version).await?.ok_or_else(|| self.missing(version))?;
            self.read_version(version, &bytes).await
        };
        self.client().drive(async {
            let reads: Vec<_> = versions.iter().map(|version| read(*version)).collect();
            stream::iter(reads).buffered(RECORDS_AHEAD).try_collect().await
        })
    }

    pub(crate) async fn record_bytes(&self, version: Version) -> Result<Option<Bytes>> {
        self.client().get_async(&ObjectName::Version(version)).await
    }

    /// Reads the record of a version from the bytes that were read of it; where they are wrong, and the store is remote, from
    /// those that a second read gives.
    pub(crate) async fn read_version(&self, version: Version, bytes: &Bytes) -> Result<Snapshot> {
        match self.read_record(version, bytes) {
            Err(error) if self.client().asks_again(&error) => match self.record_bytes(version).await? {
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

    /// What a record is that is not there although there are later ones.
    pub(crate) fn missing(&self, version: Version) -> Error {
        let what = "the object is missing, although later versions are there";
        Error::corrupt(self.url(), ObjectName::Version(version), what)
    }

    /// What a catalog is that another program wrote, of a later day.
    fn not_known(&self, what: &str) -> Error {
        Error::invalid(format!(
            "{}: the catalog has {what}, which this program does not know; use a program that does",
            self.url()
        ))
    }
}
