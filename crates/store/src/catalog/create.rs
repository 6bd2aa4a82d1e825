//! Creating a catalog: tests the store, claims it with `catalog.json`, then creates version 0.

use bytes::Bytes;
use deltic_core::{CatalogUuid, Digest, Layer, RunId, Timestamp, Version};

use super::Catalog;
use crate::backend::cause;
use crate::backend::client::ObjectRoot;
use crate::backend::stores::Stores;
use crate::catalog::publish::{Attempt, create_version, record_bytes};
use crate::catalog::snapshot::Snapshot;
use crate::format::checked_json;
use crate::format::object_name::ObjectName;
use crate::format::record::{CATALOG_FORMAT, CatalogRecord, LayerRecord, Packs, VersionRecord, check_timestamp};
use crate::format::shape::Shape;
use crate::format::tree_root::Root;
use crate::{Error, ErrorKind, Result};

/// The identity of a new catalog. The caller draws it, since randomness and clocks are parameters.
#[derive(Debug, Clone, Copy)]
pub struct NewCatalog {
    /// The catalog's own identity, random.
    pub uuid: CatalogUuid,
    /// The run that makes version 0, random.
    pub run: RunId,
    /// The time. Informational.
    pub created: Timestamp,
}

impl Catalog {
    /// Creates a catalog with version 0: the layers given, all empty.
    ///
    /// Checks first that the store honours put-if-absent, on which every later commit relies. Completes an interrupted creation.
    /// Fails with [`ErrorKind::AlreadyExists`] when there is a complete catalog, and with [`ErrorKind::InvalidInput`] for a folder
    /// with other files in it.
    pub fn create(stores: &Stores, url: &str, mut layers: Vec<Layer>, identity: NewCatalog) -> Result<Catalog> {
        check_timestamp(identity.created)?;
        layers.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = layers.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(Error::invalid(format!("{url}: layer `{}` is given twice", pair[0].id)));
        }
        let catalog = Catalog::at(stores.open_or_make(url)?, Shape::FORMAT_1);
        let exists = || {
            Error::new(
                ErrorKind::AlreadyExists,
                format!("{url}: a catalog exists already; open it, or choose another URL"),
            )
        };
        let first_two = async { futures::join!(catalog.record_bytes(Version(0)), catalog.record_bytes(Version(1))) };
        match catalog.client().drive(first_two) {
            (Ok(None), Ok(None)) => {}
            (Ok(Some(_)), _) => return Err(exists()),
            // Somebody who creates the catalog at this moment may have come that far between the two requests. Otherwise the
            // record of version 0 is lost. A new one would not be the parent that version 1 names.
            (Ok(None), Ok(Some(_))) => {
                return Err(match catalog.client().get(&ObjectName::Version(Version(0)))? {
                    Some(_) => exists(),
                    None => catalog.missing(Version(0)),
                });
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
        catalog.check_unused()?;
        refuse_foreign(catalog.client())?;
        refuse_careless_store(catalog.client(), identity.run)?;
        let uuid = catalog.claim(&identity)?;
        let layers: Vec<LayerRecord> =
            layers.into_iter().map(|layer| LayerRecord { layer, root: Root::empty() }).collect();
        let record = VersionRecord {
            catalog: uuid,
            version: Version(0),
            parent: None,
            run: identity.run,
            created: identity.created,
            note: String::new(),
            digest: VersionRecord::catalog_digest(&layers),
            owner: None,
            tags: Vec::new(),
            layers,
            state: Vec::new(),
            dependencies: Vec::new(),
            tasks: Vec::new(),
            retained: vec![(Version(0), Version(0))],
            packs: Packs::default(),
            statistics: serde_json::Value::Null,
        };
        let body = record_bytes(&catalog, &record)?;
        match create_version(&catalog, &record, &body)? {
            Attempt::Won => {}
            Attempt::Lost(_) => return Err(exists()),
        }
        catalog.remember(&Snapshot::new(catalog.clone(), record, Digest::of(&body)));
        Ok(catalog)
    }

    /// Opens a catalog, or creates it as [`Catalog::create`] does where there is none. Of several calls at the same time one creates
    /// it, and all return the same catalog. The layers and the identity are ignored where there is one already.
    ///
    /// Cost: two requests at once where there is a catalog; else what creating it costs.
    pub fn open_or_create(stores: &Stores, url: &str, layers: Vec<Layer>, identity: NewCatalog) -> Result<Catalog> {
        match Catalog::create(stores, url, layers, identity) {
            Err(error) if *error.kind() == ErrorKind::AlreadyExists => Catalog::open(stores, url),
            created => created,
        }
    }

    /// Fails where [`Catalog::create`] would, as far as it can know without a request: at a folder that has other files in it, or
    /// can not be reached.
    pub fn check_place(stores: &Stores, url: &str) -> Result<()> {
        match stores.open(url) {
            Err(error) if *error.kind() == ErrorKind::NotFound => Ok(()),
            root => refuse_foreign(&root?),
        }
    }

    /// Writes `catalog.json`, or reads the one that an interrupted creation left. Returns the uuid in it.
    fn claim(&self, identity: &NewCatalog) -> Result<CatalogUuid> {
        let record = CatalogRecord {
            format: CATALOG_FORMAT,
            catalog: identity.uuid,
            created: identity.created,
            tree: Shape::FORMAT_1,
        };
        let body = Bytes::from(checked_json::to_json(&record)?);
        let written = self.client().create(&ObjectName::Catalog, &body);
        match (self.catalog_record()?, written) {
            (Some(found), _) => Ok(found.catalog),
            (None, Err(error)) => {
                let message = format!("{}: {} could not be written", self.url(), ObjectName::Catalog);
                Err(Error::unavailable(message).because(&cause::of(&error)))
            }
            (None, Ok(())) => Err(Error::unavailable(format!(
                "{}: {} was written and can not be read back; the store is not usable",
                self.url(),
                ObjectName::Catalog
            ))),
        }
    }
}

/// Refuses a folder with other files: most likely another folder was meant, and a catalog among other files is hard to separate
/// from them.
fn refuse_foreign(client: &ObjectRoot) -> Result<()> {
    let foreign = client.foreign()?;
    let Some((first, others)) = foreign.split_first() else { return Ok(()) };
    let others = match others.len() {
        0 => String::new(),
        1 => " and 1 other".to_owned(),
        others => format!(" and {others} others"),
    };
    Err(Error::invalid(format!(
        "{}: the folder is not empty: it has `{first}`{others}, and a catalog needs a folder of its own; name an empty folder, or \
         one that does not exist yet",
        client.url()
    )))
}

/// Checks that the store refuses to create an object a second time, and that this changes nothing.
fn refuse_careless_store(client: &ObjectRoot, run: RunId) -> Result<()> {
    let probe = ObjectName::Probe(run);
    let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
    client.create(&probe, &first).map_err(|error| {
        let message = format!(
            "{}: a new object could not be created; the store must be writable and, for a folder, support hard links",
            client.url()
        );
        Error::unavailable(message).because(&cause::of(&error))
    })?;
    let again = client.create(&probe, &second);
    let kept = client.get(&probe);
    if let Err(error) = client.remove(&probe) {
        tracing::warn!(%error, "the object of the self-test could not be removed");
    }
    let kept = kept?.is_some_and(|body| body == first);
    match again {
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) if kept => Ok(()),
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) | Ok(()) => {
            Err(Error::invalid(format!(
                "{}: the store overwrites an object that it was asked to create only if absent, so two runs could lose each \
             other's versions; use a store that honours conditional writes",
                client.url()
            )))
        }
        Err(error) => Err(Error::unavailable(format!(
            "{}: the self-test of conditional writes got no clear answer; try again",
            client.url()
        ))
        .because(&cause::of(&error))),
    }
}
