//! The network by reference trees: the references of a way are declared, level by level, and resolved before the front-end
//! runs.
//!
//! A reference is resolved from one partition alone, and neither a way nor the index alone shows in which tiles the way's
//! nodes are. So a first task writes these tiles, and the second follows them:
//!
//! ```text
//! osm/way ──► ranges (node-places)                             ──► node-tiles   (private)
//! osm/way ──► tiles (node-tiles) ──► nodes (osm/node)          ──► pedestrian-ref-tree
//! ```

use std::collections::{BTreeMap, BTreeSet};

use deltic::prelude::*;

use super::model::{NetworkConfig, Path, draw, encode, network_layer, walkable_ways};
use crate::osm::{Entries, located_in, range};

/// Writes, for each tile of ways, the tiles of their nodes.
#[derive(Debug)]
pub struct NodeTiles;

impl HasLayers for NodeTiles {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["osm/way"]).reference_layers(["node-places"]).output_layers([Layer::tiles(
            "node-tiles",
            Grid::Mercator,
            0..=Tile::MAX_LEVEL,
        )?]))
    }
}

impl RefTreeCompiler for NodeTiles {
    type Value = BTreeSet<Tile>;

    fn structure(&self) -> RefStructure {
        RefStructure::new().reference("ranges", "node-places")
    }

    fn resolve(&self, ways: &Partition, _: &str, to: &mut Targets) -> Result<()> {
        let ids = node_ids(ways)?;
        ids.into_iter().map(range).collect::<BTreeSet<_>>().into_iter().for_each(|range| to.add(range));
        Ok(())
    }

    fn compile_in(&self, ways: &Input, found: &References, out: &mut Emit<Self::Value>, _: &Context) -> Result<()> {
        let mut tiles = BTreeSet::new();
        let ids = node_ids(ways)?;
        for (_, entries) in found.named("ranges")? {
            let entries = entries.map_or(Ok(Entries::new()), Partition::json)?;
            tiles.extend(entries.into_iter().filter(|(id, _)| ids.contains(id)).filter_map(|(_, tile)| tile));
        }
        out.emit("node-tiles", ways.name(), tiles);
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, tiles: Values<Self::Value>, _: &Context) -> Result<Option<Payload>> {
        let tiles: BTreeSet<Tile> = tiles.flatten().collect();
        Ok(Some(Payload::from_json(&tiles)?))
    }
}

/// Draws ways through the nodes that the tree leads to.
#[derive(Debug)]
pub struct NetworkTree(pub NetworkConfig);

impl HasLayers for NetworkTree {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["osm/way"])
            .reference_layers(["node-tiles", "osm/node"])
            .output_layers([network_layer("pedestrian-ref-tree", &self.0)?]))
    }
}

impl RefTreeCompiler for NetworkTree {
    type Value = Path;

    fn structure(&self) -> RefStructure {
        RefStructure::new().reference("tiles", "node-tiles").below("tiles", "nodes", "osm/node")
    }

    fn resolve(&self, partition: &Partition, reference: &str, to: &mut Targets) -> Result<()> {
        match reference {
            "tiles" => to.add(partition.name()),
            _ => partition.json::<Vec<Tile>>()?.into_iter().for_each(|tile| to.add(tile)),
        }
        Ok(())
    }

    fn compile_in(&self, input: &Input, found: &References, out: &mut Emit<Path>, _: &Context) -> Result<()> {
        let ways = walkable_ways(input)?;
        let ids = node_ids(input)?;
        let mut nodes = BTreeMap::new();
        for (_, partition) in found.named("nodes")? {
            if let Some(partition) = partition {
                nodes.extend(located_in(partition, |id| ids.contains(&id))?);
            }
        }
        for (tile, path) in draw(&ways, &nodes, &self.0) {
            out.emit("pedestrian-ref-tree", tile, path);
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, paths: Values<Path>, _: &Context) -> Result<Option<Payload>> {
        Ok(Some(encode(paths)?))
    }
}

/// The nodes of the ways of a partition that may be walked.
fn node_ids(ways: &Partition) -> Result<BTreeSet<u64>> {
    Ok(walkable_ways(ways)?.into_iter().flat_map(|way| way.nodes).collect())
}
