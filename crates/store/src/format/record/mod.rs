//! The records of a catalog: `catalog.json`, and one object per version.

mod retained;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use deltic_core::{CatalogId, CatalogUuid, Digest, Hasher, Layer, LayerId, RunId, Scheme, TaskId, Timestamp, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::format::object_name::ListedPack;
use crate::format::shape::Shape;
use crate::format::tree_root::Root;
use crate::{Error, Result};

pub(crate) use retained::{minus, ranges, retain, show};
pub(crate) use written::Unreadable;

/// The format of `catalog.json`, which is that of trees and packs. Records have a number of their own.
pub(crate) const CATALOG_FORMAT: u32 = 1;

/// The most tags that a catalog has.
pub(crate) const MAX_TAGS: usize = 1024;
/// The most bytes of a tag's name.
pub(crate) const MAX_TAG_BYTES: usize = 128;

/// `catalog.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CatalogRecord {
    pub(crate) format: u32,
    pub(crate) catalog: CatalogUuid,
    #[serde(with = "rfc3339")]
    pub(crate) created: Timestamp,
    pub(crate) tree: Shape,
}

/// What a version is made of: the content of `versions/<number>`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VersionRecord {
    /// The catalog it belongs to.
    pub catalog: CatalogUuid,
    /// Its number.
    pub version: Version,
    /// BLAKE3 of the bytes of the record before it; none for version 0.
    pub parent: Option<Digest>,
    /// The run that made it.
    pub run: RunId,
    /// When, by the clock of whoever made it. Informational.
    pub created: Timestamp,
    /// What people should know about it.
    pub note: String,
    /// Digest of layers, settings and contents: equal digests, equal catalogs.
    pub digest: Digest,
    /// Who writes to the catalog; nobody yet where there is none.
    pub owner: Option<Owner>,
    /// Names of versions, sorted. What is named can be read for as long as it is.
    pub tags: Vec<Tag>,
    /// The layers, sorted by id.
    pub layers: Vec<LayerRecord>,
    /// The tables of the state, sorted by name.
    pub state: Vec<StateRecord>,
    /// The versions of other catalogs that it was made from.
    pub dependencies: Vec<Dependency>,
    /// The tasks that made it.
    pub tasks: Vec<TaskRecord>,
    /// The versions that can be read as of this one, as ranges of numbers.
    pub retained: Vec<(Version, Version)>,
    /// The packs that its run wrote.
    pub packs: Packs,
    /// Figures of the run. Informational.
    pub statistics: Value,
}

/// A layer in a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "LayerJson", into = "LayerJson")]
pub struct LayerRecord {
    /// Its settings.
    pub layer: Layer,
    /// Its tree.
    pub root: Root,
}

#[derive(Serialize, Deserialize)]
struct LayerJson {
    id: LayerId,
    scheme: Scheme,
    #[serde(default)]
    content_type: String,
    root: Root,
}

/// A table of the state in a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateRecord {
    /// Its name.
    pub table: String,
    /// Its tree.
    pub root: Root,
}

/// A version of another catalog that a version was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The symbolic id that the run read it under; none when the run did not read it itself.
    pub catalog: Option<CatalogId>,
    /// The catalog.
    pub uuid: CatalogUuid,
    /// Where it was found.
    pub url: String,
    /// The version.
    pub version: Version,
    /// The version's catalog digest.
    pub digest: Digest,
    /// Whether the run read it itself, and not through an input.
    pub direct: bool,
}

impl Dependency {
    /// Identifies the content that was read, wherever it was found. A version number alone does not: a number can have two contents.
    pub fn identity(&self) -> (CatalogUuid, Version, Digest) {
        (self.uuid, self.version, self.digest)
    }

    /// Everything but the URL: the same catalog under another URL is no change.
    pub(crate) fn content(&self) -> (&Option<CatalogId>, CatalogUuid, Version, Digest, bool) {
        (&self.catalog, self.uuid, self.version, self.digest, self.direct)
    }
}

