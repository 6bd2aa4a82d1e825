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

/// The bytes of a record. Fails where they are more than a reader accepts.
pub(crate) fn record_bytes(catalog: &Catalog, record: &VersionRecord) -> Result<Bytes> {
    let body = Bytes::from(record.to_bytes()?);
    if body.len() as u64 <= MAX_RECORD_BYTES {
        return Ok(body);
    }
    Err(Error::invalid(format!(
        "{}: the record of version {} would have {} bytes, more than the {MAX_RECORD_BYTES} that it can have; shorten what is \
         recorded with it: the note, statistics, configurations of tasks",
        catalog.url(),
        record.version,
        body.len()
    )))
}

/// How the attempt to publish a record ended.
pub(crate) enum Published {
    /// The record is the next version.
    Won(Snapshot),
    /// Another run was faster; the error names it.
    Lost(Box<VersionRecord>, Error),
}

/// Makes a record the next version. Fails where another run was faster.
pub(crate) fn publish(catalog: &Catalog, record: VersionRecord) -> Result<Snapshot> {
    match try_publish(catalog, record)? {
        Published::Won(snapshot) => Ok(snapshot),
        Published::Lost(_, error) => Err(error),
    }
}

/// Makes a record the next version, or returns it with an error that names the run that was faster.
pub(crate) fn try_publish(catalog: &Catalog, record: VersionRecord) -> Result<Published> {
    if let Some(problem) = record.problem(record.version) {
        // Such a record would make the whole catalog unreadable.
        return Err(Error::invalid(format!(
            "{}: version {} can not be made: its record would not be valid: {problem}",
            catalog.url(),
            record.version
        )));
    }
    let body = record_bytes(catalog, &record)?;
    if let Attempt::Lost(winner) = create_version(catalog, &record, &body)? {
        let error = catalog.conflict(record.version, winner);
        return Ok(Published::Lost(Box::new(record), error));
    }
    let snapshot = Snapshot::new(catalog.clone(), record, Digest::of(&body));
    catalog.remember(&snapshot);
    Ok(Published::Won(snapshot))
}

/// Creates a version's record, or finds out which run did; then writes the hint.
///
/// Where that saves a round trip, the hint is written beside the record. If the record then fails, the hint is ahead by one for a
/// while, and look-ups take one more request. After a lost race the hint is right, since the winner made that version.
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
            // Two runs that failed together should not retry together: the run id spreads their retries.
            let spread = record.run.0.rotate_left(8 * attempt) % 16;
            catalog.client().sleep(Duration::from_millis((4 << (2 * attempt)) + spread)).await;
        }
        match catalog.client().create_async(&object, body).await {
            Ok(()) => return Ok(Attempt::Won),
            Err(error) => {
                unclear = cause::of(&error);
                // A refusal is certain only at the first try: what an earlier try has sent may still arrive.
                refused = attempt == 0 && cause::is_refusal(&error);
            }
        }
        match catalog.client().get_async(&object).await {
            Ok(Some(found)) if found == *body => return Ok(Attempt::Won),
            Ok(Some(found)) => {
                let winner = catalog.read_version(record.version, &found).await?;
                if winner.record_digest() == Digest::of(body) {
                    // The first answer was damaged: the record that a second read gives is ours.
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
    if let Some(what) = catalog.client().not_a_file(&object) {
        let url = catalog.url();
        let message = format!("{url}: {object} is {what}, not a file, so no version can be made: move it away");
        return Err(Error::new(ErrorKind::Corrupt { object: object.to_string() }, message));
    }
    if refused {
        let url = catalog.url();
        let message = format!("{url}: {object} could not be created, and no version was made: the store refused it");
        return Err(Error::unavailable(message).because(&unclear));
    }
    let message = format!(
        "{}: {object} could not be created, or it is unknown whether it was; see `deltic log {}` before you try again",
        catalog.url(),
        catalog.url()
    );
    Err(Error::unavailable(message).because(&unclear))
}

/// Writes the number of the latest version as a hint. A failure only makes the next look-up longer.
async fn write_hint(client: &ObjectRoot, version: Version) {
    let body = Bytes::from(format!("{version}\n"));
    if let Err(error) = client.overwrite_async(&ObjectName::Latest, &[body]).await {
        tracing::warn!(%error, "the hint that names the latest version could not be written");
    }
}
