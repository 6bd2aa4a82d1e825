//! Tiles: order, text forms, family and neighbours.

use std::collections::BTreeSet;

use deltic_core::{Name, Tile};
use proptest::prelude::*;

/// Any tile; shallow ones are as likely as deep ones.
pub(crate) fn any_tile() -> impl Strategy<Value = Tile> {
    (0..=31u8).prop_flat_map(tile_of)
}

pub(crate) fn tile_of(level: u8) -> impl Strategy<Value = Tile> {
    let side = 1u32 << level;
    (0..side, 0..side).prop_map(move |(x, y)| Tile::new(level, x, y).unwrap())
}

fn bytes(tile: Tile) -> Vec<u8> {
    let mut bytes = Vec::new();
    tile.write_quadkey(&mut bytes);
    bytes
}

fn tile(text: &str) -> Tile {
    text.parse().unwrap()
}

proptest! {
    #[test]
    fn tiles_sort_as_their_names(one in any_tile(), digits in "[0-3]{0,3}", other in any_tile()) {
        prop_assert_eq!(one.cmp(&other), bytes(one).cmp(&bytes(other)));
        // Two random tiles hardly ever share a prefix: compare with a relative as well.
        let from = one.ancestor(one.level() / 2).unwrap();
        let relative: Tile = (String::from_utf8(bytes(from)).unwrap() + &digits).parse().unwrap();
        prop_assert_eq!(one.cmp(&relative), bytes(one).cmp(&bytes(relative)));
        prop_assert_eq!(Name::Tile(one).to_bytes().to_vec(), bytes(one));
    }

    #[test]
    fn every_form_of_a_tile_reads_back(tile in any_tile()) {
        prop_assert_eq!(tile.to_string().parse::<Tile>().unwrap(), tile);
        prop_assert_eq!(std::str::from_utf8(&bytes(tile)).unwrap().parse::<Tile>().unwrap(), tile);
        prop_assert_eq!(Tile::from_here_id(tile.here_id()).unwrap(), tile);
        prop_assert_eq!(Tile::parse_here_id(&tile.here_id().to_string()).unwrap(), tile);
        prop_assert_eq!(Tile::new(tile.level(), tile.x(), tile.y()).unwrap(), tile);
        let json = serde_json::to_string(&tile).unwrap();
        prop_assert_eq!(serde_json::from_str::<Tile>(&json).unwrap(), tile);
    }

    #[test]
    fn any_number_is_read_as_a_here_id_that_prints_so_or_refused(id in any::<u64>(), shift in 0..64u32) {
        let id = id >> shift;
        match Tile::from_here_id(id) {
            Ok(tile) => prop_assert_eq!(tile.here_id(), id),
            Err(_) => prop_assert!(id == 0 || id.ilog2() % 2 == 1),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        let (_, _) = (text.parse::<Tile>(), Tile::parse_here_id(&text));
    }

    #[test]
    fn children_lie_in_their_parent_in_order(tile in any_tile()) {
        let Some(children) = tile.children() else {
            prop_assert_eq!(tile.level(), 31);
            return Ok(());
        };
        prop_assert!(tile < children[0] && children.is_sorted());
        for (digit, child) in children.into_iter().enumerate() {
            prop_assert_eq!(child.parent(), Some(tile));
            prop_assert!(tile.contains(child) && !child.contains(tile));
            prop_assert_eq!((child.x(), child.y()), (2 * tile.x() + (digit as u32 & 1), 2 * tile.y() + (digit as u32 >> 1)));
        }
    }

    #[test]
    fn a_tile_is_in_exactly_one_ancestor_of_each_level(tile in any_tile(), level in 0..=31u8) {
        match tile.ancestor(level) {
            Some(ancestor) => {
                prop_assert_eq!(ancestor.level(), level);
                prop_assert_eq!(ancestor.x(), tile.x() >> (tile.level() - level));
                prop_assert_eq!(ancestor.y(), tile.y() >> (tile.level() - level));
                prop_assert!(ancestor.contains(tile) && bytes(tile).starts_with(&bytes(ancestor)));
            }
            None => prop_assert!(level > tile.level()),
        }
    }

    #[test]
    fn a_tile_contains_what_its_name_is_a_prefix_of(one in tile_of(3), other in tile_of(5), low in any_tile()) {
        prop_assert_eq!(one.contains(other), bytes(other).starts_with(&bytes(one)));
        prop_assert_eq!(one.contains(low), bytes(low).starts_with(&bytes(one)));
    }

    #[test]
    fn descendants_are_the_tiles_of_a_level_below(tile in any_tile(), below in 0..=4u8) {
        let level = tile.level() + below;
        let descendants: Vec<Tile> = tile.descendants(level).collect();
        let expected = if level <= 31 { 1 << (2 * below) } else { 0 };
        prop_assert_eq!(descendants.len(), expected);
        prop_assert_eq!(tile.descendants(level).size_hint(), (expected, Some(expected)));
        prop_assert!(descendants.is_sorted_by(|a, b| a < b));
        prop_assert!(descendants.iter().all(|d| d.level() == level && tile.contains(*d)));
        let mut backwards: Vec<Tile> = tile.descendants(level).rev().collect();
        backwards.reverse();
        prop_assert_eq!(backwards, descendants);
    }

    #[test]
    fn neighbours_are_the_tiles_near_by(
        (tile, other) in (0..=5u8).prop_flat_map(|level| (tile_of(level), tile_of(level))),
        radius in 0..=40u32,
    ) {
        let side = 1u32 << tile.level();
        let (east, rows) = ((tile.x() + side - other.x()) % side, tile.y().abs_diff(other.y()));
        let near = east.min(side - east).max(rows) <= radius;
        let neighbours = tile.neighbours(radius);
        prop_assert!(neighbours.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(neighbours.contains(&other), near && other != tile);
        prop_assert_eq!(other.neighbours(radius).contains(&tile), near && other != tile);
    }

    #[test]
    fn neighbours_of_deep_tiles_are_complete(tile in (10..=31u8).prop_flat_map(tile_of), radius in 0..=3u32) {
        let rows = 1 + radius.min(tile.y()) + radius.min((1u32 << tile.level()) - 1 - tile.y());
        prop_assert_eq!(tile.neighbours(radius).len() as u32, (2 * radius + 1) * rows - 1);
    }
}

#[test]
fn the_root_is_empty_as_bytes_and_a_word_as_text() {
    assert_eq!(bytes(Tile::ROOT), b"");
    assert_eq!(Tile::ROOT.to_string(), "root");
    assert_eq!((tile("root"), tile("")), (Tile::ROOT, Tile::ROOT));
    assert_eq!(Tile::ROOT.parent(), None);
    assert_eq!(Tile::ROOT.here_id(), 1);
    assert_eq!(Tile::ROOT.neighbours(3), []);
    assert_eq!(format!("{:>6}|{:<4}|", Tile::ROOT, tile("12")), "  root|12  |");
}

#[test]
fn numbers_known_from_elsewhere() {
    // Column, row, level and HERE tile id, from the test suites of HERE's own libraries.
    for (x, y, level, id) in [(0, 0, 0, 1), (1, 1, 1, 7), (5, 3, 3, 91), (35136, 25920, 16, 6046298112)] {
        assert_eq!(Tile::new(level, x, y).unwrap().here_id(), id);
    }
    let berlin = tile("12201203120220");
    assert_eq!((berlin.level(), berlin.x(), berlin.y(), berlin.here_id()), (14, 8800, 6486, 377894440));
    // The level 14 tile 377894441 is in the level 12 tile 23618402.
    assert_eq!(Tile::from_here_id(377894441).unwrap().ancestor(12).unwrap().here_id(), 23618402);
    // Column, row and quadkey, from the descriptions of Bing's tile system and of the libraries that follow it.
    for (quadkey, x, y) in [("213", 3, 5), ("210331", 23, 38), ("0313102310", 486, 332)] {
        assert_eq!((tile(quadkey).x(), tile(quadkey).y()), (x, y));
    }
}

#[test]
fn neighbours_go_round_the_earth_but_not_over_the_poles() {
    let names = |text: &str| tile(text).neighbours(1).iter().map(Tile::to_string).collect::<Vec<_>>();
    assert_eq!(names("0"), ["1", "2", "3"]);
    // A corner: the row beyond does not exist, the column beyond is the last one.
    assert_eq!(names("00"), ["01", "02", "03", "11", "13"]);
    assert_eq!(names("033"), ["030", "031", "032", "120", "122", "210", "211", "300"]);
    let whole_level: BTreeSet<Tile> = Tile::ROOT.descendants(2).collect();
    let around: BTreeSet<Tile> = tile("12").neighbours(u32::MAX).into_iter().chain([tile("12")]).collect();
    assert_eq!(around, whole_level);
}

#[test]
fn what_is_no_tile_is_refused_with_a_way_out() {
    let message = |text: &str| text.parse::<Tile>().unwrap_err().to_string();
    assert_eq!(message("12a"), "`12a` is not a tile: expected at most 31 quadkey digits 0 to 3, or `root`");
    assert_eq!(
        message("23618402"),
        "`23618402` is not a tile: expected at most 31 quadkey digits 0 to 3, or `root`; as a HERE tile id it is \
         written `here:23618402`, which is tile `122012031202`"
    );
    assert!(message(&"0".repeat(32)).contains("at most 31"));
    assert!("0".repeat(31).parse::<Tile>().is_ok());
    for id in ["", "0", "-1", "+7", "07", "x", "2", "9223372036854775808", "99999999999999999999"] {
        assert!(Tile::parse_here_id(id).is_err(), "{id}");
    }
    assert!(Tile::new(32, 0, 0).is_err() && Tile::new(255, 0, 0).is_err());
    assert_eq!(
        Tile::new(2, 4, 0).unwrap_err().to_string(),
        "there is no tile in column 4 and row 0 of level 2: both go from 0 to 3"
    );
    assert!(serde_json::from_str::<Tile>("\"7\"").is_err());
}
