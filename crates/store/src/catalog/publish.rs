//! Creating the record of a version: one put-if-absent, which makes the version visible.
//!
//! A conditional write can not simply be repeated: if its acknowledgement was lost, the second one loses against the first.
//! And stores report a lost race by different errors. So after **any** error the record is read back, and its bytes decide.
//! Ours: the run won. Another's: that one won. None: nothing has happened yet, and the write is repeated, unless the store
//! refused it, which is certain.

use std::time::Duration;

use bytes::Bytes;
use deltic_core::{Digest, RunId, Version};

use super::Catalog;
use super::snapshot::Snapshot;
use crate::backend::cause;
use crate::backend::client::ObjectRoot;
use crate::format::object_name::{MAX_RECORD_BYTES, ObjectName};
use crate::format::record::VersionRecord;
use crate::{Error, ErrorKind, Result};

/// Tries of the record's creation while nobody has created it.
const TRIES: u32 = 5;

/// How the creation of a record ended.
pub(crate) enum Attempt {
    Won,
    Lost(RunId),
}

/// The bytes of a record, unless they are more than is read of one.
pub(crate) fn record_bytes(catalog: &Catalog, record: &VersionRecord) -> Result<Bytes> {
    let body = Bytes::from(record.to_bytes()?);
    if body.len() as u64 <= MAX_RECORD_BYTES {
        return Ok(body);
    }
    Err(Error::invalid(format!(
        "{}: the record of version {} would have {} bytes, and can have {MAX_RECORD_BYTES}; shorten what is recorded with it: \
         the note, statistics, configurations of tasks",
        catalog.url(),
        record.version,
        body.len()
    )))
}

/// What became of a record that was to be the next version.
pub(crate) enum Published {
    /// It is the next version.
    Made(Snapshot),
    /// Another run was faster, as the error says.
    Lost(Box<VersionRecord>, Error),
}

/// Makes a record the next version. That another run was faster is an error.
pub(crate) fn publish(catalog: &Catalog, record: VersionRecord) -> Result<Snapshot> {
    match try_publish(catalog, record)? {
        Published::Made(snapshot) => Ok(snapshot),
        Published::Lost(_, error) => Err(error),
    }
}

/// Makes a record the next version, or says who was faster.
pub(crate) fn try_publish(catalog: &Catalog, record: VersionRecord) -> Result<Published> {
    if let Some(problem) = record.problem(record.version) {
        // Nobody could read the catalog from then on.
        return Err(Error::invalid(format!(
            "{}: version {} can not be made: its record would not be valid: {problem}",
            catalog.url(),
            record.version
        )));
    }
    let body = record_bytes(catalog, &record)?;
    if let Attempt::Lost(winner) = create_version(catalog, &record, &body)? {
        let error = catalog.lost(record.version, winner);
        return Ok(Published::Lost(Box::new(record), error));
    }
    let snapshot = Snapshot::new(catalog.clone(), record, Digest::of(&body));
    catalog.remember(&snapshot);
    Ok(Published::Made(snapshot))
}

/// Creates a version's record, or finds out who did; says in the hint that it is there.
///
/// Where that saves a round trip the hint is written beside the record. Should the record fail, the hint is ahead by one
/// for a while, which makes look-ups longer by a request; after a lost race it says what the winner says.
pub(crate) fn create_version(catalog: &Catalog, record: &VersionRecord, body: &Bytes) -> Result<Attempt> {
    let client = catalog.client();
    if client.is_remote() {
        let both = async { futures::join!(try_create(catalog, record, body), write_hint(client, record.version)) };
        return client.drive(both).0;
    }
    let attempt = client.drive(try_create(catalog, record, body))?;
    if matches!(attempt, Attempt::Won) {
        client.drive(write_hint(client, record.version));
    }
    Ok(attempt)
}

async fn try_create(catalog: &Catalog, record: &VersionRecord, body: &Bytes) -> Result<Attempt> {
    let object = ObjectName::Version(record.version);
    let (mut unclear, mut refused) = (String::new(), false);
    for attempt in 0..TRIES {
        if attempt > 0 {
            // Two runs that failed together should not try again together: the run id spreads them.
            let spread = record.run.0.rotate_left(8 * attempt) % 16;
            catalog.client().sleep(Duration::from_millis((4 << (2 * attempt)) + spread)).await;
        }
        match catalog.client().create_async(&object, body).await {
            Ok(()) => return Ok(Attempt::Won),
            Err(error) => {
                unclear = cause::of(&error);
                // What an earlier try has sent may still arrive.
                refused = attempt == 0 && cause::is_refusal(&error);
            }
        }
        match catalog.client().get_async(&object).await {
            Ok(Some(found)) if found == *body => return Ok(Attempt::Won),
            Ok(Some(found)) => {
                let winner = catalog.read_version(record.version, &found).await?;
                if winner.record_digest() == Digest::of(body) {
                    // The first answer was wrong, and not what it says.
                    return Ok(Attempt::Won);
                }
                catalog.remember(&winner);
                return Ok(Attempt::Lost(winner.record().run));
            }
            Ok(None) if refused => break,
            Ok(None) => {}
            Err(error) => (unclear, refused) = (error.to_string(), false),
        }
    }
    if let Some(what) = catalog.client().no_file(&object) {
        let url = catalog.url();
        let message = format!("{url}: {object} is {what}, and no file, so that no version can be made: move it away");
        return Err(Error::new(ErrorKind::Corrupt { object: object.to_string() }, message));
    }
    if refused {
        let url = catalog.url();
        let message = format!("{url}: {object} could not be created, and no version was made: the store refused it");
        return Err(Error::unavailable(message).because(&unclear));
    }
    let message = format!(
        "{}: {object} could not be created, or it could not be told whether it was; see `deltic log {}` before trying \
         again",
        catalog.url(),
        catalog.url()
    );
    Err(Error::unavailable(message).because(&unclear))
}

/// Says where the latest version is. A failure only makes the next look-up longer.
async fn write_hint(client: &ObjectRoot, version: Version) {
    let body = Bytes::from(format!("{version}\n"));
    if let Err(error) = client.overwrite_async(&ObjectName::Latest, &[body]).await {
        tracing::warn!(%error, "the hint at the latest version could not be written");
    }
}
