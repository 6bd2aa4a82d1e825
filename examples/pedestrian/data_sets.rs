//! The network by data sets: ways resolve the index, then the tiles of nodes that it names, and are grouped by tile.
//!
//! All steps before the shuffle fuse into the front-end of one stage, which makes the same reads as the tracked one.

use std::collections::{BTreeMap, BTreeSet};

use deltic::prelude::*;

use super::model::{NetworkConfig, draw, encode, network_layer, walkable_ways};
use crate::osm::{Entries, Located, Node, Way, range, read_lines};

/// The plan: one stage, which publishes `pedestrian-data-sets`.
pub fn network(config: NetworkConfig) -> Result<DataPlan> {
    let plan = DataPlan::new("pedestrian").version("1").configured(&config);
    let places = plan.layer::<String>("node-places").map_values(|partition| partition.json::<Entries>());
    let nodes = plan.layer::<Tile>("osm/node").map_values(|partition| read_lines::<Node>(&partition));
    let ways = plan.layer::<Tile>("osm/way").map_values(|partition| walkable_ways(&partition));

    let with_tiles = ways.resolve(
        &places,
        |_, ways| Ok(node_ids(ways).into_iter().map(range).collect::<BTreeSet<_>>().into_iter().collect()),
        |_, ways, found| {
            let ids = node_ids(&ways);
            let entries = found.into_iter().filter_map(|(_, entries)| entries).flatten();
            let tiles = entries.filter(|(id, _)| ids.contains(id)).filter_map(|(_, tile)| tile);
            Ok((tiles.collect::<BTreeSet<Tile>>(), ways))
        },
    );
    let drawn = with_tiles.resolve(
        &nodes,
        |_, (tiles, _)| Ok(tiles.iter().copied().collect()),
        move |_, (_, ways), found| {
            let ids = node_ids(&ways);
            let mut located = BTreeMap::new();
            for (tile, nodes) in found {
                let wanted = nodes.into_iter().flatten().filter(|node| ids.contains(&node.id));
                located.extend(wanted.map(|node| (node.id, Located { tile, point: node.point() })));
            }
            Ok(draw(&ways, &located, &config))
        },
    );
    drawn
        .group_by(|_, drawn| Ok(drawn))
        .publish_with(network_layer("pedestrian-data-sets", &config)?, |_, paths| Ok(Some(encode(paths)?)));
    Ok(plan)
}

fn node_ids(ways: &[Way]) -> BTreeSet<u64> {
    ways.iter().flat_map(|way| &way.nodes).copied().collect()
}
