//! The records of a catalog as JSON: `catalog.json` and one object per version.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use deltic_core::{CatalogId, CatalogUuid, Digest, Hasher, Layer, LayerId, RunId, Scheme, TaskId, Timestamp, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::PackName;
use crate::tree::{Root, Shape};
use crate::{Error, Result};

/// The format that this crate writes, and the only one it reads.
pub const FORMAT: u32 = 1;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VersionRecord {
    /// The format of everything the version refers to.
    pub format: u32,
    /// The catalog it belongs to.
    pub catalog: CatalogUuid,
    /// Its number.
    pub version: Version,
    /// BLAKE3 of the bytes of the record before it; none for version 0.
    pub parent: Option<Digest>,
    /// The run that made it.
    pub run: RunId,
    /// When, by the clock of whoever made it. Informational.
    #[serde(with = "rfc3339")]
    pub created: Timestamp,
    /// What people should know about it.
    pub note: String,
    /// Digest of layers, settings and contents: equal digests, equal catalogs.
    pub digest: Digest,
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
    pub packs: Vec<PackRecord>,
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
    /// What was read, wherever it was found: a number alone does not say which content it stood for.
    pub fn identity(&self) -> (CatalogUuid, Version, Digest) {
        (self.uuid, self.version, self.digest)
    }

    /// Everything but where the catalog was found: the same catalog under another URL is no change.
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

/// A pack that a run wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackRecord {
    /// Its name.
    pub name: PackName,
    /// Its length.
    pub bytes: u64,
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

    /// The versions that can be read as of this one, newest first. A record may name more than there are: read each before
    /// the next is taken, so that the first that is missing is the end.
    pub fn retained_versions(&self) -> impl Iterator<Item = Version> {
        self.retained.iter().rev().flat_map(|(first, last)| (first.0..=last.0).rev()).map(Version)
    }

    /// How many versions can be read as of this one.
    pub(crate) fn retained_count(&self) -> u64 {
        self.retained.iter().fold(0u64, |sum, (first, last)| sum.saturating_add((last.0 - first.0).saturating_add(1)))
    }

    /// Whether two versions say the same: places, times, figures and retained versions aside.
    pub(crate) fn says_the_same(&self, other: &VersionRecord) -> bool {
        self.digest == other.digest
            && self.state_digest() == other.state_digest()
            && self.dependencies.iter().map(Dependency::content).eq(other.dependencies.iter().map(Dependency::content))
            && self.tasks == other.tasks
    }

    /// Says what is wrong with a record that was read as that of `version`.
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
        } else if !are_ranges(&self.retained) || self.retained.last().is_some_and(|(_, last)| *last > version) {
            Some("its retained versions are not sorted and apart, or come after it".to_owned())
        } else {
            roots.into_iter().find_map(Root::problem)
        }
    }
}

/// Adds a version to a retained set, keeping its ranges sorted and apart.
pub(crate) fn retain(retained: &[(Version, Version)], version: Version) -> Vec<(Version, Version)> {
    let mut ranges: Vec<RangeInclusive<u64>> = retained.iter().map(|(first, last)| first.0..=last.0).collect();
    ranges.push(version.0..=version.0);
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<(Version, Version)> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some((_, last)) if *range.start() <= last.0.saturating_add(1) => last.0 = last.0.max(*range.end()),
            _ => merged.push((Version(*range.start()), Version(*range.end()))),
        }
    }
    merged
}

/// Versions as sorted ranges, neither overlapping nor touching.
pub(crate) fn ranges(versions: impl IntoIterator<Item = Version>) -> Vec<(Version, Version)> {
    let versions: BTreeSet<Version> = versions.into_iter().collect();
    let mut ranges: Vec<(Version, Version)> = Vec::new();
    for version in versions {
        match ranges.last_mut() {
            Some((_, last)) if last.next() == version => *last = version,
            _ => ranges.push((version, version)),
        }
    }
    ranges
}

/// What sorted ranges hold that other sorted ranges do not.
pub(crate) fn minus(ranges: &[(Version, Version)], others: &[(Version, Version)]) -> Vec<(Version, Version)> {
    let mut left = Vec::new();
    for &(first, last) in ranges {
        let from = others.partition_point(|(_, to)| *to < first);
        // Where what is left of the range begins; none after the greatest number.
        let mut begin = Some(first);
        for &(from, to) in others[from..].iter().take_while(|(from, _)| *from <= last) {
            left.extend(begin.filter(|begin| *begin < from).map(|begin| (begin, Version(from.0 - 1))));
            begin = to.0.checked_add(1).map(Version);
        }
        left.extend(begin.filter(|begin| *begin <= last).map(|begin| (begin, last)));
    }
    left
}

