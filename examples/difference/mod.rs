//! The difference of two versions of a map: what was added, removed and modified, a report for each partition that
//! differs.
//!
//! ```text
//! now/node, way, relation    (the latest version)   ─┬─► difference ──► node-changes, way-changes, relation-changes
//! before/node, way, relation (the one before that)  ─┘
//! ```
//!
//! Both ids are bound to the same catalog: a compiler knows catalogs by symbolic ids, and the job decides at which
//! version each is read. When both advance by a version, only partitions that differ in one of the two steps are
//! compared again. (c) OpenStreetMap contributors, ODbL 1.0

mod compare;
mod report;

use deltic::prelude::*;

pub use compare::Difference;
pub use report::{Change, Line, compare};

use crate::osm;
use crate::replay::Example;

/// The example.
pub const EXAMPLE: Example = Example {
    about: "Reports the difference of OpenStreetMap to the version before, version after version",
    data: osm::ANDORRA,
    inputs: &[("before", 1), ("now", 0)],
    setup,
    show: "way-changes",
};

/// Registers the task.
pub fn setup(setup: &mut Setup) -> Result<()> {
    setup.add(Task::new("difference", DirectMany(Difference))?.version("1"))
}
