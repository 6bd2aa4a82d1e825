//! Grids: points to tiles and back, edges, and boxes.

use deltic_core::{BoundingBox, Grid, Tile};
use proptest::prelude::*;

use crate::tile::any_tile;

pub(crate) const GRIDS: [Grid; 2] = [Grid::Here, Grid::Mercator];

pub(crate) fn any_grid() -> impl Strategy<Value = Grid> {
    prop::sample::select(GRIDS.to_vec())
}

/// A longitude or latitude; edges of tiles and the ends of the range turn up often.
fn degrees(limit: f64) -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -limit..=limit,
        2 => (0..=64i32).prop_map(move |step| limit * f64::from(step - 32) / 32.0),
        1 => prop::sample::select(vec![-limit, limit, 0.0, -1e-300, 85.0511287798066]),
    ]
}

pub(crate) fn any_point() -> impl Strategy<Value = (f64, f64)> {
    (degrees(180.0), degrees(90.0))
}

/// Any box; one in two crosses the antimeridian, one in eight is a point or a line.
pub(crate) fn any_box() -> impl Strategy<Value = BoundingBox> {
    (any_point(), any_point(), 0..16u8).prop_map(|((west, one), (east, other), flat)| {
        let (one, east) = (if flat & 3 == 1 { other } else { one }, if flat & 5 == 1 { west } else { east });
        BoundingBox::new(one.min(other), west, one.max(other), east).unwrap()
    })
}

fn bounds(grid: Grid, tile: Tile) -> (f64, f64, f64, f64) {
    let bounds = grid.bounds(tile).unwrap();
    (bounds.south(), bounds.west(), bounds.north(), bounds.east())
}

proptest! {
    #[test]
    fn a_point_is_within_the_bounds_of_its_tile(grid in any_grid(), (longitude, latitude) in any_point(), level in 0..=31u8) {
        let tile = grid.tile_at(level, longitude, latitude).unwrap();
        let (south, west, north, east) = bounds(grid, tile);
        // At 180 degrees the `here` grid starts over; beyond its last rows the `mercator` grid has no edge.
        let longitude = if grid == Grid::Here && longitude == 180.0 { -180.0 } else { longitude };
        let limit = bounds(Grid::Mercator, Tile::ROOT).2;
        let latitude = if grid == Grid::Mercator { latitude.clamp(-limit, limit) } else { latitude };
        prop_assert!(west <= longitude && (longitude < east || east == 180.0));
        prop_assert!(south <= latitude && latitude <= north);
        match grid {
            Grid::Here => prop_assert!(latitude < north || north == 90.0),
            Grid::Mercator => prop_assert!(south < latitude || south == -limit),
        }
    }

    #[test]
    fn levels_agree_about_a_point(grid in any_grid(), (longitude, latitude) in any_point(), level in 0..31u8) {
        let deep = grid.tile_at(31, longitude, latitude).unwrap();
        prop_assert_eq!(deep.ancestor(level), Some(grid.tile_at(level, longitude, latitude).unwrap()));
    }

    #[test]
    fn the_middle_of_a_tile_is_in_it(grid in any_grid(), tile in any_tile()) {
        if !grid.is_on_earth(tile) {
            prop_assert!(grid.bounds(tile).is_err() && grid.center(tile).is_err());
            return Ok(());
        }
        let (longitude, latitude) = grid.center(tile).unwrap();
        prop_assert!(grid.bounds(tile).unwrap().contains(longitude, latitude));
        prop_assert_eq!(grid.tile_at(tile.level(), longitude, latitude).unwrap(), tile);
    }

    #[test]
    fn the_corner_that_a_tile_owns_is_in_it(grid in any_grid(), tile in any_tile()) {
        if grid.is_on_earth(tile) {
            let (south, west, north, _) = bounds(grid, tile);
            let latitude = if grid == Grid::Here { south } else { north };
            prop_assert_eq!(grid.tile_at(tile.level(), west, latitude).unwrap(), tile);
        }
    }

    #[test]
    fn children_share_the_edges_of_their_parent(grid in any_grid(), tile in any_tile()) {
        let Some(children) = tile.children().filter(|_| grid.is_on_earth(tile) && tile.level() > 0) else {
            return Ok(());
        };
        let (south, west, north, east) = bounds(grid, tile);
        let first = if grid == Grid::Here { [0, 1, 2, 3] } else { [2, 3, 0, 1] };
        let [sw, se, nw, ne] = first.map(|index| bounds(grid, children[index]));
        prop_assert_eq!([sw.0, se.0, sw.1, nw.1, nw.2, ne.2, se.3, ne.3], [south, south, west, west, north, north, east, east]);
        prop_assert_eq!([sw.2, se.2, sw.3, nw.3], [nw.0, ne.0, se.1, ne.1]);
    }

    #[test]
    fn boxes_meet_where_they_have_a_point_in_common(one in any_box(), other in any_box(), points in prop::collection::vec(any_point(), 20)) {
        prop_assert_eq!(one.intersects(&other), other.intersects(&one));
        prop_assert!(one.intersects(&one) && one.intersects(&BoundingBox::WORLD));
        // Where they meet, the westernmost and southernmost edge of what they share are edges of the two.
        let edges = |of: fn(&BoundingBox) -> f64| [of(&one), of(&other)];
        let shared = edges(BoundingBox::west).iter().any(|&west| edges(BoundingBox::south).iter().any(|&south| {
            one.contains(west, south) && other.contains(west, south)
        }));
        prop_assert_eq!(one.intersects(&other), shared);
        let common = points.iter().any(|&(longitude, latitude)| one.contains(longitude, latitude) && other.contains(longitude, latitude));
        prop_assert!(!common || shared);
    }

    #[test]
    fn points_that_are_none_are_refused(grid in any_grid(), longitude in any::<f64>(), latitude in any::<f64>(), level in any::<u8>()) {
        let legal = longitude.abs() <= 180.0 && latitude.abs() <= 90.0 && level <= 31;
        prop_assert_eq!(grid.tile_at(level, longitude, latitude).is_ok(), legal);
        prop_assert_eq!(BoundingBox::new(latitude, longitude, latitude, longitude).is_ok(), longitude.abs() <= 180.0 && latitude.abs() <= 90.0);
    }
}

