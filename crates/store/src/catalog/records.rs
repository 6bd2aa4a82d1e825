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
            Err(error) if self.client().should_reread(&error) => {
                read().await?.map_or(Err(error), |bytes| self.read_catalog_record(&bytes)).map(Some)
            }
            record => record.map(Some),
        }
    }

    fn read_catalog_record(&self, bytes: &[u8]) -> Result<CatalogRecord> {
        let record: CatalogRecord =
            checked_json::from_json(bytes).map_err(|what| Error::corrupt(self.url(), ObjectName::Catalog, what))?;
        if record.format != CATALOG_FORMAT {
            return Err(self.unsupported(&format!("format {}", record.format)));
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
            Some(uuid) => {
                Err(corrupt(format!("it belongs to catalog {found}, and the versions belong to catalog {uuid}")))
            }
            None => Ok(()),
        }
    }

    /// Refuses a catalog that has no version records although runs have written to it.
    pub(crate) fn check_unused(&self) -> Result<()> {
        let Some(pack) = self.client().packs()?.pop() else { return Ok(()) };
        // Somebody may have created the catalog at this moment.
        if self.client().get(&ObjectName::Version(Version(0)))?.is_some() {
            return Ok(());
        }
        let what = format!(
            "the object and all other version records are missing, although a run on version {} has left packs",
            pack.name.base
        );
        Err(Error::corrupt(self.url(), ObjectName::Version(Version(0)), what))
    }

    /// The records of versions, expired ones included, in the given order; on a remote store all at once.
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

    /// Decodes the record of a version. Where the bytes are wrong, and the store is remote, reads them once more.
    pub(crate) async fn read_version(&self, version: Version, bytes: &Bytes) -> Result<Snapshot> {
        match self.read_record(version, bytes) {
            Err(error) if self.client().should_reread(&error) => match self.record_bytes(version).await? {
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
            Unreadable::Format(format) => self.unsupported(&format!("records of format {format}")),
            Unreadable::Unsupported(what) => self.unsupported(what),
        })?;
        // Another program may have recorded a URL with a password in it. Records are printed and copied, so it is removed here.
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
            return Err(corrupt(format!(
                "it belongs to catalog {}, and version {seen} belongs to catalog {ours}",
                record.catalog
            )));
        }
        Ok(Snapshot::new(self.clone(), record, Digest::of(bytes)))
    }

    /// The error for a record that is missing although later ones exist.
    pub(crate) fn missing(&self, version: Version) -> Error {
        let what = "the object is missing, although later versions exist";
        Error::corrupt(self.url(), ObjectName::Version(version), what)
    }

    /// The error for a catalog that a later program wrote.
    fn unsupported(&self, what: &str) -> Error {
        Error::invalid(format!(
            "{}: the catalog has {what}, which this program does not support; use a newer program that does",
            self.url()
        ))
    }
}
