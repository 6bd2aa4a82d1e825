//! Extracts the pedestrian network from six versions of OpenStreetMap in Andorra, in three ways, each version from what
//! changed; proves at the end that the result equals a build from scratch, and that all ways made the same at every
//! version. (c) OpenStreetMap contributors, ODbL 1.0
//!
//! `cargo run --release --bin pedestrian -- --help`; with `--versions 3` the last change is a small one, of six days.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use deltic_examples::pedestrian::{EXAMPLE, WAYS};
use deltic_examples::replay::{self, Replayed};
use serde_json::Value;

fn main() -> Result<()> {
    let replayed = replay::main(&EXAMPLE)?;
    compare_ways(&replayed)?;

    // A path is in every tile it has a node in: count each once.
    let mut kinds: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for (_, payload) in replayed.partitions("pedestrian")? {
        let tile: Value = payload.json()?;
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

/// Fails unless the layers of all three methods are equal at every version; prints the cost of the last version in each.
fn compare_ways(replayed: &Replayed) -> Result<()> {
    let [(first, _), others @ ..] = WAYS;
    let expected = replayed.chain.digests(first)?;
    for (layer, _) in others {
        let found = replayed.chain.digests(layer)?;
        let unequal = expected.iter().find(|(version, digest)| found.get(version) != Some(digest));
        ensure!(unequal.is_none(), "{first} and {layer} differ at version {unequal:?} of the output");
    }
    println!("\nequal at each of {} versions, however nodes are found; of the last version,", expected.len());
    println!("                       inputs  front-ends  back-ends");
    let tasks = replayed.ran.last().map(|ran| ran.report.tasks.as_slice()).unwrap_or_default();
    for (layer, ids) in WAYS {
        let of = tasks.iter().filter(|task| ids.contains(&task.task.as_str()));
        let [inputs, fronts, backs] = of.fold([0; 3], |[inputs, fronts, backs], task| {
            let counts = &task.counts;
            [inputs + counts.inputs, fronts + counts.fronts + counts.fronts_again, backs + counts.compiled]
        });
        println!("{layer:<21} {inputs:>7} {fronts:>11} {backs:>10}");
    }
    Ok(())
}
