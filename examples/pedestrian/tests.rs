//! The network by tracked reads over a short history: which ways are drawn again, and that nothing else differs from a
//! build from scratch.

use deltic::prelude::*;
use deltic_testkit::Lab;

use super::setup;

const WEST: &str = "12022221200121";
const EAST: &str = "12022221200130";

fn tile(text: &str) -> Tile {
    text.parse().unwrap()
}

/// A path from the west to the east, whose last node does not exist yet.
fn lab() -> Lab {
    let mut tasks = Setup::default();
    setup(&mut tasks).unwrap();
    let mut lab = Lab::new(tasks.finish().unwrap());
    lab = lab.tiles("osm/node", Grid::Mercator).tiles("osm/way", Grid::Mercator);
    lab.put("osm/node", tile(WEST), r#"{"id":1,"lat":42.507,"lon":1.520}"#);
    lab.put("osm/node", tile(EAST), r#"{"id":2,"lat":42.508,"lon":1.541}"#);
    lab.put("osm/way", tile(WEST), r#"{"id":7,"nodes":[1,2,3],"tags":{"highway":"path"}}"#);
    lab.run();
    lab
}

#[test]
fn a_path_follows_its_nodes() {
    let mut lab = lab();
    lab.put("osm/node", tile(EAST), r#"{"id":2,"lat":42.509,"lon":1.541}"#);
    let moved = format!(
        "\
front  node-places  osm/node/{EAST}
front  pedestrian   osm/way/{WEST}
back   pedestrian   pedestrian/{WEST}
back   pedestrian   pedestrian/{EAST}
"
    );
    assert_eq!(lab.run().log(), moved, "a node has moved, and is in the tile that the index has it in");
    lab.assert_equals_scratch();

    assert!(lab.text("pedestrian", tile(EAST)).unwrap().contains(r#""missing":1"#));
    lab.put("osm/node", tile(WEST), "{\"id\":1,\"lat\":42.507,\"lon\":1.520}\n{\"id\":3,\"lat\":42.507,\"lon\":1.521}");
    lab.run();
    assert!(lab.text("pedestrian", tile(EAST)).unwrap().contains(r#""missing":0"#), "node 3 has appeared");
    lab.assert_equals_scratch();
}