/// A task as it was when it last ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The task.
    pub id: TaskId,
    /// Digest of everything besides partitions that its output depends on.
    pub fingerprint: Digest,
    /// The parts of the fingerprint, for people who ask what differed.
    pub parts: BTreeMap<String, String>,
    /// Its configuration.
    pub configuration: Value,
}

/// Who writes to a catalog. A catalog has one kind of writer: a second kind would treat the content as its own, and remove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Owner {
    /// Imports.
    Imports,
    /// Sources, whose cursors are in the state.
    Sources,
    /// Runs of these tasks, sorted.
    Tasks(Vec<TaskId>),
}

/// A name of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The name, such as `keep/march`: 1 to 128 bytes, without control characters.
    pub name: String,
    /// The version.
    pub version: Version,
    /// Why, for people.
    pub note: String,
}

/// How many packs a run wrote. Their names show which they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Packs {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Tag {
    /// Whether a tag can have this name.
    pub(crate) fn is_name(name: &str) -> bool {
        (1..=MAX_TAG_BYTES).contains(&name.len()) && !name.contains(char::is_control)
    }
}

impl Packs {
    pub(crate) fn of(packs: &[ListedPack]) -> Packs {
        let bytes = packs.iter().fold(0u64, |sum, pack| sum.saturating_add(pack.bytes));
        Packs { count: packs.len() as u64, bytes }
    }
}

impl Owner {
    /// Runs of these tasks.
    pub fn tasks(ids: impl IntoIterator<Item = TaskId>) -> Owner {
        let ids: BTreeSet<TaskId> = ids.into_iter().collect();
        Owner::Tasks(ids.into_iter().collect())
    }

    /// Who wrote a version whose record has no owner: the tasks that it names, or else imports.
    fn of_format_1(tasks: &[TaskRecord], version: Version) -> Option<Owner> {
        match tasks {
            [] if version == Version(0) => None,
            [] => Some(Owner::Imports),
            tasks => Some(Owner::tasks(tasks.iter().map(|task| task.id.clone()))),
        }
    }
}

/// As people read it, such as ``tasks `a`, `b` ``.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 5;
        let ids = match self {
            Owner::Imports => return f.write_str("imports"),
            Owner::Sources => return f.write_str("sources"),
            Owner::Tasks(ids) => ids,
        };
        let named: Vec<String> = ids.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
        write!(f, "task{} {}", if ids.len() == 1 { "" } else { "s" }, named.join(", "))?;
        match ids.len().checked_sub(NAMED) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more"),
        }
    }
}

impl From<LayerJson> for LayerRecord {
    fn from(json: LayerJson) -> LayerRecord {
        let layer = Layer { id: json.id, scheme: json.scheme, content_type: json.content_type };
        LayerRecord { layer, root: json.root }
    }
}

impl From<LayerRecord> for LayerJson {
    fn from(record: LayerRecord) -> LayerJson {
        let Layer { id, scheme, content_type } = record.layer;
        LayerJson { id, scheme, content_type, root: record.root }
    }
}

impl VersionRecord {
    /// Digest of the layers: their settings, contents and counts. Numbers, times and places are no part of it.
    pub(crate) fn catalog_digest(layers: &[LayerRecord]) -> Digest {
        let mut hasher = Hasher::new("deltic catalog 1");
        hasher.number(layers.len() as u64);
        for LayerRecord { layer, root } in layers {
            hasher.text(layer.id.as_str()).digest(&layer.digest()).digest(&root.digest).number(root.count);
        }
        hasher.finish()
    }

    /// Digest of the state.
    pub fn state_digest(&self) -> Digest {
        let mut hasher = Hasher::new("deltic state 1");
        hasher.number(self.state.len() as u64);
        for StateRecord { table, root } in &self.state {
            hasher.text(table).digest(&root.digest).number(root.count);
        }
        hasher.finish()
    }

    /// Whether a version can be read as of this one.
    pub fn retains(&self, version: Version) -> bool {
        self.retained.iter().any(|&(first, last)| (first..=last).contains(&version))
    }

    /// The versions that can be read as of this one, newest first. A record may name more than there are. So read each version
    /// before you take the next one, and stop at the first that is missing.
    pub fn retained_versions(&self) -> impl Iterator<Item = Version> {
        self.retained.iter().rev().flat_map(|(first, last)| (first.0..=last.0).rev()).map(Version)
    }

