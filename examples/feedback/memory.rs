//! `node-memory`: each node as it was in the last run, and in how many versions it had changed until then.
//!
//! The task reads its own earlier output, so it needs no other record of the past. A partition holds a range of ids, as in
//! the index of nodes, so a node that moves into another tile is still the same node. Each partition reads only its own
//! predecessor: the reads of a run do not depend on the content, and a run over known nodes gives the same result again.

use std::collections::BTreeMap;

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

use crate::osm::{Node, Point, Tags, range, read_lines};
use crate::replay::BEFORE;

/// The private layer that is written, and read in its earlier version.
pub(super) const LAYER: &str = "node-memory";

/// The known facts about nodes, by id.
pub type Memory = BTreeMap<u64, Known>;

/// The known facts about a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The tile that it is in.
    pub tile: Tile,
    /// The current node.
    pub node: State,
    /// In how many versions it was moved, or its tags changed. A node that is deleted and comes back begins at 0.
    pub changes: u64,
}

/// The parts of a node that can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its position.
    pub point: Point,
    /// Its tags.
    pub tags: Tags,
}

/// Remembers nodes.
#[derive(Debug)]
pub struct Remember;

impl HasLayers for Remember {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["osm/node"])
            .reference_layers([format!("{BEFORE}/{LAYER}")])
            .output_layers([Layer::generic(LAYER)?.with_content_type("application/json")]))
    }
}

impl MapGroupCompiler for Remember {
    /// The nodes that a tile has in a range.
    type Value = BTreeMap<u64, State>;

    fn compile_in(&self, input: &Input, out: &mut Emit<Self::Value>, _: &Context) -> Result<()> {
        let mut ranges: BTreeMap<String, Self::Value> = BTreeMap::new();
        for node in read_lines::<Node>(input)? {
            let state = State { point: node.point(), tags: node.tags };
            ranges.entry(range(node.id)).or_default().insert(node.id, state);
        }
        for (range, nodes) in ranges {
            out.emit(LAYER, range, nodes);
        }
        Ok(())
    }

    fn compile_out(&self, out: &OutKey, tiles: Values<Self::Value>, context: &Context) -> Result<Option<Payload>> {
        let before = context.read(&format!("{BEFORE}/{LAYER}"), &out.name)?;
        let before: Memory = before.map_or(Ok(Memory::new()), |before| before.json())?;
        let mut memory = Memory::new();
        for (key, nodes) in tiles.with_keys() {
            let tile = key.name.tile().with_context(|| format!("{key} is no tile"))?;
            for (id, node) in nodes {
                let changes = before.get(&id).map_or(0, |known| known.changes + u64::from(known.node != node));
                if let Some(twice) = memory.insert(id, Known { tile, node, changes }) {
                    bail!("node {id} is in two partitions, {} and {tile}", twice.tile);
                }
            }
        }
        Ok(Some(Payload::from_json(&memory)?))
    }
}
