//! Checking everything that a catalog holds: records, trees, packs and, if asked for, payloads.
//!
//! Two passes. The first looks at every object once: all records, every node that a retained version refers to, the
//! index of every pack these lie in, and all bytes of these packs. What is shared between versions is looked at once.
//! Only when something is wrong the second pass walks all retained versions to say what of each is touched.

mod pack;
mod touched;
mod tree;

use std::collections::BTreeMap;

use deltic_core::{Digest, NameBytes, Version};

use crate::catalog::{Catalog, RECORDS_AHEAD};
use crate::gc::Objects;
use crate::object::{ObjectName, PackName};
use crate::record::{VersionRecord, minus};
use crate::snapshot::{Part, Snapshot};
use crate::{Error, ErrorKind, Result};

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Checked {
    /// Records, those of expired versions included.
    pub versions: u64,
    /// Versions that can be read.
    pub retained: u64,
    /// Nodes of their trees, shared ones once.
    pub nodes: u64,
    /// Entries of their leaves, those of shared leaves once.
    pub entries: u64,
    /// The packs that they lie in.
    pub packs: Objects,
    /// Payloads whose bytes were compared with their digest; those in leaves always are.
    pub payloads: u64,
    /// What is wrong, by object; nothing when the catalog is whole.
    pub damage: Vec<Damage>,
}

/// Something that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The object, relative to the catalog's root.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// What can not be read because of it.
    pub touches: Vec<Touched>,
}

/// Part of a layer or table that is touched by damage, in the same way in several versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The versions, as ranges of numbers.
    pub versions: Vec<(Version, Version)>,
    /// The layer or table; none when it is all of them.
    pub part: Option<Part>,
    /// The keys that are touched come after this one; none when they begin with the first.
    pub after: Option<NameBytes>,
    /// The last key that is touched; none when they end with the last.
    pub last: Option<NameBytes>,
    /// How many entries.
    pub entries: u64,
}

/// A place where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Bad {
    /// Everything in a pack.
    Pack(PackName),
    /// The blob that begins at an offset of a pack.
    Blob(PackName, u64),
    /// The records of versions, from one to another.
    Records(Version, Version),
    /// An object that no version is made of.
    Other,
}

/// What is found in the first pass.
struct Findings {
    checked: Checked,
    /// Which damage there is at a place, by its index in what is found.
    bad: BTreeMap<Bad, usize>,
    /// What trees say lies in each pack: offset → length, digest, and whether it is a node.
    referred: BTreeMap<PackName, BTreeMap<u64, Referred>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Referred {
    stored: u64,
    digest: Digest,
    node: bool,
    codec: crate::tree::Codec,
    /// The payload's length; a node's is what is stored.
    len: u64,
}

impl Findings {
    /// Notes what is referred to at a place. Two that differ can not both be right.
    fn refer(&mut self, pack: PackName, offset: u64, referred: Referred) {
        let known = *self.referred.entry(pack).or_default().entry(offset).or_insert(referred);
        if known != referred {
            let what = "one place in it is referred to in different ways";
            self.damaged(Bad::Blob(pack, offset), &ObjectName::Pack(pack), what);
        }
    }

    /// Notes that something is wrong; with a place only what is found there first. What is said in the same words of
    /// several places of an object is one damage.
    fn damaged(&mut self, bad: Bad, object: &ObjectName, what: impl Into<String>) {
        let (object, what) = (object.to_string(), what.into());
        if self.bad.contains_key(&bad) {
            return;
        }
        let damage = &mut self.checked.damage;
        let known = damage.iter().position(|known| known.object == object && known.what == what);
        let index = known.unwrap_or_else(|| {
            damage.push(Damage { object, what, touches: Vec::new() });
            damage.len() - 1
        });
        if bad != Bad::Other {
            self.bad.insert(bad, index);
        }
    }
}

impl Catalog {
    /// Checks all that retained versions are made of; with `payloads` also every byte of the payloads.
    ///
    /// Damage is a finding and no error: fails only when the store does not answer, when there is no catalog, or when
    /// the latest version can not be found. Safe beside anything else; when versions expire and are swept meanwhile, begin
    /// again. Cost: reads all metadata once and the index of each pack, with `payloads` all packs. Memory: a record for
    /// each blob that is referred to.
    pub fn fsck(&self, payloads: bool) -> Result<Checked> {
        let latest = self.latest()?;
        let mut findings = Findings { checked: Checked::default(), bad: BTreeMap::new(), referred: BTreeMap::new() };
        if let Err(error) = self.check_catalog_record(&latest) {
            findings.damaged(Bad::Other, &ObjectName::Catalog, reason(&error)?);
        }
        let retained = self.check_records(&latest, &mut findings)?;
        findings.checked.retained = retained.len() as u64;
        tree::check(&retained, &mut findings)?;
        pack::check(self, payloads, &mut findings)?;
        let Findings { mut checked, bad, .. } = findings;
        touched::by(&bad, &latest, &retained, &mut checked.damage)?;
        Ok(checked)
    }

