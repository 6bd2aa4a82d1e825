//! The rules by which writers and sweeps work beside each other without locks. Each rule is one method.
//!
//! `docs/format.md`, section 7, and the header of [`gc`](crate::maintain::gc) explain why they are enough. A catalog asks its
//! rules and never decides by itself. So a simulation can take one rule away, and check that it notices.

use std::ops::RangeInclusive;

use deltic_core::Version;

use super::Catalog;
use super::snapshot::Snapshot;
use crate::format::entry::NodePlace;
use crate::format::node::NodeRef;
use crate::format::record::VersionRecord;
use crate::{Error, Result};

/// The rules. The default methods are the protocol.
pub(crate) trait Rules: Send + Sync {
    /// Whether the version after `base` may refer to what a version refers to (rule G2).
    fn may_refer_to(&self, base: &VersionRecord, version: Version) -> bool {
        base.retains(version)
    }

    /// The bases whose runs a run on `base` may take packs over from (rule G2).
    fn bases_to_take_over(&self, base: Version) -> RangeInclusive<Version> {
        base..=base
    }

    /// What happens to a record when another run was faster: nothing, the commit fails.
    fn after_conflict(&self, _catalog: &Catalog, _record: VersionRecord, error: Error) -> Result<Snapshot> {
        Err(error)
    }

    /// Whether the sweep removes an unmarked pack that was written on `base`, as of the version `latest`.
    fn may_sweep(&self, base: Version, latest: Version) -> bool {
        base < latest
    }

    /// Whether the mark visits, besides the latest version, those that it retains.
    fn marks_retained(&self) -> bool {
        true
    }

    /// Identifies a node with all that is below it: by its place. Two versions that refer to the same place share everything below
    /// it. Equal digests are not enough: equal nodes may refer to different places of what is below them.
    fn identity(&self, node: &NodeRef) -> NodePlace {
        node.place
    }
}

/// The protocol: every rule is in force.
pub(crate) struct Protocol;

impl Rules for Protocol {}
