//! Which ways may be walked, how they are drawn, and how a tile of them is written. All three methods to find nodes use this,
//! and give the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

use crate::osm::{ATTRIBUTION, LEVEL, Located, Point, Tags, Way, read_lines};

/// Kinds of `highway` that are for walking unless their tags forbid it.
const WALKABLE: [&str; 9] =
    ["bridleway", "corridor", "footway", "living_street", "path", "pedestrian", "residential", "steps", "track"];

/// How the network is cut.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkConfig {
    /// The level of the tiles, 14 or less.
    pub level: u8,
}

impl Default for NetworkConfig {
    fn default() -> NetworkConfig {
        NetworkConfig { level: LEVEL }
    }
}

/// A way with its geometry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// The way's id.
    pub id: u64,
    /// The way's tags.
    pub tags: Tags,
    /// Its nodes, in order.
    pub line: Vec<Point>,
    /// How many of its nodes do not exist and are left out.
    pub missing: usize,
}

/// A path in GeoJSON.
#[derive(Serialize)]
struct Feature<'a> {
    r#type: &'static str,
    id: u64,
    properties: Properties<'a>,
    geometry: LineString<'a>,
}

#[derive(Serialize)]
struct Properties<'a> {
    missing: usize,
    tags: &'a Tags,
}

#[derive(Serialize)]
struct LineString<'a> {
    r#type: &'static str,
    coordinates: &'a [Point],
}

impl<'a> From<&'a Path> for Feature<'a> {
    fn from(path: &'a Path) -> Feature<'a> {
        Feature {
            r#type: "Feature",
            id: path.id,
            properties: Properties { missing: path.missing, tags: &path.tags },
            geometry: LineString { r#type: "LineString", coordinates: &path.line },
        }
    }
}

/// Draws ways through those of their nodes that exist, and puts each into every tile in which it has a node. A way with
/// fewer than two nodes is left out.
pub fn draw(ways: &[Way], nodes: &BTreeMap<u64, Located>, config: &NetworkConfig) -> Vec<(Tile, Path)> {
    let mut drawn = Vec::new();
    for way in ways {
        let found: Vec<Located> = way.nodes.iter().filter_map(|id| nodes.get(id).copied()).collect();
        if found.len() < 2 {
            continue;
        }
        let missing = way.nodes.len() - found.len();
        let line = found.iter().map(|node| node.point).collect();
        let path = Path { id: way.id, tags: way.tags.clone(), line, missing };
        let tiles: BTreeSet<Tile> = found.iter().filter_map(|node| node.tile.ancestor(config.level)).collect();
        drawn.extend(tiles.into_iter().map(|tile| (tile, path.clone())));
    }
    drawn
}

/// Whether a way may be walked: `foot` decides, then `access`, then the kind of the way.
pub fn is_walkable(tags: &Tags) -> bool {
    let tag = |key: &str| tags.get(key).map(String::as_str);
    let Some(kind) = tag("highway") else { return false };
    match (tag("foot"), tag("access")) {
        (Some("yes" | "designated" | "permissive"), _) => true,
        (Some("no" | "private" | "use_sidepath"), _) | (_, Some("no" | "private")) => false,
        _ => WALKABLE.contains(&kind),
    }
}

/// The ways of a partition that may be walked.
pub fn walkable_ways(partition: &Partition) -> Result<Vec<Way>> {
    let ways = read_lines::<Way>(partition)?;
    Ok(ways.into_iter().filter(|way| is_walkable(&way.tags)).collect())
}

/// A layer for the network.
pub fn network_layer(id: &str, config: &NetworkConfig) -> Result<Layer> {
    let level = config.level;
    ensure!(level <= LEVEL, "level {level}: tiles of level {LEVEL} can not go deeper");
    Ok(Layer::tiles(id, Grid::Mercator, [level])?.with_content_type("application/geo+json"))
}

/// Writes the paths of a tile as GeoJSON, a line each, sorted by id.
pub fn encode(paths: impl IntoIterator<Item = Path>) -> Result<Payload> {
    let mut paths: Vec<Path> = paths.into_iter().collect();
    paths.sort_unstable_by_key(|path| path.id);
    let features = paths.iter().map(|path| serde_json::to_string(&Feature::from(path)));
    let features: Vec<String> = features.collect::<Result<_, _>>()?;
    let attribution = serde_json::to_string(ATTRIBUTION)?;
    let lines = features.join(",\n");
    let text = format!(
        r#"{{"type":"FeatureCollection","attribution":{attribution},"features":[
{lines}
]}}
"#
    );
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Tags {
        text.split_terminator(' ').map(|tag| tag.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
    }

    #[test]
    fn tags_decide_what_may_be_walked() {
        for (text, walkable) in [
            ("highway=footway", true),
            ("highway=primary", false),
            ("highway=primary foot=yes", true),
            ("highway=path foot=no", false),
            ("highway=residential access=private", false),
            ("highway=track access=private foot=permissive", true),
            ("waterway=river foot=yes", false),
            ("", false),
        ] {
            assert_eq!(is_walkable(&tags(text)), walkable, "{text}");
        }
    }

    #[test]
    fn a_tile_is_geojson() {
        let point = |lon: f64, lat: f64| Point { lon: lon.try_into().unwrap(), lat: lat.try_into().unwrap() };
        let path =
            |id| Path { id, tags: tags("highway=path"), line: vec![point(1.5, 42.5), point(1.6, 42.5)], missing: 0 };
        let payload = encode([path(9), path(2)]).unwrap();
        let text = std::str::from_utf8(payload.bytes()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].contains(r#""attribution":"(c) OpenStreetMap contributors, ODbL 1.0""#));
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["features"][0]["id"], 2);
        assert_eq!(value["features"][1]["geometry"]["coordinates"], serde_json::json!([[1.5, 42.5], [1.6, 42.5]]));
    }
}
