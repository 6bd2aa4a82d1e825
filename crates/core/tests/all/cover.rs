//! Covers: complete, within the limits, exact where the limit allows it.

use std::collections::BTreeSet;

use deltic_core::{BoundingBox, Grid, Tile};
use proptest::prelude::*;

use crate::grid::{GRIDS, any_box, any_grid, any_point};

fn area(south: f64, west: f64, north: f64, east: f64) -> BoundingBox {
    BoundingBox::new(south, west, north, east).unwrap()
}

/// Points of a box: its corners, and a grid of `steps` by `steps` between them.
fn points(area: &BoundingBox, steps: u32) -> Vec<(f64, f64)> {
    let width = if area.crosses_antimeridian() { area.east() + 360.0 - area.west() } else { area.east() - area.west() };
    let height = area.north() - area.south();
    let mut points = vec![];
    for (column, row) in (0..=steps).flat_map(|column| (0..=steps).map(move |row| (column, row))) {
        let part = |step: u32| f64::from(step) / f64::from(steps);
        let longitude = area.west() + width * part(column);
        let longitude = if longitude > 180.0 { longitude - 360.0 } else { longitude };
        points.push((longitude, area.south() + height * part(row)));
    }
    points.extend([area.west(), area.east()].into_iter().flat_map(|x| [(x, area.south()), (x, area.north())]));
    points.retain(|(longitude, latitude)| area.contains(*longitude, *latitude));
    points
}

/// All tiles of a level that hold a point of a box, found by trying every column and row on its own.
fn exact(grid: Grid, area: &BoundingBox, level: u8) -> BTreeSet<Tile> {
    let at = |longitude, latitude| grid.tile_at(level, longitude, latitude).unwrap();
    let mut longitudes = vec![area.west(), area.east()];
    let mut latitudes = vec![area.south(), area.north()];
    // The edge that a tile owns is in the box if the tile begins within it.
    for index in 0..1u32 << level {
        let diagonal = Tile::new(level, index, index).unwrap();
        if let Ok(bounds) = grid.bounds(diagonal) {
            longitudes.push(bounds.west());
            latitudes.push(if grid == Grid::Here { bounds.south() } else { bounds.north() });
        } else {
            longitudes.push(grid.bounds(Tile::new(level, index, 0).unwrap()).unwrap().west());
        }
    }
    let mut tiles = BTreeSet::new();
    for &longitude in &longitudes {
        for &latitude in latitudes.iter().filter(|latitude| area.contains(longitude, **latitude)) {
            tiles.insert(at(longitude, latitude));
        }
    }
    tiles
}

/// Whole sibling groups as their parents, from the deepest level up.
fn merged(tiles: &BTreeSet<Tile>) -> Vec<Tile> {
    let mut tiles = tiles.clone();
    for level in (0..31).rev() {
        let parents: BTreeSet<Tile> = tiles.iter().filter_map(|tile| tile.ancestor(level)).collect();
        for parent in parents {
            let children = parent.children().unwrap();
            if children.iter().all(|child| tiles.contains(child)) {
                tiles.retain(|tile| !children.contains(tile));
                tiles.insert(parent);
            }
        }
    }
    tiles.into_iter().collect()
}

fn size(tiles: &[Tile]) -> f64 {
    tiles.iter().map(|tile| 0.25f64.powi(i32::from(tile.level()))).sum()
}

/// The smallest area that at most 1, 2, … `max_tiles` tiles below `tile` can cover `exact` with.
fn smallest(tile: Tile, exact: &BTreeSet<Tile>, level: u8, max_tiles: usize) -> Vec<f64> {
    let inside = tile.descendants(level).filter(|tile| exact.contains(tile)).count();
    let whole = size(&[tile]);
    if inside == tile.descendants(level).count() {
        return vec![whole; max_tiles];
    }
    // `sums[n]` is the smallest area with at most n tiles in the children looked at so far.
    let mut sums = vec![0.0; max_tiles + 1];
    for child in tile.children().unwrap() {
        if child.descendants(level).any(|tile| exact.contains(&tile)) {
            let parts = smallest(child, exact, level, max_tiles);
            let best = |n: usize| (1..=n).map(|here| parts[here - 1] + sums[n - here]).fold(f64::INFINITY, f64::min);
            sums = (0..=max_tiles).map(best).collect();
        }
    }
    sums[1..].iter().map(|sum| sum.min(whole)).collect()
}

