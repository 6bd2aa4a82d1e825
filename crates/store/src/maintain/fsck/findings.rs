//! The findings of a check, and what it collects on the way.

use std::collections::BTreeMap;

use deltic_core::{Digest, NameBytes, Version};

use crate::catalog::snapshot::Part;
use crate::format::entry::Codec;
use crate::format::object_name::{ObjectName, PackName};
use crate::maintain::gc::Objects;
use crate::{Error, ErrorKind, Result};

/// What was checked, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Checked {
    /// Records, those of expired versions included.
    pub versions: u64,
    /// Versions that can be read.
    pub retained: u64,
    /// Nodes of their trees; a shared node counts once.
    pub nodes: u64,
    /// Entries of their leaves; a shared leaf counts once.
    pub entries: u64,
    /// The packs that they lie in.
    pub packs: Objects,
    /// Payloads whose bytes were compared with their digest; those in leaves always are.
    pub payloads: u64,
    /// What is wrong, by object; nothing when the catalog is whole.
    pub damage: Vec<Damage>,
    /// What is not as it should be, but harms no version that can be read.
    pub warnings: Vec<Damage>,
    /// The version whose record decides which versions can be read: the latest, or where its record is damaged the newest with a whole
    /// record. That one may retain versions that the damaged one does not, and the sweep may have removed their packs.
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

/// Part of a layer or table that damage affects, in the same way in several versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The versions, as ranges of numbers.
    pub versions: Vec<(Version, Version)>,
    /// The layer or table; none when it is all of them.
    pub part: Option<Part>,
    /// The affected keys come after this one; none when they begin with the first key.
    pub after: Option<NameBytes>,
    /// The last affected key; none when they end with the last key.
    pub last: Option<NameBytes>,
    /// How many entries.
    pub entries: u64,
}

/// A place where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bad {
    /// Everything in a pack.
    Pack(PackName),
    /// The blob that begins at an offset of a pack.
    Blob(PackName, u64),
    /// The records of versions, from one to another.
    Records(Version, Version),
    /// An object that no version is made of.
    Other,
}

/// The findings of the first pass.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) checked: Checked,
    /// The damage at each place, by its index in `checked.damage`.
    pub(super) bad: BTreeMap<Bad, usize>,
    /// What trees refer to in each pack: offset → length, digest, and whether it is a node.
    pub(super) referred: BTreeMap<PackName, BTreeMap<u64, Referred>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Referred {
    pub(super) stored: u64,
    pub(super) digest: Digest,
    pub(super) node: bool,
    pub(super) codec: Codec,
    /// The payload's length; a node's is what is stored.
    pub(super) len: u64,
}

impl Findings {
    /// Records a reference to a place. Two references that differ can not both be right.
    pub(super) fn refer(&mut self, pack: PackName, offset: u64, referred: Referred) {
        let first = *self.referred.entry(pack).or_default().entry(offset).or_insert(referred);
        if first != referred {
            let what = "one place in it is referred to in different ways";
            self.damaged(Bad::Blob(pack, offset), &ObjectName::Pack(pack), what);
        }
    }

    /// Records damage. For a place only the first finding counts. The same text about several places of one object is one damage.
    pub(super) fn damaged(&mut self, bad: Bad, object: &ObjectName, what: impl Into<String>) {
        let (object, what) = (object.to_string(), what.into());
        if self.bad.contains_key(&bad) {
            return;
        }
        let damage = &mut self.checked.damage;
        let same = damage.iter().position(|one| one.object == object && one.what == what);
        let index = same.unwrap_or_else(|| {
            damage.push(Damage { object, what, touches: Vec::new() });
            damage.len() - 1
        });
        if bad != Bad::Other {
            self.bad.insert(bad, index);
        }
    }

    /// Records what harms no version that can be read.
    pub(super) fn warn(&mut self, object: &ObjectName, what: String) {
        self.checked.warnings.push(Damage { object: object.to_string(), what, touches: Vec::new() });
    }
}

/// The text of an error that is about the catalog. Returns other errors: a store that does not answer is no damage.
pub(super) fn reason(error: &Error) -> Result<String> {
    match error.kind() {
        ErrorKind::Corrupt { .. } | ErrorKind::InvalidInput => {}
        _ => return Err(error.clone()),
    }
    let text = error.to_string();
    let what = text.split_once(" is corrupt: ").map_or(text.as_str(), |(_, what)| what);
    Ok(what.trim_end_matches("; restore the object from a copy").to_owned())
}
