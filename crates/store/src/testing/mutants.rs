//! Rules of the protocol that tests can leave out, to check that a simulation notices.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use deltic_core::{RunId, Version};

use crate::catalog::publish::publish;
use crate::catalog::rules::Rules;
use crate::format::entry::NodePlace;
use crate::format::node::NodeRef;
use crate::format::object_name::PackName;
use crate::format::record::{VersionRecord, retain};
use crate::maintain::mark::Walk;
use crate::{Catalog, Error, Result, Snapshot};

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// None: the correct code.
    None,
    /// A run that lost makes a later version of packs that are named after its own base.
    LoserRebases,
    /// A new version may refer to what its base does not retain.
    RevivesExpired,
    /// The sweep marks what the latest version needs, and forgets the other retained ones.
    MarksLatestOnly,
    /// The mark skips subtrees of equal digest, wherever they lie.
    MarksByDigest,
    /// A run takes over the checkpoints of a run on another base.
    ResumesAnyBase,
    /// The sweep also removes packs that a run may still refer to.
    SweepsRunning,
}

/// The same catalog, used by code that leaves out a rule, with an empty cache and counters at zero.
pub fn with_mutant(catalog: &Catalog, mutant: Mutant) -> Catalog {
    catalog.with_rules(Arc::new(mutant))
}

impl Rules for Mutant {
    fn may_refer_to(&self, base: &VersionRecord, version: Version) -> bool {
        *self == Mutant::RevivesExpired || base.retains(version)
    }

    fn bases_to_take_over(&self, base: Version) -> RangeInclusive<Version> {
        if *self == Mutant::ResumesAnyBase { Version(0)..=Version(u64::MAX) } else { base..=base }
    }

    fn after_conflict(&self, catalog: &Catalog, record: VersionRecord, error: Error) -> Result<Snapshot> {
        if *self != Mutant::LoserRebases {
            return Err(error);
        }
        let latest = catalog.latest()?;
        let version = latest.version().next();
        let retained = retain(&latest.record().retained, version);
        publish(catalog, VersionRecord { version, parent: Some(latest.record_digest()), retained, ..record })
    }

    fn may_sweep(&self, base: Version, latest: Version) -> bool {
        *self == Mutant::SweepsRunning || base < latest
    }

    fn marks_retained(&self) -> bool {
        *self != Mutant::MarksLatestOnly
    }

    fn identity(&self, node: &NodeRef) -> NodePlace {
        if *self != Mutant::MarksByDigest {
            return node.place;
        }
        // A fake place for each digest, at which no node lies.
        let number =
            |at: usize| node.digest.as_bytes()[at..at + 8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let pack = PackName { base: Version(number(0)), run: RunId(number(8)), seq: 0 };
        NodePlace { pack, offset: number(16), stored: number(24) }
    }
}

/// The packs that hold the nodes and payloads of a version.
pub fn packs_of(snapshot: &Snapshot) -> Result<BTreeSet<PackName>> {
    let mut packs: BTreeSet<PackName> = snapshot.trees().filter_map(|(_, tree)| Some(tree.root.place?.pack)).collect();
    Walk::new().version(snapshot, &mut |_, node| packs.extend(node.columns().packs()))?;
    Ok(packs)
}
