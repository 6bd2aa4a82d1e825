//! Coordinates, and the places of the nodes of ways.
//!
//! A coordinate is kept as in the source, in steps of 1e-7 degrees: it is printed as it was read, digit for digit, on every
//! machine.

use std::collections::{BTreeMap, BTreeSet};

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

use super::element::{Kind, Node, read_lines};
use super::places;

/// A longitude or latitude in steps of 1e-7 degrees, which is how precise OpenStreetMap is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Degrees(pub i32);

/// A point; as GeoJSON writes positions, longitude first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Degrees, Degrees)", into = "(Degrees, Degrees)")]
pub struct Point {
    /// Longitude.
    pub lon: Degrees,
    /// Latitude.
    pub lat: Degrees,
}

/// Where a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The tile whose partition holds it.
    pub tile: Tile,
    /// The point.
    pub point: Point,
}

impl TryFrom<f64> for Degrees {
    type Error = anyhow::Error;

    fn try_from(degrees: f64) -> Result<Degrees> {
        ensure!(degrees.abs() <= 180.0, "{degrees} is no longitude or latitude: -180 to 180 degrees");
        Ok(Degrees((degrees * 1e7).round() as i32))
    }
}

impl From<Degrees> for f64 {
    fn from(degrees: Degrees) -> f64 {
        f64::from(degrees.0) / 1e7
    }
}

impl From<(Degrees, Degrees)> for Point {
    fn from((lon, lat): (Degrees, Degrees)) -> Point {
        Point { lon, lat }
    }
}

impl From<Point> for (Degrees, Degrees) {
    fn from(Point { lon, lat }: Point) -> (Degrees, Degrees) {
        (lon, lat)
    }
}

/// Finds nodes in any tile: the index gives the tiles, and each of these tiles is read once. Nodes that do not exist are
/// left out.
///
/// Reads `osm/node` and the index of nodes, so both must be among the task's layers.
pub fn locate(context: &Context, ids: impl IntoIterator<Item = u64>) -> Result<BTreeMap<u64, Located>> {
    let wanted = places::find(context, Kind::Node, ids)?;
    let tiles: BTreeSet<Tile> = wanted.values().flatten().copied().collect();
    let mut located = BTreeMap::new();
    for tile in tiles {
        if let Some(partition) = context.read("osm/node", tile)? {
            located.extend(located_in(&partition, |id| wanted.contains_key(&id))?);
        }
    }
    Ok(located)
}

/// Where the wanted nodes of a partition of nodes are.
pub fn located_in(partition: &Partition, wanted: impl Fn(u64) -> bool) -> Result<BTreeMap<u64, Located>> {
    let tile = partition.tile()?;
    let nodes = read_lines::<Node>(partition)?.into_iter().filter(|node| wanted(node.id));
    Ok(nodes.map(|node| (node.id, Located { tile, point: node.point() })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_printed_as_they_were_read() {
        for text in ["1.134235", "42.7372844", "-0.0000123", "180.0", "-179.9999999", "1.4999999", "42.5"] {
            let degrees: Degrees = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&degrees).unwrap(), text);
        }
        assert_eq!(serde_json::from_str::<Degrees>("42").unwrap(), Degrees(420_000_000));
        assert!(serde_json::from_str::<Degrees>("180.1").is_err());
        let point = Point { lon: Degrees(11_342_350), lat: Degrees(427_372_844) };
        assert_eq!(serde_json::to_string(&point).unwrap(), "[1.134235,42.7372844]");
    }
}
