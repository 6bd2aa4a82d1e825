//! `coverage`: which feeds reach a tile of the map.

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

use super::model::Feed;

/// Covers every feed's area with tiles of mixed levels, and lists in each tile the feeds that reach it.
#[derive(Debug)]
pub struct Coverage(pub CoverageConfig);

/// How finely areas are covered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct CoverageConfig {
    /// The deepest level of the tiles.
    pub level: u8,
    /// The most tiles for one feed: an area as large as the world would have 49,500 tiles of level 8.
    pub tiles: usize,
}

impl Default for CoverageConfig {
    fn default() -> CoverageConfig {
        CoverageConfig { level: 8, tiles: 64 }
    }
}

/// A feed as a tile lists it.
#[derive(Debug, Serialize, Deserialize)]
pub struct FeedArea {
    id: u64,
    provider: String,
    file: String,
}

impl HasLayers for Coverage {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["transit/gtfs-schedule"]).output_layers([Layer::tiles(
            "coverage",
            Grid::Mercator,
            0..=self.0.level,
        )?
        .with_content_type("application/json")]))
    }
}

impl MapGroupCompiler for Coverage {
    type Value = FeedArea;

    fn compile_in(&self, input: &Input, out: &mut Emit<FeedArea>, _: &Context) -> Result<()> {
        let feed = Feed::read(input)?;
        let Some(area) = feed.location.area()? else { return Ok(()) };
        for tile in Grid::Mercator.cover(&area, self.0.level, self.0.tiles)? {
            let line = FeedArea { id: feed.id, provider: feed.provider.clone(), file: input.name().to_string() };
            out.emit("coverage", tile, line);
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, feeds: Values<FeedArea>, _: &Context) -> Result<Option<Payload>> {
        Ok(Some(Payload::from_json_pretty(&feeds.sorted_by_key(|feed| feed.id))?))
    }
}
