//! Checking everything that a catalog holds: records, trees, packs and, if asked for, payloads.
//!
//! Two passes. The first checks every object once: all records, every node that a retained version refers to, the index of every
//! pack that these lie in, and, if asked for, all payloads in these packs. What versions share is checked once. The second pass
//! runs only when something is wrong: it walks all retained versions and finds which of their entries are affected.

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
    /// Damage is a finding, not an error: fails only when the store does not answer, or when there is no catalog. Safe beside
    /// anything else; when versions expire and are swept meanwhile, run it again. Cost: reads all metadata once and the
    /// index of each pack, with `payloads` all packs. Memory: a record for each blob that is referred to.
    pub fn fsck(&self, payloads: bool) -> Result<Checked> {
        let tip = self.tip()?;
        let listed = self.client().versions()?;
        let mut findings = Findings::default();
        findings.checked.as_of = tip.newest.as_ref().map(Snapshot::version);
        self.check_places(tip.latest, &mut findings)?;
        let is_named = |damage: &Damage| damage.object == ObjectName::Catalog.to_string();
        if let Err(error) = self.check_catalog_record(tip.newest.as_ref())
            && !findings.checked.damage.iter().any(is_named)
        {
            findings.damaged(Bad::Other, &ObjectName::Catalog, reason(&error)?);
        }
        let retained = records::check(self, &tip, &listed, &mut findings)?;
        records::beyond(self, tip.latest, &listed, &mut findings)?;
        records::hint(self, tip.latest, &mut findings)?;
        findings.checked.retained = retained.len() as u64;
        tree::check(&retained, &mut findings)?;
        pack::check(self, payloads, &mut findings)?;
        let Findings { mut checked, bad, .. } = findings;
        touched::by(&bad, &tip, &retained, &mut checked.damage)?;
        Ok(checked)
    }

    /// Finds what has the name of an object and is not a file. It can not be read, and the object can not be created.
    fn check_places(&self, latest: Version, findings: &mut Findings) -> Result<()> {
        for (name, what) in self.client().not_files()? {
            let bad = match name {
                ObjectName::Version(version) if version <= latest => Bad::Records(version, version),
                ObjectName::Pack(pack) => Bad::Pack(pack),
                _ => Bad::Other,
            };
            let what =
                format!("it is {what}, not a file: move it away, and restore the object from a copy if there was one");
            findings.damaged(bad, &name, what);
        }
        Ok(())
    }
}