#[test]
fn tiles_of_cities_in_the_here_grid() {
    for (level, longitude, latitude, id) in [
        (14, 13.36937, 52.52507, 377894440), // Berlin, central station
        (12, 13.405, 52.52, 23618402),       // Berlin
        (10, 13.405, 52.52, 1476150),
        (1, -74.0, 40.7, 4),  // New York: the western half
        (1, 151.2, -33.9, 5), // Sydney: the eastern half
    ] {
        assert_eq!(Grid::Here.tile_at(level, longitude, latitude).unwrap().here_id(), id);
    }
    let berlin = Tile::from_here_id(377894440).unwrap();
    assert_eq!(bounds(Grid::Here, berlin), (52.5146484375, 13.359375, 52.53662109375, 13.38134765625));
    let wider = Tile::from_here_id(1476150).unwrap();
    assert_eq!(bounds(Grid::Here, wider), (52.3828125, 13.359375, 52.734375, 13.7109375));
}

#[test]
fn tiles_of_cities_in_the_mercator_grid() {
    for (quadkey, longitude, latitude) in [
        ("0313131311", -0.1278, 51.5074),     // London
        ("120221210", 7.4474, 46.948),        // Bern
        ("120021311", 10.75, 59.91),          // Oslo
        ("211200012122", -43.1729, -22.9068), // Rio de Janeiro
        ("032010110301", -74.006, 40.7128),   // New York
        ("0", -105.0, 40.0),
        ("300", 0.0, 0.0),
    ] {
        let tile = Grid::Mercator.tile_at(quadkey.len() as u8, longitude, latitude).unwrap();
        assert_eq!(tile.to_string(), quadkey);
    }
    let at = |level, longitude, latitude| {
        let tile = Grid::Mercator.tile_at(level, longitude, latitude).unwrap();
        (tile.x(), tile.y())
    };
    assert_eq!(at(9, -105.939, 35.687), (105, 201));
    assert_eq!(at(9, 20.6852, 40.1222), (285, 193));
    let (south, west, north, east) = bounds(Grid::Mercator, Tile::new(10, 486, 332).unwrap());
    assert_eq!((west, east), (-9.140625, -8.7890625));
    assert!((south - 53.12040528310657).abs() < 1e-12 && (north - 53.33087298301705).abs() < 1e-12);
}