fn are_ranges(ranges: &[(Version, Version)]) -> bool {
    ranges.iter().all(|(first, last)| first <= last)
        && ranges.windows(2).all(|pair| pair[0].1.0.saturating_add(1) < pair[1].0.0)
}

/// Ranges of versions as people read them: `3, 5-7`.
pub(crate) fn show(ranges: &[(Version, Version)]) -> String {
    let one = |(first, last): &(Version, Version)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Refuses times that RFC 3339 can not say.
pub(crate) fn check_timestamp(time: Timestamp) -> Result<()> {
    const YEAR_10000: u64 = 253_402_300_800_000;
    if time.0 >= YEAR_10000 {
        return Err(Error::invalid(format!("timestamp {} lies after the year 9999", time.0)));
    }
    Ok(())
}

/// Times as people read them: `2026-11-20T23:00:13.000Z`.
mod rfc3339 {
    use super::{Deserialize, Duration, SystemTime, Timestamp};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retained_ranges_merge() {
        let ranges = |pairs: &[(u64, u64)]| pairs.iter().map(|&(a, b)| (Version(a), Version(b))).collect::<Vec<_>>();
        assert_eq!(retain(&[], Version(0)), ranges(&[(0, 0)]));
        assert_eq!(retain(&ranges(&[(0, 3)]), Version(4)), ranges(&[(0, 4)]));
        assert_eq!(retain(&ranges(&[(0, 3)]), Version(9)), ranges(&[(0, 3), (9, 9)]));
        assert_eq!(retain(&ranges(&[(0, 3), (5, 6)]), Version(4)), ranges(&[(0, 6)]));
        assert_eq!(retain(&ranges(&[(0, 3)]), Version(2)), ranges(&[(0, 3)]));
    }

    #[test]
    fn what_is_taken_from_ranges_is_gone() {
        let pairs = |pairs: &[(u64, u64)]| pairs.iter().map(|&(a, b)| (Version(a), Version(b))).collect::<Vec<_>>();
        let end = u64::MAX;
        for (all, without, left) in [
            (&[(0, 1 << 62)][..], &[(5, 5), (9, 1 << 62)][..], &[(0, 4), (6, 8)][..]),
            (&[(0, end)], &[(end, end)], &[(0, end - 1)]),
            (&[(3, 9)], &[(0, 20)], &[]),
            (&[(3, 9)], &[], &[(3, 9)]),
            (&[(3, 9)], &[(0, 3), (9, 9)], &[(4, 8)]),
            (&[(0, 2), (4, 6), (8, 9)], &[(1, 4), (6, 8)], &[(0, 0), (5, 5), (9, 9)]),
        ] {
            assert_eq!(minus(&pairs(all), &pairs(without)), pairs(left), "{all:?} without {without:?}");
        }
        // Against sets, for all small ranges.
        let subsets = || (0..1u32 << 7).map(|bits| ranges((0..7).filter(move |n| bits >> n & 1 == 1).map(Version)));
        let set = |ranges: &[(Version, Version)]| -> BTreeSet<u64> {
            ranges.iter().flat_map(|(first, last)| first.0..=last.0).collect()
        };
        for one in subsets() {
            for two in subsets() {
                let left = minus(&one, &two);
                assert!(are_ranges(&left), "{one:?} {two:?} {left:?}");
                assert_eq!(set(&left), set(&one).difference(&set(&two)).copied().collect::<BTreeSet<_>>());
            }
        }
    }

    #[test]
    fn ranges_are_sorted_and_apart() {
        let found = ranges([7, 3, 5, 6, 5].map(Version));
        assert_eq!(found, [(Version(3), Version(3)), (Version(5), Version(7))]);
        assert!(are_ranges(&found) && show(&found) == "3, 5-7");
        for bad in [[(5, 4), (7, 7)], [(3, 5), (6, 7)], [(6, 7), (3, 3)], [(3, u64::MAX), (5, 5)]] {
            assert!(!are_ranges(&bad.map(|(a, b)| (Version(a), Version(b)))), "{bad:?}");
        }
    }
}
