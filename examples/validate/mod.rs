//! Validating the topology of a map: do the nodes of ways and the members of relations exist? Problems are listed by
//! tile, and counts are added up the tree of tiles, level by level, to one verdict.
//!
//! ```text
//! osm/node, way, relation ──► node-places, way-places, relation-places ─┐ (read)
//!                                                                       ▼
//! osm/way, relation ───────────────────────────────────────────────► topology ─┬─► problems
//!                                                                              └─► metrics-14
//! metrics-14 ──► metrics-12 ──► metrics-10 ──► metrics-8 ──► metrics-0 ──► assessment
//! ```
//!
//! Each step reads the layer that the one before it has just published, so a change goes up the tree only as far as it
//! changes a sum. (c) OpenStreetMap contributors, ODbL 1.0

mod assessment;
mod metrics;
mod roll_up;
mod topology;

use deltic::prelude::*;

pub use assessment::{Assessment, Criterion, Limits, Verdict};
pub use metrics::{Metrics, add, metrics_layer};
pub use roll_up::RollUp;
pub use topology::{Finding, Problem, Topology};

use crate::osm::{self, Kind, LEVEL, Places};
use crate::replay::Example;

/// The example.
pub const EXAMPLE: Example = Example {
    about: "Validates the topology of OpenStreetMap, version after version",
    data: osm::ANDORRA,
    inputs: &[("osm", 0)],
    setup,
    show: "problems",
};

/// The levels that metrics are summed up at, each from the one before.
pub const LEVELS: [u8; 5] = [LEVEL, 12, 10, 8, 0];

/// Registers the indexes, the check, a task for each step up, and the verdict.
pub fn setup(setup: &mut Setup) -> Result<()> {
    let limits: Limits = setup.config("assessment")?;
    for kind in Kind::ALL {
        setup.add(Task::new(&format!("{kind}-places"), MapGroup(Places(kind)))?.version("1"))?;
    }
    setup.add(Task::new("topology", MapGroup(Topology))?.version("1"))?;
    for step in LEVELS.windows(2) {
        let roll_up = RollUp { from: step[0], to: step[1] };
        setup.add(Task::new(&format!("roll-up-{}", roll_up.to), DirectMany(roll_up))?.version("1"))?;
    }
    setup.add(Task::new("assessment", Direct(Assessment(limits)))?.version("1"))
}
