//! Checking everything that a catalog holds: records, trees, packs and, if asked for, payloads.
//!
//! Two passes. The first looks at every object once: all records, every node that a retained version refers to, the
//! index of every pack these lie in, and all bytes of these packs. What is shared between versions is looked at once.
//! Only when something is wrong the second pass walks all retained versions to say what of each is touched.

mod pack;
mod records;
mod touched;
mod tree;

use std::collections::BTreeMap;

use deltic_core::{Digest, NameBytes, Version};

use crate::catalog::Catalog;
use crate::catalog::snapshot::{Part, Snapshot};
use crate::format::object_name::{ObjectName, PackName};
use crate::maintain::gc::Objects;
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
    /// What is not as it should be, and harms nothing that can be read.
    pub warnings: Vec<Damage>,
    /// The version whose record says which versions can be read: the latest, or where its record is damaged the newest that
    /// has a whole one. That one may retain versions that the damaged one does not, which may have been swept.
    pub as_of: Option<Version>,
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
#[derive(Default)]
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
    codec: crate::format::entry::Codec,
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

    /// Notes what harms nothing that can be read.
    fn warn(&mut self, object: &ObjectName, what: String) {
        self.checked.warnings.push(Damage { object: object.to_string(), what, touches: Vec::new() });
    }
}

impl Catalog {
    /// Checks all that retained versions are made of; with `payloads` also every byte of the payloads.
    ///
    /// Damage is a finding and no error: fails only when the store does not answer, or when there is no catalog. Safe beside
    /// anything else; when versions expire and are swept meanwhile, begin again. Cost: reads all metadata once and the
    /// index of each pack, with `payloads` all packs. Memory: a record for each blob that is referred to.
    pub fn fsck(&self, payloads: bool) -> Result<Checked> {
        let standing = self.standing()?;
        let listed = self.client().versions()?;
        let mut findings = Findings::default();
        findings.checked.as_of = standing.newest.as_ref().map(Snapshot::version);
        self.check_places(standing.latest, &mut findings)?;
        let is_named = |damage: &Damage| damage.object == ObjectName::Catalog.to_string();
        if let Err(error) = self.check_catalog_record(standing.newest.as_ref())
            && !findings.checked.damage.iter().any(is_named)
        {
            findings.damaged(Bad::Other, &ObjectName::Catalog, reason(&error)?);
        }
        let retained = records::check(self, &standing, &listed, &mut findings)?;
        records::beyond(self, standing.latest, &listed, &mut findings)?;
        records::hint(self, standing.latest, &mut findings)?;
        findings.checked.retained = retained.len() as u64;
        tree::check(&retained, &mut findings)?;
        pack::check(self, payloads, &mut findings)?;
        let Findings { mut checked, bad, .. } = findings;
        touched::by(&bad, &standing, &retained, &mut checked.damage)?;
        Ok(checked)
    }

    /// Names what is in the place of an object and is none: a name that is taken can not be created, and what is there can not
    /// be read.
    fn check_places(&self, latest: Version, findings: &mut Findings) -> Result<()> {
        for (name, what) in self.client().no_files()? {
            let bad = match name {
                ObjectName::Version(version) if version <= latest => Bad::Records(version, version),
                ObjectName::Pack(pack) => Bad::Pack(pack),
                _ => Bad::Other,
            };
            let what =
                format!("it is {what}, and no file: move it away, and restore the object from a copy if it was one");
            findings.damaged(bad, &name, what);
        }
        Ok(())
    }
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
