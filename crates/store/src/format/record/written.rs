//! A version's record as bytes: format 2, and format 1, which is only read. `docs/format.md` has the rules.
//!
//! A record has a head that people can read. Most of the bytes come after it, for programs only: the tables of the state, the
//! tasks with the parts of their fingerprints, statistics. That part repeats itself, and is compressed where it is long.
//!
//! The format has fields that no program uses yet: for branches, for pending versions, for tasks that a run left out. Owners and
//! layers may get new kinds. Where this crate does not know the value of such a field, it refuses the record: otherwise it would
//! mistake another branch's version for the latest, or overwrite what is not its own. Such a record is not damaged; a later
//! program wrote it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deltic_core::{CatalogUuid, Digest, RunId, TaskId, Timestamp, Version};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Dependency, LayerRecord, Owner, Packs, StateRecord, Tag, TaskRecord, VersionRecord, rfc3339};
use crate::format::checked_json;
use crate::format::inflate::inflate;
use crate::format::object_name::MAX_RECORD_BYTES;
use crate::{Error, Result};

/// The format of the records that this crate writes.
const FORMAT: u32 = 2;

/// What comes after the head is compressed only from this length on. People can read a shorter record as a whole.
const COMPRESSED_FROM: usize = 1024;

/// The greatest factor of compression, so that the length of a record bounds its reader's memory. What runs write shrinks to
/// about a fifth. What would shrink to less than a sixteenth is not compressed.
const MAX_GROWTH: usize = 16;

/// The branch of all versions.
const MAIN: &str = "main";

/// Why this crate can not use a record.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It is damaged.
    Damaged(String),
    /// It is of a format that this crate does not know.
    Format(u32),
    /// It has a feature that this crate does not support.
    Unsupported(&'static str),
}

impl From<String> for Unreadable {
    fn from(what: String) -> Unreadable {
        Unreadable::Damaged(what)
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    catalog: CatalogUuid,
    version: Version,
    parent: Option<Digest>,
    run: RunId,
    #[serde(with = "rfc3339")]
    created: Timestamp,
    note: String,
    digest: Digest,
    #[serde(deserialize_with = "if_supported")]
    owner: Option<Option<Owner>>,
    #[serde(deserialize_with = "if_supported")]
    branch: Option<String>,
    #[serde(deserialize_with = "if_supported")]
    base: Option<Option<Version>>,
    merged: Option<Value>,
    #[serde(deserialize_with = "if_supported")]
    branches: Option<Vec<Branch>>,
    tags: Vec<Tag>,
    #[serde(deserialize_with = "if_supported")]
    pending: Option<Vec<Value>>,
    group: Option<Value>,
    #[serde(deserialize_with = "if_supported")]
    layers: Option<Vec<LayerRecord>>,
    dependencies: Vec<Dependency>,
    retained: Vec<(Version, Version)>,
    packs: Packs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<Rest>,
    /// The rest, as base64 of one zstd frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    packed: Option<String>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Branch {
    name: String,
    version: Version,
    since: Version,
    from: Option<String>,
    fork: Option<Version>,
}

#[derive(Serialize, Deserialize)]
struct Rest {
    state: Vec<StateRecord>,
    tasks: Vec<TaskJson>,
    statistics: Value,
}

#[derive(Serialize, Deserialize)]
struct TaskJson {
    id: TaskId,
    fingerprint: Digest,
    parts: BTreeMap<String, String>,
    configuration: Value,
    /// What the task last ran on, where the version's run read something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<Value>,
}

/// A record of format 1.
#[derive(Deserialize)]
struct Format1 {
    catalog: CatalogUuid,
    version: Version,
    parent: Option<Digest>,
    run: RunId,
    #[serde(with = "rfc3339")]
    created: Timestamp,
    note: String,
    digest: Digest,
    layers: Vec<LayerRecord>,
    state: Vec<StateRecord>,
    dependencies: Vec<Dependency>,
    tasks: Vec<TaskJson>,
    retained: Vec<(Version, Version)>,
    packs: Vec<PackJson>,
    statistics: Value,
}

#[derive(Deserialize)]
struct PackJson {
    bytes: u64,
}

impl VersionRecord {
    /// The bytes of the record's object.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let tasks = self.tasks.iter().cloned().map(TaskJson::from).collect();
        let rest = Rest { state: self.state.clone(), tasks, statistics: self.statistics.clone() };
        let plain = serde_json::to_vec(&rest)
            .map_err(|e| Error::invalid("a record holds something that can not be written as JSON").because(&e))?;
        let packed = match plain.len() {
            len if len < COMPRESSED_FROM || len as u64 > MAX_RECORD_BYTES => None,
            len => Some(compressed(&plain)?).filter(|frame| len <= frame.len().saturating_mul(MAX_GROWTH)),
        };
        let head = Head {
            format: FORMAT,
            catalog: self.catalog,
            version: self.version,
            parent: self.parent,
            run: self.run,
            created: self.created,
            note: self.note.clone(),
            digest: self.digest,
            owner: Some(self.owner.clone()),
            branch: Some(MAIN.to_owned()),
            base: Some(base_of_main(self.version)),
            merged: None,
            branches: Some(vec![main_at(self.version)]),
            tags: self.tags.clone(),
            pending: Some(Vec::new()),
            group: None,
            layers: Some(self.layers.clone()),
            dependencies: self.dependencies.clone(),
            retained: self.retained.clone(),
            packs: self.packs,
            rest: packed.is_none().then_some(rest),
            packed: packed.map(|frame| STANDARD.encode(frame)),
        };
        checked_json::to_lines(&head)
    }

