//! Counts how often each node of OpenStreetMap in Andorra changed in six versions, each from the output of the run before, and
//! proves at the end that full runs over the same versions give the same result. (c) OpenStreetMap contributors, ODbL 1.0
//!
//! `cargo run --release --bin feedback -- --help`

use std::collections::BTreeMap;

use anyhow::Result;
use deltic_examples::feedback::{Counts, EXAMPLE};
use deltic_examples::replay;

fn main() -> Result<()> {
    let replayed = replay::main(&EXAMPLE)?;

    let mut nodes: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, payload) in replayed.partitions("node-changes")? {
        for changes in payload.json::<Counts>()?.into_values() {
            *nodes.entry(changes).or_default() += 1;
        }
    }
    println!();
    for (changes, nodes) in nodes {
        println!("{nodes:>8} nodes changed in {changes} versions");
    }
    Ok(())
}
