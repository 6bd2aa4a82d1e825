//! The rules that let writers and sweepers work beside each other without locks, each as a question.
//!
//! `docs/format.md`, section 7, and the header of [`gc`](crate::maintain::gc) say why they are enough. A catalog asks its rules
//! and never decides by itself, so that a simulation can take one away and see that it notices.

use std::ops::RangeInclusive;

use deltic_core::Version;

use super::Catalog;
use super::snapshot::Snapshot;
use crate::format::entry::NodePlace;
use crate::format::node::NodeRef;
use crate::format::record::VersionRecord;
use crate::{Error, Result};

/// The rules, as they are meant where nothing else is defined.
pub(crate) trait Rules: Send + Sync {
    /// Whether the version after `base` may refer to what a version refers to (rule G2).
    fn may_refer_to(&self, base: &VersionRecord, version: Version) -> bool {
        base.retains(version)
    }

    /// The bases whose runs a run on `base` may take packs over from (rule G2).
    fn bases_to_take_over(&self, base: Version) -> RangeInclusive<Version> {
        base..=base
    }

    /// What becomes of a record that another run was faster than: nothing, which is the error.
    fn after_a_loss(&self, _catalog: &Catalog, _record: VersionRecord, error: Error) -> Result<Snapshot> {
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

    /// What two versions must agree on for a node, and all below it, to be one and the same: where it lies. Equal digests would
    /// not do: equal nodes may name other places of what is below them.
    fn identity(&self, node: &NodeRef) -> NodePlace {
        node.place
    }
}

/// The rules as they are meant.
pub(crate) struct Protocol;

impl Rules for Protocol {}