    /// Reads a record back. Memory: at most 64 KiB and 128 times the bytes. Where the rest is compressed, 1,536 times the bytes,
    /// which is 128 times what the rest grows to: four bytes of base64 are three bytes of a frame, and those grow 16 times.
    pub(crate) fn from_bytes(bytes: &[u8]) -> std::result::Result<VersionRecord, Unreadable> {
        let Format { format } = checked_json::from_json(bytes)?;
        match format {
            1 => checked_json::from_checked::<Format1>(bytes).map(VersionRecord::from).map_err(Unreadable::from),
            FORMAT => VersionRecord::of_head(checked_json::from_checked(bytes)?),
            other => Err(Unreadable::Format(other)),
        }
    }

    fn of_head(head: Head) -> std::result::Result<VersionRecord, Unreadable> {
        if let Some(what) = head.unsupported() {
            return Err(Unreadable::Unsupported(what));
        }
        let owner = head.owner.ok_or(Unreadable::Unsupported("an owner of another kind"))?;
        let layers = head.layers.ok_or(Unreadable::Unsupported("layers of another kind"))?;
        let rest = match (head.rest, head.packed) {
            (Some(rest), None) => rest,
            (None, Some(packed)) => unpacked(&packed)?,
            _ => return Err("it must have one of `rest` and `packed`, and not both".to_owned().into()),
        };
        if rest.tasks.iter().any(|task| task.inputs.is_some()) {
            return Err(Unreadable::Unsupported("a task that was left out of a run"));
        }
        Ok(VersionRecord {
            catalog: head.catalog,
            version: head.version,
            parent: head.parent,
            run: head.run,
            created: head.created,
            note: head.note,
            digest: head.digest,
            owner,
            tags: head.tags,
            layers,
            state: rest.state,
            dependencies: head.dependencies,
            tasks: rest.tasks.into_iter().map(TaskRecord::from).collect(),
            retained: head.retained,
            packs: head.packs,
            statistics: rest.statistics,
        })
    }
}

impl Head {
    /// The feature in it that this crate does not support.
    fn unsupported(&self) -> Option<&'static str> {
        let is_of_main = self.branch.as_deref() == Some(MAIN) && self.base == Some(base_of_main(self.version));
        let main_is_all = self.branches.as_deref() == Some(&[main_at(self.version)]) && self.merged.is_none();
        if !is_of_main || !main_is_all {
            Some("branches")
        } else if self.pending.as_ref().is_none_or(|pending| !pending.is_empty()) || self.group.is_some() {
            Some("versions of several catalogs that become visible together")
        } else {
            None
        }
    }
}

/// Reads a field of which this crate supports some values: none for any other value. A missing field is damage.
fn if_supported<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<T>, D::Error> {
    Ok(T::deserialize(Value::deserialize(deserializer)?).ok())
}

/// The version that one of the only branch was made from.
fn base_of_main(version: Version) -> Option<Version> {
    version.0.checked_sub(1).map(Version)
}

fn main_at(version: Version) -> Branch {
    Branch { name: MAIN.to_owned(), version, since: Version(0), from: None, fork: None }
}

fn compressed(plain: &[u8]) -> Result<Vec<u8>> {
    zstd::bulk::compress(plain, zstd::DEFAULT_COMPRESSION_LEVEL)
        .map_err(|e| Error::internal("a record could not be compressed").because(&e))
}

fn unpacked(packed: &str) -> std::result::Result<Rest, String> {
    let frame = STANDARD.decode(packed).map_err(|e| format!("`packed` is not base64: {e}"))?;
    let most = frame.len().saturating_mul(MAX_GROWTH).min(MAX_RECORD_BYTES as usize);
    let plain = inflate(&frame, most).ok_or("`packed` is not a zstd frame, or holds more than it may hold")?;
    serde_json::from_slice(&plain).map_err(|e| format!("`packed` is not the expected JSON: {e}"))
}

impl From<TaskRecord> for TaskJson {
    fn from(task: TaskRecord) -> TaskJson {
        let TaskRecord { id, fingerprint, parts, configuration } = task;
        TaskJson { id, fingerprint, parts, configuration, inputs: None }
    }
}

impl From<TaskJson> for TaskRecord {
    fn from(task: TaskJson) -> TaskRecord {
        let TaskJson { id, fingerprint, parts, configuration, inputs: _ } = task;
        TaskRecord { id, fingerprint, parts, configuration }
    }
}

impl From<Format1> for VersionRecord {
    fn from(record: Format1) -> VersionRecord {
        let bytes = record.packs.iter().fold(0u64, |sum, pack| sum.saturating_add(pack.bytes));
        let tasks: Vec<TaskRecord> = record.tasks.into_iter().map(TaskRecord::from).collect();
        VersionRecord {
            owner: Owner::of_format_1(&tasks, record.version),
            tags: Vec::new(),
            packs: Packs { count: record.packs.len() as u64, bytes },
            tasks,
            catalog: record.catalog,
            version: record.version,
            parent: record.parent,
            run: record.run,
            created: record.created,
            note: record.note,
            digest: record.digest,
            layers: record.layers,
            state: record.state,
            dependencies: record.dependencies,
            retained: record.retained,
            statistics: record.statistics,
        }
    }
}