    /// How many versions can be read as of this one.
    pub(crate) fn retained_count(&self) -> u64 {
        self.retained.iter().fold(0u64, |sum, (first, last)| sum.saturating_add((last.0 - first.0).saturating_add(1)))
    }

    /// Whether two versions have the same content. Places, times, figures and retained versions do not count. A first owner alone
    /// is no change.
    pub(crate) fn has_same_content(&self, other: &VersionRecord) -> bool {
        self.digest == other.digest
            && self.state_digest() == other.state_digest()
            && self.dependencies.iter().map(Dependency::content).eq(other.dependencies.iter().map(Dependency::content))
            && self.tasks == other.tasks
            && (self.owner.is_none() || other.owner.is_none() || self.owner == other.owner)
    }

    /// What is wrong with the tags.
    fn tag_problem(&self) -> Option<String> {
        let sorted = self.tags.windows(2).all(|pair| pair[0].name < pair[1].name);
        if !sorted || self.tags.len() > MAX_TAGS || self.tags.iter().any(|tag| !Tag::is_name(&tag.name)) {
            return Some("its tags are not sorted and unique, are too many, or have invalid names".to_owned());
        }
        let lost = self.tags.iter().find(|tag| !self.retains(tag.version))?;
        Some(format!("it has a tag of version {}, and does not retain it", lost.version))
    }

    /// What is wrong with a record that was read as that of `version`.
    pub(crate) fn problem(&self, version: Version) -> Option<String> {
        let ids: BTreeSet<&LayerId> = self.layers.iter().map(|record| &record.layer.id).collect();
        let sorted = self.layers.windows(2).all(|pair| pair[0].layer.id < pair[1].layer.id);
        let tables_sorted = self.state.windows(2).all(|pair| pair[0].table < pair[1].table);
        let roots = self.layers.iter().map(|l| &l.root).chain(self.state.iter().map(|s| &s.root));
        if self.version != version {
            Some(format!("it is the record of version {}", self.version))
        } else if ids.len() != self.layers.len() || !sorted || !tables_sorted {
            Some("its layers or tables are not sorted and unique".to_owned())
        } else if self.digest != VersionRecord::catalog_digest(&self.layers) {
            Some("its digest does not match its layers".to_owned())
        } else if !self.retains(version) {
            Some("it does not retain itself".to_owned())
        } else if !retained::are_ranges(&self.retained) || self.retained.last().is_some_and(|(_, last)| *last > version)
        {
            Some("its retained versions are not sorted and separate ranges, or come after it".to_owned())
        } else if let Some(problem) = self.tag_problem() {
            Some(problem)
        } else {
            roots.into_iter().find_map(Root::problem)
        }
    }
}

/// Refuses times that RFC 3339 can not express.
pub(crate) fn check_timestamp(time: Timestamp) -> Result<()> {
    const YEAR_10000: u64 = 253_402_300_800_000;
    if time.0 >= YEAR_10000 {
        return Err(Error::invalid(format!("timestamp {} lies after the year 9999", time.0)));
    }
    Ok(())
}

/// Times as people read them: `2026-11-20T23:00:13.000Z`.
pub(crate) mod rfc3339 {
    use super::{Deserialize, Duration, SystemTime, Timestamp};

    /// A time as text; as its number where RFC 3339 can not express it.
    pub(crate) fn show(time: Timestamp) -> String {
        match super::check_timestamp(time) {
            Ok(()) => {
                humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + Duration::from_millis(time.0)).to_string()
            }
            Err(_) => time.0.to_string(),
        }
    }

    pub(super) fn serialize<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        super::check_timestamp(*time).map_err(serde::ser::Error::custom)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(time.0);
        serializer.collect_str(&humantime::format_rfc3339_millis(time))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).map_err(serde::de::Error::custom)?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(serde::de::Error::custom)?;
        u64::try_from(since.as_millis()).map(Timestamp).map_err(serde::de::Error::custom)
    }
}
