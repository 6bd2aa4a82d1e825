//! OpenStreetMap in the form of the data set, and the parts that several examples share. (c) OpenStreetMap contributors, ODbL 1.0
//!
//! | module | holds |
//! |---|---|
//! | `element` | nodes, ways and relations, and the lines they are written in |
//! | `geometry` | coordinates that are exact; nodes that lie in other partitions |
//! | `places` | an index: which tile an element is in |

mod element;
mod geometry;
mod places;

use deltic::prelude::*;

pub use element::{Id, Kind, Member, Node, Relation, Tags, Way, read_lines, write_lines};
pub use geometry::{Degrees, Located, Point, locate, located_in};
pub use places::{Entries, Places, find, places_layer, range};

use crate::replay::DataSet;

/// The notice that the licence requires for the data and for products of it.
pub const ATTRIBUTION: &str = "(c) OpenStreetMap contributors, ODbL 1.0";

/// The level of the tiles that nodes and ways are in.
pub const LEVEL: u8 = 14;

/// Six extracts of Andorra, 2012 to 2021.
pub const ANDORRA: DataSet =
    DataSet { folder: "osm-andorra", attribution: Some(ATTRIBUTION), layers: input_layers, extension: ".jsonl" };

/// The layers of the input catalog. A way is in the tile of its first node; relations are in 32 buckets by their id.
pub fn input_layers() -> Result<Vec<Layer>> {
    Ok(vec![
        Layer::tiles("node", Grid::Mercator, [LEVEL])?.with_content_type("application/jsonl"),
        Layer::tiles("way", Grid::Mercator, [LEVEL])?.with_content_type("application/jsonl"),
        Layer::generic("relation")?.with_content_type("application/jsonl"),
    ])
}
