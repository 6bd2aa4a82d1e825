//! The commit: packs first, then one put-if-absent of the version's record, which makes everything visible at once.
//!
//! A conditional write can not simply be repeated: when its acknowledgement is lost, the repetition loses against the
//! write itself. And stores report a lost race by different errors. So after **any** error the record is read back,
//! and the bytes decide: ours, then we won; another's, then they did; none, then nothing happened yet and the same
//! write is tried again, unless the store refused it: a refusal is certain.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use deltic_core::{Digest, Layer, RunId, Timestamp, Version};
use serde_json::Value;

use crate::backend::cause;
use crate::backend::client::ObjectRoot;
use crate::backend::secrets::holds_secret;
use crate::catalog::Catalog;
use crate::catalog::snapshot::Snapshot;
use crate::format::object_name::{MAX_RECORD_BYTES, ObjectName};
use crate::format::record::{
    Dependency, LayerRecord, Owner, Packs, StateRecord, TaskRecord, VersionRecord, check_timestamp, retain,
};
use crate::packs::writer::Packing;
use crate::tree::Tree;
use crate::{Error, ErrorKind, Result};

/// Tries of the record's creation while nobody has created it.
const TRIES: u32 = 5;

/// What the next version is to hold.
#[derive(Debug, Clone, Default)]
pub struct NextVersion {
    /// The layers, all of them: one that is left out is gone.
    pub layers: Vec<(Layer, Tree)>,
    /// The tables of the state, all of them.
    pub state: BTreeMap<String, Tree>,
    /// The versions of other catalogs that it was made from.
    pub dependencies: Vec<Dependency>,
    /// The tasks that made it.
    pub tasks: Vec<TaskRecord>,
    /// Who writes to the catalog from now on; `None` where that stays as it was.
    pub owner: Option<Owner>,
    /// The time. Informational.
    pub created: Timestamp,
    /// What people should know about it.
    pub note: String,
    /// Figures of the run. Informational: they alone make no version.
    pub statistics: Value,
}

/// How a commit ended.
#[derive(Debug, Clone)]
#[must_use]
pub enum Committed {
    /// There is a new version.
    New(Snapshot),
    /// Layers, state, dependencies and tasks are those of the base: nothing was written.
    Unchanged,
}

/// How the creation of a record ended.
pub(crate) enum Attempt {
    Won,
    Lost(RunId),
}

pub(crate) fn commit(base: &Snapshot, packing: &Packing, next: NextVersion) -> Result<Committed> {
    check_timestamp(next.created)?;
    let url = base.catalog().url();
    let mut layers: Vec<LayerRecord> =
        next.layers.into_iter().map(|(layer, tree)| LayerRecord { layer, root: tree.root }).collect();
    layers.sort_by(|a, b| a.layer.id.cmp(&b.layer.id));
    if let Some(pair) = layers.windows(2).find(|pair| pair[0].layer.id == pair[1].layer.id) {
        return Err(Error::invalid(format!("{url}: layer `{}` is given twice", pair[0].layer.id)));
    }
    let mut tasks = next.tasks;
    tasks.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(pair) = tasks.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(Error::invalid(format!("{url}: task `{}` is given twice", pair[0].id)));
    }
    let state = next.state.into_iter().map(|(table, tree)| StateRecord { table, root: tree.root }).collect();
    let mut record = VersionRecord {
        catalog: base.uuid(),
        version: base.version().next(),
        parent: Some(base.record_digest()),
        run: packing.run,
        created: next.created,
        note: next.note,
        digest: VersionRecord::catalog_digest(&layers),
        owner: next.owner.or_else(|| base.record().owner.clone()),
        tags: base.record().tags.clone(),
        layers,
        state,
        dependencies: next.dependencies,
        tasks,
        retained: retain(&base.record().retained, base.version().next()),
        packs: Packs::default(),
        statistics: next.statistics,
    };
    if base.record().says_the_same(&record) {
        return Ok(Committed::Unchanged);
    }
    refuse_secrets(url, &record)?;
    record.packs = Packs::of(&packing.flush()?);
    let catalog = base.catalog();
    #[cfg(any(test, feature = "testing"))]
    let lost = record.clone();
    let published = publish(catalog, record);
    #[cfg(any(test, feature = "testing"))]
    let published = crate::testing::after_a_loss(catalog, lost, published);
    let snapshot = published?;
    packing.set_committed();
    Ok(Committed::New(snapshot))
}

