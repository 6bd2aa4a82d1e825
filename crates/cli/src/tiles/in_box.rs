//! The tiles of a layer that have points in a box of degrees.
//!
//! [`Grid::tiles`](deltic_core::Grid::tiles) lists these for one level. Here one tile is tested, or a whole layer is searched.

use std::collections::BTreeSet;

use deltic_compiler::InBox;
use deltic_core::{BoundingBox, Grid, Layer, Name, NameBytes, Result, Scheme, Tile};

/// The most ranges of keys that a search for the tiles in a box reads.
const MAX_RANGES: usize = 64;

/// A box on the grid of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    grid: Grid,
    bounds: InBox,
}

/// One place to search in a layer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A single partition.
    At(NameBytes),
    /// A tile and everything below it.
    Below(NameBytes),
}

impl Area {
    /// The box on the layer's grid; an error for a layer that holds no tiles.
    pub(crate) fn new(layer: &Layer, bounds: BoundingBox) -> Result<Area> {
        match layer.scheme {
            Scheme::Tile(grid, _) => Ok(Area { grid, bounds: InBox::new(bounds) }),
            Scheme::Generic => Err(deltic_core::Error::new(format!(
                "layer `{}` is generic: a box selects tiles, so leave the box out, or name only layers of tiles",
                layer.id
            ))),
        }
    }

    /// Whether the tile has a point in the box.
    pub(crate) fn contains(&self, tile: Tile) -> bool {
        self.bounds.reaches(self.grid, tile)
    }

    /// Whether a name is a tile that has a point in the box.
    pub(crate) fn holds(&self, name: &Name) -> bool {
        name.tile().is_some_and(|tile| self.contains(tile))
    }

    /// The places to search for the tiles of a layer, in the order of their names. They may hold tiles outside of the box.
    /// Their number is bounded, whatever the size of the box.
    pub(crate) fn looks(&self) -> Result<Vec<Look>> {
        let cover = self.grid.cover(self.bounds.bounds(), Tile::MAX_LEVEL, MAX_RANGES)?;
        let below: BTreeSet<Tile> = cover.into_iter().collect();
        let above: BTreeSet<Tile> =
            below.iter().flat_map(|tile| std::iter::successors(tile.parent(), |tile| tile.parent())).collect();
        let key = |tile: Tile| Name::Tile(tile).to_bytes();
        let all: BTreeSet<Tile> = above.union(&below).copied().collect();
        let look = |tile: Tile| if below.contains(&tile) { Look::Below(key(tile)) } else { Look::At(key(tile)) };
        Ok(all.into_iter().map(look).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes() -> Vec<BoundingBox> {
        let new = |edges: [f64; 4]| BoundingBox::new(edges[0], edges[1], edges[2], edges[3]).unwrap();
        let edges = [
            [0.0, 0.0, 10.0, 10.0],
            [-90.0, -180.0, 90.0, 180.0],
            [46.9, 7.4, 46.9, 7.4],
            [-20.0, 170.0, -10.0, -170.0],
            [10.0, 170.0, 20.0, 180.0],
            [10.0, 180.0, 20.0, 180.0],
            [86.0, -5.0, 89.0, 5.0],
            [-45.0, -90.0, 0.0, 0.0],
            [10.0, 5.0, 20.0, 4.9],
        ];
        edges.map(new).to_vec()
    }

    #[test]
    fn a_tile_is_in_a_box_when_the_grid_says_so() {
        for grid in [Grid::Here, Grid::Mercator] {
            for bounds in boxes() {
                let area = Area { grid, bounds: InBox::new(bounds) };
                for level in 0..=6 {
                    let listed: Vec<Tile> = grid.tiles(&bounds, level).unwrap().collect();
                    let found: Vec<Tile> = Tile::ROOT.descendants(level).filter(|tile| area.contains(*tile)).collect();
                    assert_eq!(found, listed, "{grid} {bounds:?} level {level}");
                }
            }
        }
    }

    #[test]
    fn looks_reach_every_tile_in_the_box() {
        for grid in [Grid::Here, Grid::Mercator] {
            for bounds in boxes() {
                let looks = Area { grid, bounds: InBox::new(bounds) }.looks().unwrap();
                for level in [0, 1, 5] {
                    for tile in grid.tiles(&bounds, level).unwrap() {
                        let key = Name::Tile(tile).to_bytes();
                        let reached = looks.iter().any(|look| match look {
                            Look::At(at) => *at == key,
                            Look::Below(top) => key.starts_with(top),
                        });
                        assert!(reached, "{grid} {bounds:?} {tile}");
                    }
                }
            }
        }
    }
}
