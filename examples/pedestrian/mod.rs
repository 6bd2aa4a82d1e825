//! The pedestrian network: ways that may be walked, with the geometry of their nodes, by tile.
//!
//! ```text
//! osm/node ─┬─► node-places ──► node-places ─┐ (read)
//!           └───────────────────────┐ (read) │
//!                                   ▼        ▼
//! osm/way ───────────────────────► pedestrian ──► pedestrian   (tiles)
//! ```
//!
//! A way names its nodes by id; where they are stands in other partitions, often in other tiles. The index says in
//! which. Both look-ups are tracked reads, so a way is drawn again when one of its nodes moves, and when a node that it
//! waited for appears. (c) OpenStreetMap contributors, ODbL 1.0

mod model;
mod network;

use deltic::prelude::*;

pub use model::{Path, encode, is_walkable, pedestrian_layer, walkable_ways};
pub use network::{Network, NetworkConfig};

use crate::osm::{self, Kind, Places};
use crate::replay::Example;

/// The example.
pub const EXAMPLE: Example = Example {
    about: "Extracts the pedestrian network of OpenStreetMap, version after version",
    data: osm::ANDORRA,
    inputs: &[("osm", 0)],
    setup,
    show: "pedestrian",
};

/// Registers the index and the network.
pub fn setup(setup: &mut Setup) -> Result<()> {
    let config: NetworkConfig = setup.config("pedestrian")?;
    setup.add(Task::new("node-places", MapGroup(Places(Kind::Node)))?.version("1"))?;
    setup.add(Task::new("pedestrian", MapGroup(Network(config)))?.version("1"))
}