    /// Checks the records of all versions and that they form one line; the retained ones that can be read, newest first.
    fn check_records(&self, latest: &Snapshot, findings: &mut Findings) -> Result<Vec<Snapshot>> {
        let mut retained = Vec::new();
        let mut after: Option<Snapshot> = None;
        let (versions, gaps) = to_look_for(latest.version(), self.root().versions()?);
        for batch in versions.chunks(RECORDS_AHEAD) {
            // All at once; and one by one where one of them is damaged.
            let found: Vec<Result<Snapshot>> = match self.records(batch) {
                Ok(found) => found.into_iter().map(Ok).collect(),
                Err(_) => batch.iter().map(|one| self.records(&[*one]).map(|mut one| one.swap_remove(0))).collect(),
            };
            for (version, found) in batch.iter().zip(found) {
                findings.checked.versions += 1;
                let (object, bad) = (ObjectName::Version(*version), Bad::Records(*version, *version));
                match found {
                    Err(error) => {
                        findings.damaged(bad, &object, reason(&error)?);
                        after = None;
                    }
                    Ok(snapshot) => {
                        let after_it = after.as_ref().filter(|after| after.version() == version.next());
                        if let Some(what) = after_it.and_then(|after| wrong_parent(after.record(), &snapshot)) {
                            findings.damaged(bad, &object, what);
                        }
                        if latest.record().retains(*version) {
                            retained.push(snapshot.clone());
                        }
                        after = Some(snapshot);
                    }
                }
            }
        }
        for (first, last) in gaps {
            let what = format!(
                "the object is missing, and so are those of all versions up to {last}, although later versions are there"
            );
            findings.damaged(Bad::Records(first, last), &ObjectName::Version(first), what);
        }
        Ok(retained)
    }
}

/// The longest row of missing records of which each is looked for, and named. A record may have any number.
const MOST_MISSING: u64 = 64;

/// The versions up to the latest whose records are to be read, newest first, by those that are there; and the rows of numbers
/// between these that are too long to look for each.
fn to_look_for(latest: Version, mut there: Vec<Version>) -> (Vec<Version>, Vec<(Version, Version)>) {
    there.retain(|version| *version < latest);
    let (mut versions, mut gaps) = (vec![latest], Vec::new());
    let mut next = latest.0;
    let mut missing = |versions: &mut Vec<Version>, row: std::ops::Range<u64>| {
        if row.end - row.start <= MOST_MISSING {
            versions.extend(row.rev().map(Version));
        } else {
            gaps.push((Version(row.start), Version(row.end - 1)));
        }
    };
    for version in there.into_iter().rev() {
        missing(&mut versions, version.0 + 1..next);
        versions.push(version);
        next = version.0;
    }
    missing(&mut versions, 0..next);
    (versions, gaps)
}

/// Says what does not fit between a version and the one that follows it.
fn wrong_parent(after: &VersionRecord, parent: &Snapshot) -> Option<String> {
    let version = after.version;
    if after.parent != Some(parent.record_digest()) {
        return Some(format!("it is not the parent that version {version} names"));
    }
    if after.catalog != parent.uuid() {
        return Some(format!("it is of another catalog than version {version}"));
    }
    let retained = minus(&after.retained, &[(version, version)]);
    let revived = minus(&retained, &parent.record().retained);
    revived.first().map(|(one, _)| format!("version {version} retains version {one}, which had expired before"))
}

/// What is wrong, if it is the catalog that is; a store that does not answer says nothing about it.
fn reason(error: &Error) -> Result<String> {
    match error.kind() {
        ErrorKind::Corrupt { .. } | ErrorKind::InvalidInput => {}
        _ => return Err(error.clone()),
    }
    let text = error.to_string();
    let what = text.split_once(" is corrupt: ").map_or(text.as_str(), |(_, what)| what);
    Ok(what.trim_end_matches("; restore the object from a copy").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_is_bounded_by_what_is_there() {
        let numbers = |numbers: &[u64]| numbers.iter().copied().map(Version).collect::<Vec<_>>();
        assert_eq!(to_look_for(Version(3), numbers(&[0, 1, 2, 3, 9])), (numbers(&[3, 2, 1, 0]), vec![]));
        assert_eq!(to_look_for(Version(0), vec![]), (numbers(&[0]), vec![]), "it was read");
        assert_eq!(to_look_for(Version(5), numbers(&[1, 5])), (numbers(&[5, 4, 3, 2, 1, 0]), vec![]));
        let (versions, gaps) = to_look_for(Version(1 << 62), numbers(&[0, 1 + MOST_MISSING, 99_999]));
        assert_eq!(versions.len() as u64, 1 + 1 + 1 + MOST_MISSING + 1);
        let gap = |first, last| (Version(first), Version(last));
        assert_eq!(gaps, [gap(100_000, (1 << 62) - 1), gap(2 + MOST_MISSING, 99_998)]);
        let (versions, gaps) = to_look_for(Version(2 + MOST_MISSING), numbers(&[0]));
        assert_eq!((versions.len(), gaps), (2, vec![gap(1, 1 + MOST_MISSING)]));
        assert_eq!(to_look_for(Version(u64::MAX), vec![]).1, [gap(0, u64::MAX - 1)]);
    }
}