proptest! {
    #[test]
    fn a_cover_holds_every_point_within_its_limits(
        grid in any_grid(),
        area in any_box(),
        level in 0..=31u8,
        max_tiles in 1..=80usize,
        others in prop::collection::vec(any_point(), 20),
    ) {
        let cover = grid.cover(&area, level, max_tiles).unwrap();
        prop_assert!(!cover.is_empty() && cover.len() <= max_tiles);
        prop_assert!(cover.iter().all(|tile| tile.level() <= level));
        prop_assert!(cover.is_sorted_by(|one, next| one < next && !one.contains(*next)));
        let inside = others.into_iter().filter(|(longitude, latitude)| area.contains(*longitude, *latitude));
        for (longitude, latitude) in points(&area, 9).into_iter().chain(inside) {
            let tile = grid.tile_at(31, longitude, latitude).unwrap();
            prop_assert!(cover.iter().any(|cover| cover.contains(tile)), "{} {}", longitude, latitude);
        }
    }

    #[test]
    fn a_cover_that_fits_is_exact(grid in any_grid(), area in any_box(), level in 0..=5u8) {
        let exact = exact(grid, &area, level);
        let cover = grid.cover(&area, level, 1 << 10).unwrap();
        prop_assert_eq!(&cover, &merged(&exact));
        // The limit may be exactly what is needed.
        prop_assert_eq!(&grid.cover(&area, level, cover.len()).unwrap(), &cover);
    }

    #[test]
    fn the_tiles_of_a_level_are_those_that_hold_a_point(grid in any_grid(), area in any_box(), level in 0..=5u8) {
        let tiles = grid.tiles(&area, level).unwrap();
        let count = tiles.size_hint();
        let tiles: Vec<Tile> = tiles.collect();
        prop_assert_eq!(count, (tiles.len(), Some(tiles.len())));
        prop_assert_eq!(tiles, exact(grid, &area, level).into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn more_tiles_never_cover_more_than_fewer(grid in any_grid(), area in any_box(), level in 0..=12u8) {
        let sizes: Vec<f64> = [1, 4, 16, 64, 256].map(|max| size(&grid.cover(&area, level, max).unwrap())).to_vec();
        prop_assert!(sizes.is_sorted_by(|fewer, more| fewer >= more), "{:?}", sizes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn a_cover_is_not_much_bigger_than_the_smallest_one(grid in any_grid(), area in any_box(), max_tiles in 1..=24usize) {
        let exact: BTreeSet<Tile> = grid.tiles(&area, 5).unwrap().collect();
        let smallest = smallest(Tile::ROOT, &exact, 5, max_tiles)[max_tiles - 1];
        let cover = size(&grid.cover(&area, 5, max_tiles).unwrap());
        prop_assert!((smallest..=smallest * 1.5).contains(&cover), "{} instead of {}", cover, smallest);
    }
}

#[test]
fn boxes_known_from_elsewhere() {
    let tiles = |area: BoundingBox, level| {
        Grid::Mercator.tiles(&area, level).unwrap().map(|tile| (tile.x(), tile.y())).collect::<Vec<_>>()
    };
    assert_eq!(tiles(area(39.99, -105.0, 40.0, -104.99), 14), [(3413, 6202), (3413, 6203)]);
    assert_eq!(tiles(area(5.0, 175.0, 10.0, -175.0), 2), [(0, 1), (3, 1)]);
}

#[test]
fn points_and_lines_have_covers() {
    for grid in GRIDS {
        let point = grid.cover(&area(52.5, 13.4, 52.5, 13.4), 31, 64).unwrap();
        assert_eq!(point, [grid.tile_at(31, 13.4, 52.5).unwrap()]);
        let equator = grid.cover(&area(0.0, -180.0, 0.0, 180.0), 3, 64).unwrap();
        assert_eq!(equator.len(), 8);
        assert!(equator.iter().all(|tile| *tile == grid.tile_at(3, grid.center(*tile).unwrap().0, 0.0).unwrap()));
        let meridian = grid.cover(&area(-90.0, 180.0, 90.0, -180.0), 2, 64).unwrap();
        let columns: BTreeSet<u32> = meridian.iter().map(|tile| tile.x()).collect();
        assert_eq!(columns, if grid == Grid::Here { [0].into() } else { BTreeSet::from([0, 3]) });
    }
}

#[test]
fn the_world_is_few_tiles() {
    let names = |grid: Grid, level, max| {
        let cover = grid.cover(&BoundingBox::WORLD, level, max).unwrap();
        cover.iter().map(Tile::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(Grid::Mercator, 31, 64), ["root"]);
    assert_eq!(names(Grid::Here, 31, 64), ["0", "1"]);
    assert_eq!(names(Grid::Here, 31, 1), ["root"]);
}

#[test]
fn a_cover_over_the_limit_wastes_little() {
    // 47,142 of the 65,536 tiles of level 8, with edges on no round number.
    let wide = area(-71.3, -169.7, 83.9, 171.2);
    let count = Grid::Mercator.tiles(&wide, 8).unwrap().count();
    let cover = Grid::Mercator.cover(&wide, 8, 64).unwrap();
    assert!(cover.len() <= 64);
    let waste = size(&cover) * 65536.0 / count as f64;
    // The best that 64 tiles can do is 1.101.
    assert!((1.101..1.12).contains(&waste), "{waste} for {count}");
}

#[test]
fn limits_that_are_none_are_refused() {
    let world = &BoundingBox::WORLD;
    assert_eq!(Grid::Here.cover(world, 32, 4).unwrap_err().to_string(), "tile level 32 is out of range: 0 to 31");
    assert_eq!(
        Grid::Here.cover(world, 8, 0).unwrap_err().to_string(),
        "a box can not be covered with 0 tiles: allow at least 1"
    );
    assert!(Grid::Mercator.tiles(world, 32).is_err());
    // Nothing is enumerated before it is asked for.
    let all = Grid::Mercator.tiles(world, 31).unwrap();
    assert_eq!(all.size_hint().0, 1 << 62);
    assert_eq!(all.take(2).last().unwrap().here_id(), (1 << 62) + 1);
}
