//! Nodes that move, come and go, over a short history.

use deltic::core::Grid;
use deltic::prelude::*;
use deltic_testkit::Lab;

use super::setup;
use crate::replay::BEFORE;

const WEST: &str = "12022001123021";
const EAST: &str = "12022001123030";

fn lab() -> Lab {
    let mut tasks = Setup::default();
    setup(&mut tasks).unwrap();
    Lab::new(tasks.finish().unwrap()).tiles("osm/node", Grid::Mercator).feedback(BEFORE)
}

fn tile(text: &str) -> Tile {
    text.parse().unwrap()
}

fn node(id: u64, lon: f64) -> String {
    format!("{{\"id\":{id},\"lat\":42.5,\"lon\":{lon}}}\n")
}

/// Both tiles' counts.
fn counts(lab: &Lab) -> [Option<String>; 2] {
    [WEST, EAST].map(|name| lab.text("node-changes", tile(name)))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A lab in which nothing is left to do, with nodes 1 and 2 in the west.
fn up_to_date() -> Lab {
    let mut lab = lab();
    lab.put("osm/node", tile(WEST), node(1, 1.5) + &node(2, 1.5));
    lab.run();
    assert_eq!(counts(&lab), [None, None]);
    lab.run();
    lab
}

#[test]
fn what_moves_and_what_is_tagged_has_changed() {
    let mut lab = up_to_date();
    lab.put("osm/node", tile(WEST), node(1, 1.6) + &node(2, 1.5));
    lab.run();
    assert_eq!(counts(&lab), [some(r#"{"1":1}"#), None]);
    let tagged = r#"{"id":2,"lat":42.5,"lon":1.5,"tags":{"natural":"tree"}}"#;
    lab.put("osm/node", tile(WEST), node(1, 1.7) + tagged);
    lab.run();
    assert_eq!(counts(&lab), [some(r#"{"1":2,"2":1}"#), None]);
}

#[test]
fn a_node_that_moves_into_another_tile_takes_its_count_along() {
    let mut lab = up_to_date();
    lab.put("osm/node", tile(WEST), node(2, 1.5));
    lab.put("osm/node", tile(EAST), node(1, 1.9));
    lab.run();
    assert_eq!(counts(&lab), [None, some(r#"{"1":1}"#)]);
    // A node that is deleted and comes back is new.
    lab.delete("osm/node", tile(EAST));
    lab.run();
    assert_eq!(counts(&lab), [None, None]);
    lab.put("osm/node", tile(EAST), node(1, 1.5));
    lab.run();
    assert_eq!(counts(&lab), [None, None]);
}

#[test]
fn a_run_without_a_change_counts_nothing_and_then_commits_nothing() {
    let mut lab = up_to_date();
    assert_eq!(lab.run().report.version, None);
    // One of the two ranges of ids is affected.
    lab.put("osm/node", tile(EAST), node(1_000_000, 1.9));
    lab.run();
    lab.put("osm/node", tile(EAST), node(1_000_000, 1.8));
    assert_eq!(
        lab.run().log(),
        format!("front  node-changes  node-memory/000015\nback   node-changes  node-changes/{EAST}\n")
            + &format!("front  node-memory   osm/node/{EAST}\nback   node-memory   node-memory/000015\n")
    );
    let before = counts(&lab);
    // The run sees that its own output has changed, and makes the same again.
    let again = lab.run();
    let puts: u64 = again.report.tasks.iter().map(|task| task.counts.put + task.counts.deleted).sum();
    assert_eq!((puts, counts(&lab)), (0, before));
    let idle = lab.run();
    assert_eq!((idle.log().as_str(), idle.report.version), ("", None));
}
