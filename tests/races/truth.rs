//! The state after a race: every version that a process got an acknowledgement for exists, complete, and there are no others.

use std::collections::BTreeMap;

use deltic::core::{LayerId, Name, Version};
use deltic::store::{Catalog, Snapshot, Stores};

use crate::racer::{Ack, Kind, PARTITIONS, Race, content};

/// Returns everything that is wrong. It reads everything again.
pub(crate) fn problems(race: &Race, acks: &[Ack]) -> Vec<String> {
    let catalog = Catalog::open(&Stores::new(), race.catalog.url()).unwrap();
    let mut problems = Vec::new();
    let mut told: BTreeMap<Version, &Ack> = BTreeMap::new();
    for ack in acks {
        if let Some(other) = told.insert(ack.version, ack) {
            problems.push(format!("version {} was acknowledged twice: to {other:?} and {ack:?}", ack.version));
        }
    }
    // Fails where a version is not the parent that the next one names.
    let mut versions: Vec<Snapshot> = match catalog.log().collect() {
        Ok(versions) => versions,
        Err(error) => {
            problems.push(format!("the versions can not be read: {error}"));
            return problems;
        }
    };
    versions.reverse();
    if !versions.iter().map(|snapshot| snapshot.version().0).eq(0..=acks.len() as u64) {
        problems.push(format!("{} versions were acknowledged, and {} are there", acks.len(), versions.len() - 1));
    }
    let mut rounds: BTreeMap<u64, u64> = BTreeMap::new();
    for snapshot in versions.iter().skip(1) {
        let version = snapshot.version();
        let Some(ack) = told.get(&version) else {
            problems.push(format!("version {version} is there, and nobody was told so"));
            continue;
        };
        if snapshot.record().run != ack.run || snapshot.digest() != ack.digest {
            problems.push(format!("version {version} is not that of {ack:?}"));
        }
        rounds.insert(ack.writer, ack.round);
        problems.extend(wrong_content(race.kind, snapshot, ack, &rounds));
    }
    problems.extend(catalog.fsck(true).unwrap().damage.iter().map(|damage| format!("{damage:?}")));
    problems
}

/// The required content of a version: for imports the last one of each writer so far, for runs the output of its own run.
fn wrong_content(kind: Kind, snapshot: &Snapshot, ack: &Ack, rounds: &BTreeMap<u64, u64>) -> Option<String> {
    let (layer, expected): (&str, BTreeMap<u64, String>) = match kind {
        Kind::Import => ("a", rounds.iter().map(|(writer, round)| (*writer, content(*writer, *round))).collect()),
        Kind::Run => ("x", (0..PARTITIONS).map(|name| (name, content(ack.writer, ack.round))).collect()),
    };
    let tree = snapshot.tree(&LayerId::new(layer).unwrap())?;
    let wrong = |why: String| Some(format!("version {}: {why}", snapshot.version()));
    if tree.count() != expected.len() as u64 {
        return wrong(format!("{} partitions of {}", tree.count(), expected.len()));
    }
    for (name, expected) in expected {
        let found = tree.get(&Name::generic(&name.to_string()).unwrap().to_bytes()).unwrap();
        let found = found.map(|entry| tree.read(&entry).unwrap());
        if found.as_ref().map(|payload| payload.bytes().as_ref()) != Some(expected.as_bytes()) {
            return wrong(format!("partition {name} is {found:?}"));
        }
    }
    None
}
