//! The compilers of a leveling.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use deltic_core::{Grid, Key, Layer, Payload, Tile};

use crate::error::Result;
use crate::io::context::Context;
use crate::io::emit::{Emit, Outputs};
use crate::io::layers::{HasLayers, Layers};
use crate::io::out_key::OutKey;
use crate::io::partition::Input;
use crate::io::values::Values;
use crate::patterns::direct::DirectCompiler;
use crate::patterns::map_group::MapGroupCompiler;

/// Returns the weights of a partition, each with its tile.
pub(super) type Weigh = dyn Fn(&Input) -> Result<Vec<(Tile, u64)>> + Send + Sync;

/// The layers of a leveling. The name of a layer for one level ends in that level.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) layer: String,
    pub(super) grid: Grid,
    pub(super) coarsest: u8,
    pub(super) finest: u8,
}

impl Names {
    /// The tiles' own weights, at a level.
    fn weights(&self, level: u8) -> String {
        format!("{}.weights-{level}", self.layer)
    }

    /// The weights of tiles at a level, with all that is below them.
    fn sums(&self, level: u8) -> String {
        if level == self.finest { self.weights(level) } else { format!("{}.sum-{level}", self.layer) }
    }

    /// The heavy tiles.
    fn heavy(&self) -> String {
        format!("{}.heavy", self.layer)
    }

    /// The tiles of the coarsest level that hold a weight.
    fn top(&self) -> String {
        format!("{}.top", self.layer)
    }

    fn tiles(&self, layer: &str, levels: impl IntoIterator<Item = u8>) -> Result<Layer> {
        Ok(Layer::tiles(layer, self.grid, levels)?)
    }
}

/// Adds weights up. Fails when the sum overflows.
fn add(weights: impl Iterator<Item = Result<u64>>) -> Result<u64> {
    let mut sum = 0u64;
    for weight in weights {
        sum = sum.checked_add(weight?).context("the sum of weights exceeds 64 bits")?;
    }
    Ok(sum)
}

fn read(input: &Input) -> Result<u64> {
    input.text()?.parse().with_context(|| format!("{} does not hold a weight", input.key))
}

/// From inputs to the weights of tiles.
pub(super) struct Weights {
    pub(super) names: Names,
    pub(super) inputs: Vec<String>,
    pub(super) weigh: Arc<Weigh>,
}

impl HasLayers for Weights {
    fn layers(&self) -> Result<Layers> {
        let levels = self.names.coarsest..=self.names.finest;
        let outputs =
            levels.map(|level| self.names.tiles(&self.names.weights(level), [level])).collect::<Result<Vec<_>>>()?;
        Ok(Layers::new().input_layers(&self.inputs).output_layers(outputs))
    }
}

impl MapGroupCompiler for Weights {
    type Value = u64;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, u64>, _: &Context<'_>) -> Result<()> {
        let Names { coarsest, finest, .. } = self.names;
        for (tile, weight) in (self.weigh)(input)? {
            ensure!(
                tile.level() >= coarsest,
                "tile `{tile}` has a weight but is of level {}: leveling points start at level {coarsest}",
                tile.level()
            );
            let tile = tile.ancestor(finest).unwrap_or(tile);
            // A tile without weight must not exist.
            if weight > 0 {
                out.emit(&self.names.weights(tile.level()), tile, weight);
            }
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, weights: Values<'_, u64>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(add(weights.map(Ok))?.to_string().into()))
    }
}

/// From the sums of the level below, and the weights of a level, to the sums of that level.
pub(super) struct Sums {
    pub(super) names: Names,
    pub(super) level: u8,
}

impl HasLayers for Sums {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers([self.names.sums(self.level + 1), self.names.weights(self.level)])
            .output_layers([self.names.tiles(&self.names.sums(self.level), [self.level])?]))
    }
}

impl DirectCompiler for Sums {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        if let Some(tile) = key.name.tile().and_then(|tile| tile.ancestor(self.level)) {
            out.add(&self.names.sums(self.level), tile);
        }
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(add(inputs.iter().map(read))?.to_string().into()))
    }
}

/// From the sums of all levels to the heavy tiles. Their partitions are empty, so readers see a change only where a tile becomes heavy or
/// light.
pub(super) struct Heavy {
    pub(super) names: Names,
    pub(super) threshold: u64,
}

impl HasLayers for Heavy {
    fn layers(&self) -> Result<Layers> {
        let Names { coarsest, finest, .. } = self.names;
        let heavy = self.names.tiles(&self.names.heavy(), coarsest..=finest)?;
        Ok(Layers::new()
            .input_layers((coarsest..=finest).map(|level| self.names.sums(level)))
            .output_layers([heavy, self.names.tiles(&self.names.top(), [coarsest])?]))
    }
}

impl DirectCompiler for Heavy {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add(&self.names.heavy(), &key.name);
        if key.name.tile().is_some_and(|tile| tile.level() == self.names.coarsest) {
            out.add(&self.names.top(), &key.name);
        }
    }

    fn compile(&self, output: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let is_top = output.layer.as_str() == self.names.top();
        Ok((is_top || add(inputs.iter().map(read))? > self.threshold).then(Payload::default))
    }
}

/// From heavy tiles to the points at them and right below them.
pub(super) struct Points(pub(super) Names);

impl HasLayers for Points {
    fn layers(&self) -> Result<Layers> {
        let levels = || self.0.coarsest..=self.0.finest;
        let references = levels().map(|level| self.0.weights(level)).chain(levels().map(|level| self.0.sums(level)));
        Ok(Layers::new()
            .input_layers([self.0.heavy(), self.0.top()])
            .reference_layers(references)
            // All levels, so that a tile of any level can be looked up.
            .output_layers([self.0.tiles(&self.0.layer, 0..=Tile::MAX_LEVEL)?]))
    }
}

impl DirectCompiler for Points {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        let Some(tile) = key.name.tile() else { return };
        out.add(&self.0.layer, tile);
        if key.layer.layer.as_str() == self.0.heavy() && tile.level() < self.0.finest {
            tile.children().into_iter().flatten().for_each(|child| out.add(&self.0.layer, child));
        }
    }

    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let tile = output.name.tile().with_context(|| format!("`{output}` is not a tile"))?;
        let heavy = self.0.heavy();
        let is_heavy =
            inputs.iter().any(|input| *input.name() == output.name && input.key.layer.layer.as_str() == heavy);
        // A point is a light tile right below a heavy one that holds a weight, or a heavy tile with a weight of its own.
        let wanted = if is_heavy { self.0.weights(tile.level()) } else { self.0.sums(tile.level()) };
        Ok(context.exists(&wanted, tile)?.then(Payload::default))
    }
}
