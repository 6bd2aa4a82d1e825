//! Lifting a map to coarser tiles: many tiles of level 14 become one of level 12, and all of them one of level 10.
//!
//! ```text
//! osm/node (14) ─┬─► lift ──► topology (12, 10)
//! osm/way  (14) ─┘
//! ```
//!
//! In a fine tile, most ways have nodes in other tiles. The coarser the tile, the more of its references lead to its
//! own nodes, and these become positions in its list of nodes. (c) OpenStreetMap contributors, ODbL 1.0

mod topology;

use deltic::prelude::*;

pub use topology::{Lift, LiftConfig, Lifted, LiftedWay, Reference};

use crate::osm;
use crate::replay::Example;

/// The example.
pub const EXAMPLE: Example = Example {
    about: "Lifts OpenStreetMap tiles of level 14 to levels 12 and 10, version after version",
    data: osm::ANDORRA,
    inputs: &[("osm", 0)],
    setup,
    show: "topology",
};

/// Registers the task.
pub fn setup(setup: &mut Setup) -> Result<()> {
    let config: LiftConfig = setup.config("lift")?;
    setup.add(Task::new("lift", DirectMany(Lift(config)))?.version("1"))
}
