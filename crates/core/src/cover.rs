//! The tiles in which a box has points: all of one level, or few of mixed levels.
//!
//! First a box becomes a [`Window`]: the columns and rows of one level in which it has points, by [`Grid::tile_at`]. From then on all
//! arithmetic is on whole numbers. The search goes from the root downwards, and only to tiles that the window reaches. So the cost
//! depends on the number of tiles found, not on the size of the box.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::tile::check_level;
use crate::{BoundingBox, Error, Grid, Result, Tile};

impl Grid {
    /// All tiles of a level that a box has points in, in tile order.
    ///
    /// Edges count: a box that ends where a tile begins has points in that tile, if [`Grid::tile_at`] puts them there. Lazy, with an exact
    /// size hint; each tile costs at most a walk down from the root.
    pub fn tiles(self, area: &BoundingBox, level: u8) -> Result<impl Iterator<Item = Tile> + Clone + fmt::Debug> {
        let window = Window::new(self, area, level)?;
        Ok(Tiles { left: window.count(Tile::ROOT), window, pending: vec![Tile::ROOT] })
    }

    /// A few tiles that together hold every point of a box, in tile order. None is deeper than `level`, and none lies within another.
    ///
    /// If `max_tiles` are enough, these are exactly the tiles of `level` in which the box has points; four siblings become their parent.
    /// Otherwise the cover is coarser and reaches beyond the box. The search starts with the root and divides tiles as long as the limit
    /// allows: first the one where each additional tile saves the most area outside of the box. Area is measured on the grid's own map.
    /// On average the cover has one percent more area than the smallest possible one, and at worst less than 50 percent more.
    ///
    /// Cost: about `max_tiles` divisions, whatever the size of the box. Fails when `level` is beyond 31 or
    /// `max_tiles` is 0.
    pub fn cover(self, area: &BoundingBox, level: u8, max_tiles: usize) -> Result<Vec<Tile>> {
        let window = Window::new(self, area, level)?;
        if max_tiles == 0 {
            return Err(Error::new("a box can not be covered with 0 tiles: allow at least 1"));
        }
        let mut cover = Vec::new();
        let mut candidates = BinaryHeap::from([window.candidate(Tile::ROOT)]);
        while let Some(Candidate { gain, tile: Reverse(tile), parts }) = candidates.pop() {
            let others = cover.len() + candidates.len();
            if gain == 0 || others + parts.len() > max_tiles {
                cover.push(tile);
            } else {
                candidates.extend(parts.into_iter().map(|part| window.candidate(part)));
            }
        }
        cover.sort_unstable();
        Ok(cover)
    }
}

/// The columns and rows of a level that a box has points in.
#[derive(Debug, Clone)]
struct Window {
    level: u8,
    /// One range, or two for a box that crosses the end of the map.
    columns: Vec<RangeInclusive<u32>>,
    rows: RangeInclusive<u32>,
}

/// A tile of a cover, and the gain of dividing it. The greatest is the one to divide next.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Six times the area outside of the window, in tiles of the window's level, for each tile that dividing adds.
    /// The factor makes it a whole number. 0 when there is nothing to gain.
    gain: u128,
    /// Decides between equal gains: the first in tile order.
    tile: Reverse<Tile>,
    /// The children that the window reaches.
    parts: Vec<Tile>,
}

impl Window {
    fn new(grid: Grid, area: &BoundingBox, level: u8) -> Result<Window> {
        check_level(level)?;
        Ok(Window { level, columns: grid.columns(area, level), rows: grid.rows(area, level) })
    }

    /// How many tiles of the window are in a tile, which must not be deeper than the window.
    fn count(&self, tile: Tile) -> u64 {
        let below = self.level - tile.level();
        let columns: u64 = self.columns.iter().map(|columns| overlap(tile.x(), below, columns)).sum();
        columns * overlap(tile.y(), below, &self.rows)
    }

    /// The children of a tile that the window reaches; none when the tile is as deep as the window.
    fn parts(&self, tile: Tile) -> impl DoubleEndedIterator<Item = Tile> {
        let children = tile.children().filter(|_| tile.level() < self.level);
        children.into_iter().flatten().filter(|child| self.count(*child) > 0)
    }

    fn candidate(&self, tile: Tile) -> Candidate {
        let waste = (1 << (2 * (self.level - tile.level()))) - self.count(tile);
        let parts: Vec<Tile> = if waste > 0 { self.parts(tile).collect() } else { Vec::new() };
        let gain = match parts.len() {
            0 => 0,
            // The only part replaces the tile, so the number of tiles does not grow.
            1 => u128::MAX,
            more => u128::from(waste) * 6 / (more as u128 - 1),
        };
        Candidate { gain, tile: Reverse(tile), parts }
    }
}

/// How many of the `2^below` columns (or rows) that one column becomes `below` levels deeper lie in `range`.
fn overlap(column: u32, below: u8, range: &RangeInclusive<u32>) -> u64 {
    let first = u64::from(column) << below;
    let end = first + (1 << below);
    (u64::from(*range.end()) + 1).min(end).saturating_sub(u64::from(*range.start()).max(first))
}

/// The tiles of a window in order: a walk through the tree that skips what the window does not reach.
#[derive(Debug, Clone)]
struct Tiles {
    window: Window,
    /// How many tiles are left.
    left: u64,
    /// The tiles that are left to visit, the next one last.
    pending: Vec<Tile>,
}

impl Iterator for Tiles {
    type Item = Tile;

    fn next(&mut self) -> Option<Tile> {
        loop {
            let tile = self.pending.pop()?;
            if tile.level() == self.window.level {
                self.left -= 1;
                return Some(tile);
            }
            self.pending.extend(self.window.parts(tile).rev());
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match usize::try_from(self.left) {
            Ok(left) => (left, Some(left)),
            Err(_) => (usize::MAX, None),
        }
    }
}
