//! The pedestrian network: ways that may be walked, with the geometry of their nodes, by tile.
//!
//! ```text
//! osm/node ─┬─► node-places ──► node-places ─┐ (read)
//!           └───────────────────────┐ (read) │
//!                                   ▼        ▼
//! osm/way ───────────────────────► pedestrian ──► pedestrian   (tiles)
//! ```
//!
//! A way names its nodes by id. Their positions are in other partitions, often in other tiles, which the index gives. Both
//! look-ups are tracked reads, so a way is drawn again when one of its nodes moves, and when a missing node appears.
//! (c) OpenStreetMap contributors, ODbL 1.0
//!
//! The same network is made in two other ways, into layers of their own, whose digests are equal at every version. Of
//! the three files the one with tracked reads is the shortest:
//!
//! | module | layer | how a way finds its nodes | lines of code |
//! |---|---|---|---|
//! | `tracked` | `pedestrian` | it reads what it needs, when it needs it | 32, and 21 in `osm` that look ids up |
//! | `ref_tree` | `pedestrian-ref-tree` | references are declared, and given to the front-end | 92 |
//! | `data_sets` | `pedestrian-data-sets` | a set of ways resolves the index, then sets of nodes | 40 |

mod data_sets;
mod model;
mod ref_tree;
#[cfg(test)]
mod tests;
mod tracked;

use deltic::prelude::*;

pub use data_sets::network;
pub use model::{NetworkConfig, Path, draw, encode, is_walkable, network_layer, walkable_ways};
pub use ref_tree::{NetworkTree, NodeTiles};
pub use tracked::Network;

use crate::osm::{self, Kind, Places};
use crate::replay::Example;

/// The example.
pub const EXAMPLE: Example = Example {
    about: "Extracts the pedestrian network of OpenStreetMap in three ways, version after version",
    data: osm::ANDORRA,
    inputs: &[("osm", 0)],
    setup: three_ways,
    show: "pedestrian",
};

/// The layers of the network, and the tasks that make each: equal at every version.
pub const WAYS: [(&str, &[&str]); 3] = [
    ("pedestrian", &["pedestrian"]),
    ("pedestrian-ref-tree", &["node-tiles", "pedestrian-ref-tree"]),
    ("pedestrian-data-sets", &["pedestrian.pedestrian-data-sets"]),
];

/// Registers the index and the network by tracked reads.
pub fn setup(setup: &mut Setup) -> Result<()> {
    let config: NetworkConfig = setup.config("pedestrian")?;
    setup.add(Task::new("node-places", MapGroup(Places(Kind::Node)))?.version("1"))?;
    setup.add(Task::new("pedestrian", MapGroup(Network(config)))?.version("1"))
}

/// Registers the same, and the network in the two other ways.
pub fn three_ways(all: &mut Setup) -> Result<()> {
    setup(all)?;
    let config: NetworkConfig = all.config("pedestrian")?;
    let tiles = Task::new("node-tiles", RefTree(NodeTiles))?.version("1");
    all.add(tiles.keep_private("node-tiles")?)?;
    let tree = Task::new("pedestrian-ref-tree", RefTree(NetworkTree(config)))?.version("1");
    all.add(tree.configured(recordable(&config)?))?;
    network(config)?.register(all)
}
