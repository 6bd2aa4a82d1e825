//! Reports the difference between each of six versions of OpenStreetMap in Andorra and the version before it, from what
//! changed, and proves at the end that the result equals a build from scratch. (c) OpenStreetMap contributors, ODbL 1.0
//!
//! `cargo run --release --bin difference -- --help`; with `--versions 3` the last difference is that of six days.

use std::collections::BTreeMap;

use anyhow::Result;
use deltic_examples::difference::{Change, EXAMPLE, Line};
use deltic_examples::replay;

fn main() -> Result<()> {
    let replayed = replay::main(&EXAMPLE)?;

    println!("\nthe last version, beside the one before it:");
    for layer in ["node-changes", "way-changes", "relation-changes"] {
        let partitions = replayed.partitions(layer)?;
        let mut changes: BTreeMap<Change, usize> = BTreeMap::new();
        for (_, payload) in &partitions {
            for line in std::str::from_utf8(payload.bytes())?.lines() {
                *changes.entry(serde_json::from_str::<Line>(line)?.change).or_default() += 1;
            }
        }
        let count = |change| changes.get(&change).copied().unwrap_or_default();
        let (added, removed, modified) = (count(Change::Added), count(Change::Removed), count(Change::Modified));
        let reports = partitions.len();
        println!("{layer:<16} {reports:>4} reports: {added:>6} added, {removed:>6} removed, {modified:>6} modified");
    }
    Ok(())
}
