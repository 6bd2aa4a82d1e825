//! Elements: nodes, ways and relations, one a line of JSON.

use std::collections::BTreeMap;
use std::fmt;

use deltic::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::geometry::{Degrees, Point};

/// The tags of an element, sorted.
pub type Tags = BTreeMap<String, String>;

/// A point of the map, part of a way or something by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Unique among nodes.
    pub id: u64,
    /// Latitude.
    pub lat: Degrees,
    /// Longitude.
    pub lon: Degrees,
    /// Most nodes have none.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

/// A line or an outline: a road, a river, a building.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// Unique among ways.
    pub id: u64,
    /// The nodes it goes through, in order; they may lie in any tile.
    pub nodes: Vec<u64>,
    /// What it is.
    #[serde(default)]
    pub tags: Tags,
}

/// Elements that belong together: a route, an area with holes, a border.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// Unique among relations.
    pub id: u64,
    /// What belongs to it, in order.
    pub members: Vec<Member>,
    /// What it is.
    #[serde(default)]
    pub tags: Tags,
}

/// A member of a relation: its kind, its id, and its role there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member(pub Kind, pub u64, pub String);

/// The kinds of elements. Ids are unique within a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// A node.
    #[serde(rename = "n")]
    Node,
    /// A way.
    #[serde(rename = "w")]
    Way,
    /// A relation.
    #[serde(rename = "r")]
    Relation,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Node, Kind::Way, Kind::Relation];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Node => "node",
            Kind::Way => "way",
            Kind::Relation => "relation",
        })
    }
}

/// An element of any kind, for code that needs only its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Id {
    /// The id.
    pub id: u64,
}

impl Node {
    /// Where it is.
    pub fn point(&self) -> Point {
        Point { lon: self.lon, lat: self.lat }
    }
}

/// Reads a partition of elements. An error names the wrong line.
pub fn read_lines<T: DeserializeOwned>(partition: &Partition) -> Result<Vec<T>> {
    let line = |(index, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("line {} of {}", index + 1, partition.key))
    };
    partition.text()?.lines().enumerate().map(line).collect()
}

/// Writes values as such a partition, one a line.
pub fn write_lines<T: Serialize>(values: &[T]) -> Result<Payload> {
    let lines = values.iter().map(|value| Ok(serde_json::to_string(value)? + "\n"));
    Ok(lines.collect::<Result<String>>()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(text: &str) -> Partition {
        let payload = Payload::from(text);
        let key = Key { layer: LayerRef::parse("osm/way").unwrap(), name: Name::Tile("12".parse().unwrap()) };
        Partition { key, meta: payload.meta(), payload }
    }

    #[test]
    fn lines_are_elements() {
        let ways: Vec<Way> = read_lines(&partition("{\"id\":7,\"nodes\":[1,2],\"tags\":{\"a\":\"b\"}}\n")).unwrap();
        assert_eq!(ways, [Way { id: 7, nodes: vec![1, 2], tags: [("a".to_owned(), "b".to_owned())].into() }]);
        assert_eq!(write_lines(&ways).unwrap(), "{\"id\":7,\"nodes\":[1,2],\"tags\":{\"a\":\"b\"}}\n".into());
        let relations: Vec<Relation> =
            read_lines(&partition(r#"{"id":1,"members":[["w",7,"outer"]],"tags":{}}"#)).unwrap();
        assert_eq!(relations[0].members, [Member(Kind::Way, 7, "outer".to_owned())]);
        assert!(read_lines::<Way>(&partition("")).unwrap().is_empty());
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = read_lines::<Id>(&partition("{\"id\":1}\n{\"id\":\"x\"}\n")).unwrap_err();
        assert_eq!(error.to_string(), "line 2 of osm/way/12");
        assert!(read_lines::<Relation>(&partition(r#"{"id":1,"members":[["x",7,""]]}"#)).is_err());
    }
}
