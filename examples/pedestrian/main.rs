//! Extracts the pedestrian network from six versions of OpenStreetMap in Andorra, each from what changed, and proves at
//! the end that the result equals a build from scratch. (c) OpenStreetMap contributors, ODbL 1.0
//!
//! `cargo run --release --example pedestrian -- --help`; with `--versions 3` the last change is a small one, of six days.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use deltic_examples::pedestrian::EXAMPLE;
use deltic_examples::replay;
use serde_json::Value;

fn main() -> Result<()> {
    let replayed = replay::main(&EXAMPLE)?;

    // A path is in every tile it has a node in: count each once.
    let mut kinds: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for (_, payload) in replayed.partitions("pedestrian")? {
        let tile: Value = payload.parse_json()?;
        for path in tile["features"].as_array().into_iter().flatten() {
            let kind = path["properties"]["tags"]["highway"].as_str().unwrap_or_default();
            kinds.entry(kind.to_owned()).or_default().extend(path["id"].as_u64());
        }
    }
    println!();
    for (kind, ids) in kinds {
        println!("{:>6} {kind}", ids.len());
    }
    Ok(())
}