/// Whoever can read a catalog can read its records, and so can all that copy it.
fn refuse_secrets(url: &str, record: &VersionRecord) -> Result<()> {
    // All that is of a user's making.
    let said = serde_json::to_string(&(&record.note, &record.tasks, &record.dependencies))
        .map_err(|e| Error::invalid(format!("{url}: the record can not be written as JSON")).because(&e))?;
    if !holds_secret(&said) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{url}: the note or the configuration of a task holds a URL with a password or a signature, and both are recorded: \
         put secrets into the environment"
    )))
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

/// Makes a record the next version, or says who was first.
pub(crate) fn publish(catalog: &Catalog, record: VersionRecord) -> Result<Snapshot> {
    if let Some(problem) = record.problem(record.version) {
        // Nobody could read the catalog from then on.
        return Err(Error::invalid(format!(
            "{}: version {} can not be made: its record would not be valid: {problem}",
            catalog.url(),
            record.version
        )));
    }
    let body = record_bytes(catalog, &record)?;
    match create_version(catalog, &record, &body)? {
        Attempt::Won => {}
        Attempt::Lost(winner) => return Err(lost(catalog, record.version, winner)),
    }
    let snapshot = Snapshot::new(catalog.clone(), record, Digest::of(&body));
    catalog.remember(&snapshot);
    Ok(snapshot)
}

/// What a run is told that was not the first.
pub(crate) fn lost(catalog: &Catalog, version: Version, winner: RunId) -> Error {
    let url = catalog.url();
    let message =
        format!("{url}: run {winner} has made version {version} meanwhile; begin again from the latest version");
    Error::new(ErrorKind::Conflict { version, winner }, message)
}

/// The record of a version after `base` that says the same: for what changes the keeping of versions, not their content.
pub(crate) fn same_again(base: &Snapshot, run: RunId, created: Timestamp, note: String) -> Result<VersionRecord> {
    check_timestamp(created)?;
    let version = base.version().next();
    Ok(VersionRecord {
        version,
        parent: Some(base.record_digest()),
        run,
        created,
        note,
        retained: retain(&base.record().retained, version),
        packs: Packs::default(),
        statistics: Value::Null,
        ..base.record().clone()
    })
}

/// Creates a version's record, or finds out who did; says in the hint that it is there.
///
/// Where that saves a round trip the hint is written beside the record. Should the record fail, the hint is ahead by one
/// for a while, which makes look-ups longer by a request; after a lost race it says what the winner says.
pub(crate) fn create_version(catalog: &Catalog, record: &VersionRecord, body: &Bytes) -> Result<Attempt> {
    let root = catalog.root();
    if root.is_remote() {
        let both = async { futures::join!(try_create(catalog, record, body), write_hint(root, record.version)) };
        return root.drive(both).0;
    }
    let attempt = root.drive(try_create(catalog, record, body))?;
    if matches!(attempt, Attempt::Won) {
        root.drive(write_hint(root, record.version));
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
            catalog.root().sleep(Duration::from_millis((4 << (2 * attempt)) + spread)).await;
        }
        match catalog.root().create_async(&object, body).await {
            Ok(()) => return Ok(Attempt::Won),
            Err(error) => {
                unclear = cause::of(&error);
                // What an earlier try has sent may still arrive.
                refused = attempt == 0 && cause::is_refusal(&error);
            }
        }
        match catalog.root().get_async(&object).await {
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
    if let Some(what) = catalog.root().no_file(&object) {
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
async fn write_hint(root: &ObjectRoot, version: Version) {
    let body = Bytes::from(format!("{version}\n"));
    if let Err(error) = root.overwrite_async(&ObjectName::Latest, &[body]).await {
        tracing::warn!(%error, "the hint at the latest version could not be written");
    }
}
