//! Code that leaves out a rule of the protocol, so that a simulation can be seen to notice.

use std::collections::BTreeSet;

use crate::format::object_name::PackName;
use crate::format::record::{VersionRecord, retain};
use crate::maintain::mark::Walk;
use crate::mutant::Mutant;
use crate::write::commit::publish;
use crate::{Catalog, ErrorKind, Result, Snapshot};

/// The same catalog, read and written by code that leaves out a rule; its cache and counters begin anew.
pub fn with_mutant(catalog: &Catalog, mutant: Mutant) -> Catalog {
    catalog.with_mutant(mutant)
}

/// What [`Mutant::LoserRebases`] does where others report a conflict.
pub(crate) fn after_a_loss(catalog: &Catalog, lost: VersionRecord, published: Result<Snapshot>) -> Result<Snapshot> {
    match published {
        Err(error) if matches!(error.kind(), ErrorKind::Conflict { .. }) && catalog.is_mutant(Mutant::LoserRebases) => {
            let latest = catalog.latest()?;
            let version = latest.version().next();
            let retained = retain(&latest.record().retained, version);
            publish(catalog, VersionRecord { version, parent: Some(latest.record_digest()), retained, ..lost })
        }
        published => published,
    }
}

/// The packs that the nodes of a version and its payloads lie in.
pub fn packs_of(snapshot: &Snapshot) -> Result<BTreeSet<PackName>> {
    let mut packs: BTreeSet<PackName> = snapshot.trees().filter_map(|(_, tree)| Some(tree.root.place?.pack)).collect();
    Walk::new().version(snapshot, &mut |_, node| packs.extend(node.columns().packs()))?;
    Ok(packs)
}
