//! The counts of a tile, and how the counts of several tiles are added up.

use std::collections::BTreeMap;

use deltic::prelude::*;

/// Counts by name: `way`, `way-node` (references from ways to nodes), `way-node-dangling`, and so on.
pub type Metrics = BTreeMap<String, u64>;

/// Adds counts to others.
pub fn add(sum: &mut Metrics, metrics: Metrics) {
    for (name, count) in metrics {
        *sum.entry(name).or_default() += count;
    }
}

/// The layer of the metrics of a level. Elements that are not in one tile of that level are counted in a coarser one.
pub fn metrics_layer(level: u8) -> Result<Layer> {
    let layer = Layer::tiles(&format!("metrics-{level}"), Grid::Mercator, 0..=level)?;
    Ok(layer.with_content_type("application/json"))
}
