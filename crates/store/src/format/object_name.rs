//! The names of a catalog's objects. Every path that is read or written comes from here, so that one object never
//! has two spellings.

use std::fmt;
use std::str::FromStr;

use deltic_core::{RunId, Version};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The longest record of a version.
pub(crate) const MAX_RECORD_BYTES: u64 = 64 << 20;

/// An object of a catalog, relative to its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ObjectName {
    /// `catalog.json`: written once, at creation.
    Catalog,
    /// `versions/<20 digits>`: written once; the name is never freed.
    Version(Version),
    /// `versions/latest`: a hint that is overwritten by every commit.
    Latest,
    /// `packs/<base>-<run>-<seq>`: payloads and nodes.
    Pack(PackName),
    /// `progress/<base>-<run>-<seq>`: checkpoints of a run that has not committed; named as packs are.
    Progress(PackName),
    /// `probe-<run>`: exists only while a catalog is being created.
    Probe(RunId),
}

/// The name of a pack. It holds the run that wrote the pack and that run's base, so the name alone shows what a lost run left
/// behind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackName {
    /// The version that the run started from.
    pub base: Version,
    /// The run.
    pub run: RunId,
    /// A number that the run increments with each pack.
    pub seq: u32,
}

/// A pack, or another object that is named like one, as a listing has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedPack {
    /// Its name.
    pub name: PackName,
    /// Its length in bytes.
    pub bytes: u64,
}

impl ObjectName {
    pub(crate) fn path(&self) -> Path {
        Path::from(self.to_string())
    }

    /// The greatest length that it can have. A longer object is not read. Packs and checkpoints are read by ranges, and each range
    /// has its own bound.
    pub(crate) fn max_bytes(&self) -> u64 {
        match self {
            ObjectName::Latest => 64,
            ObjectName::Catalog | ObjectName::Probe(_) => 1 << 20,
            ObjectName::Version(_) | ObjectName::Pack(_) | ObjectName::Progress(_) => MAX_RECORD_BYTES,
        }
    }

    /// Parses a name; none when no object has it. Accepts one spelling only.
    pub(crate) fn parse(text: &str) -> Option<ObjectName> {
        let name = match text.split_once('/') {
            None if text == "catalog.json" => ObjectName::Catalog,
            None => ObjectName::Probe(RunId(u64::from_str_radix(text.strip_prefix("probe-")?, 16).ok()?)),
            Some(("versions", "latest")) => ObjectName::Latest,
            Some(("versions", number)) => ObjectName::Version(Version(number.parse().ok()?)),
            Some(("packs", name)) => ObjectName::Pack(name.parse().ok()?),
            Some(("progress", name)) => ObjectName::Progress(name.parse().ok()?),
            Some(_) => return None,
        };
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectName::Catalog => f.write_str("catalog.json"),
            ObjectName::Version(version) => write!(f, "versions/{:020}", version.0),
            ObjectName::Latest => f.write_str("versions/latest"),
            ObjectName::Pack(pack) => write!(f, "packs/{pack}"),
            ObjectName::Progress(name) => write!(f, "progress/{name}"),
            ObjectName::Probe(run) => write!(f, "probe-{run}"),
        }
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}-{:04x}", self.base.0, self.run, self.seq)
    }
}

impl fmt::Debug for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackName({self})")
    }
}

impl FromStr for PackName {
    type Err = Error;

    fn from_str(text: &str) -> Result<PackName> {
        let bad = || Error::invalid(format!("`{}` is not a pack name", text.escape_debug()));
        let mut parts = text.split('-');
        let mut number = || parts.next().and_then(|part| u64::from_str_radix(part, 16).ok()).ok_or_else(bad);
        let (base, run, seq) = (number()?, number()?, number()?);
        let name = PackName { base: Version(base), run: RunId(run), seq: u32::try_from(seq).map_err(|_| bad())? };
        // One spelling only: a name must print as it was read.
        if name.to_string() == text { Ok(name) } else { Err(bad()) }
    }
}

impl TryFrom<String> for PackName {
    type Error = Error;
    fn try_from(text: String) -> Result<PackName> {
        text.parse()
    }
}

impl From<PackName> for String {
    fn from(name: PackName) -> String {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pack_names_have_one_text_form() {
        let name = PackName { base: Version(42), run: RunId(7), seq: 3 };
        assert_eq!(name.to_string(), "000000000000002a-0000000000000007-0003");
        assert_eq!(name.to_string().parse::<PackName>().unwrap(), name);
        let many = PackName { seq: 0x12345, ..name };
        assert_eq!(many.to_string().parse::<PackName>().unwrap(), many);
        for bad in
            ["", "2a-7-3", "000000000000002A-0000000000000007-0003", "000000000000002a-0000000000000007-00003", "x"]
        {
            assert!(bad.parse::<PackName>().is_err(), "{bad}");
        }
        assert!("000000000000002a-0000000000000007-0003-1".parse::<PackName>().is_err());
    }

    #[test]
    fn names_are_read_back() {
        let pack = PackName { base: Version(42), run: RunId(7), seq: 3 };
        for name in [
            ObjectName::Catalog,
            ObjectName::Version(Version(0)),
            ObjectName::Version(Version(u64::MAX)),
            ObjectName::Latest,
            ObjectName::Pack(pack),
            ObjectName::Progress(pack),
            ObjectName::Probe(RunId(7)),
        ] {
            assert_eq!(ObjectName::parse(&name.to_string()), Some(name));
        }
        for other in
            ["", "versions", "versions/", "versions/42", "versions/+0000000000000000042", "other/latest", "probe-7"]
        {
            assert_eq!(ObjectName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn versions_sort_as_text() {
        assert_eq!(ObjectName::Version(Version(42)).to_string(), "versions/00000000000000000042");
        assert!(ObjectName::Version(Version(9)).to_string() < ObjectName::Version(Version(10)).to_string());
    }
}
