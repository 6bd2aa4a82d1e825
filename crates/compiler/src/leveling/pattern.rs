//! From a tile to its leveling point.

use deltic_core::Tile;

use crate::error::Result;
use crate::io::context::Context;

/// All leveling points at one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedPattern {
    level: u8,
}

impl FixedPattern {
    /// Points at this level.
    pub fn new(level: u8) -> FixedPattern {
        FixedPattern { level }
    }

    /// The ancestor at the pattern's level. A tile at that level or above is its own point.
    pub fn point_of(self, tile: Tile) -> Tile {
        tile.ancestor(self.level).unwrap_or(tile)
    }
}

/// Leveling points from a layer of tiles, such as the one that a [`Leveling`](crate::Leveling) makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdaptivePattern {
    layer: String,
}

impl AdaptivePattern {
    /// The points in a layer, which must be among the reading task's layers.
    pub fn new(layer: &str) -> AdaptivePattern {
        AdaptivePattern { layer: layer.to_owned() }
    }

    /// The nearest point at or above a tile; `None` where there is none. The caller runs again only when the answer changes, not for other
    /// changes of the points.
    ///
    /// Cost: a look-up for each level from the tile's up to the point's, and each is recorded in the state. Errors: as for
    /// [`Context::exists`]; the layer must take tiles of all these levels.
    pub fn point_of(&self, tile: Tile, context: &Context<'_>) -> Result<Option<Tile>> {
        // Upwards: every absent tile on the way would be the answer if it appeared. A search downwards would also read tiles above the
        // answer, whose changes do not matter.
        let mut at = Some(tile);
        while let Some(tile) = at {
            if context.exists(&self.layer, tile)? {
                return Ok(Some(tile));
            }
            at = tile.parent();
        }
        Ok(None)
    }
}
