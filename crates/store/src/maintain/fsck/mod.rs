//! Checking everything that a catalog holds: records, trees, packs and, if asked for, payloads.
//!
//! Two passes. The first looks at every object once: all records, every node that a retained version refers to, the
//! index of every pack these lie in, and all bytes of these packs. What is shared between versions is looked at once.
//! Only when something is wrong the second pass walks all retained versions to say what of each is touched.

mod findings;
mod pack;
mod records;
mod touched;
mod tree;

use deltic_core::Version;

use crate::Result;
use crate::catalog::Catalog;
use crate::catalog::snapshot::Snapshot;
use crate::format::object_name::ObjectName;

use findings::{Bad, Findings, reason};
pub use findings::{Checked, Damage, Touched};

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