/// The last bits matter: these must come out the same on every machine.
#[test]
fn mercator_edges_are_fixed_to_the_last_bit() {
    let (south, _, north, _) = bounds(Grid::Mercator, Tile::ROOT);
    assert_eq!((south, north), (-85.0511287798066, 85.0511287798066));
    let edges = [3, 8, 12, 20, 26, 31].map(|level| {
        let zurich = Grid::Mercator.tile_at(level, 8.54, 47.37).unwrap();
        bounds(Grid::Mercator, zurich).2.to_bits()
    });
    assert_eq!(
        edges,
        [
            0x4050a0d942545fbd,
            0x4047feb5c0d192a5,
            0x4047b2fd1b49f723,
            0x4047af636f36c5d1,
            0x4047af5c2c22b7c5,
            0x4047af5c29474691
        ]
    );
}

#[test]
fn the_ends_of_the_world() {
    let at = |grid: Grid, longitude, latitude| grid.tile_at(2, longitude, latitude).unwrap().to_string();
    assert_eq!(at(Grid::Here, -180.0, -90.0), "00");
    assert_eq!(at(Grid::Here, 180.0, 90.0), "02");
    assert_eq!(at(Grid::Here, 179.9, 90.0), "13");
    assert_eq!(at(Grid::Here, 0.0, 0.0), "12");
    assert_eq!(at(Grid::Mercator, -180.0, 90.0), "00");
    assert_eq!(at(Grid::Mercator, 180.0, -90.0), "33");
    assert_eq!(at(Grid::Mercator, 0.0, 0.0), "30");
    assert_eq!(bounds(Grid::Here, Tile::ROOT), (-90.0, -180.0, 90.0, 180.0));
    assert_eq!(
        Grid::Here.bounds("2".parse().unwrap()).unwrap_err().to_string(),
        "tile `2` lies beyond the north pole: rows of level 1 in the here grid go from 0 to 0, not 1"
    );
}

#[test]
fn boxes_that_are_none_say_why() {
    let message = |south, west, north, east| BoundingBox::new(south, west, north, east).unwrap_err().to_string();
    assert_eq!(message(12.5, -43.0, -22.9, -42.0), "bounding box is upside down: south 12.5 is north of north -22.9");
    assert_eq!(message(0.0, 0.0, 91.0, 1.0), "bounding box: north 91 is out of range: -90 to 90 degrees");
    assert_eq!(message(0.0, f64::NAN, 1.0, 1.0), "bounding box: west NaN is out of range: -180 to 180 degrees");
    assert_eq!("mars".parse::<Grid>().unwrap_err().to_string(), "`mars` is not a grid: expected `here` or `mercator`");
    assert!(GRIDS.iter().all(|grid| grid.to_string().parse::<Grid>().unwrap() == *grid));
}

#[test]
fn a_box_across_the_antimeridian_has_two_ends() {
    let fiji = BoundingBox::new(-20.0, 177.0, -16.0, -178.0).unwrap();
    assert!(fiji.contains(179.0, -17.0) && fiji.contains(-179.0, -17.0) && fiji.contains(180.0, -17.0));
    assert!(!fiji.contains(0.0, -17.0) && !fiji.contains(179.0, 0.0) && !fiji.contains(181.0, -17.0));
    assert!(fiji.intersects(&BoundingBox::new(-90.0, 170.0, 0.0, 178.0).unwrap()));
    assert!(!fiji.intersects(&BoundingBox::new(-90.0, -170.0, 0.0, 176.0).unwrap()));
}
