//! `node-changes`: by tile, how often each of its nodes has changed.

use std::collections::BTreeMap;

use deltic::prelude::*;

use super::memory::{LAYER, Memory};

/// The content of a partition, as JSON: in how many versions a node changed, by id. Nodes that never changed are left out,
/// and so are tiles without other nodes.
pub type Counts = BTreeMap<u64, u64>;

/// Puts the known facts about nodes back into their tiles.
#[derive(Debug)]
pub struct CountChanges;

impl HasLayers for CountChanges {
    fn layers(&self) -> Result<Layers> {
        let layer = Layer::tiles("node-changes", Grid::Mercator, [crate::osm::LEVEL])?;
        Ok(Layers::new().input_layers([LAYER]).output_layers([layer.with_content_type("application/json")]))
    }
}

impl MapGroupCompiler for CountChanges {
    type Value = Counts;

    fn compile_in(&self, input: &Input, out: &mut Emit<Counts>, _: &Context) -> Result<()> {
        let mut tiles: BTreeMap<Tile, Counts> = BTreeMap::new();
        for (id, known) in input.json::<Memory>()? {
            if known.changes > 0 {
                tiles.entry(known.tile).or_default().insert(id, known.changes);
            }
        }
        for (tile, counts) in tiles {
            out.emit("node-changes", tile, counts);
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, ranges: Values<Counts>, _: &Context) -> Result<Option<Payload>> {
        let counts: Counts = ranges.flatten().collect();
        Ok(Some(Payload::from_json(&counts)?))
    }
}
