//! Lifts six versions of OpenStreetMap tiles of Andorra to coarser levels, each from what changed, and proves at the
//! end that the result equals a build from scratch. (c) OpenStreetMap contributors, ODbL 1.0
//!
//! `cargo run --release --bin lift -- --help`; with `--versions 3` the last change is a small one, of six days.

use std::collections::BTreeMap;

use anyhow::Result;
use deltic_examples::lift::{EXAMPLE, Lifted, Reference};
use deltic_examples::replay;

fn main() -> Result<()> {
    let replayed = replay::main(&EXAMPLE)?;

    // By level: tiles, references, how many of these stay inside their tile.
    let mut levels: BTreeMap<u8, (usize, usize, usize)> = BTreeMap::new();
    for (name, payload) in replayed.partitions("topology")? {
        let lifted: Lifted = payload.json()?;
        let references = || lifted.ways.iter().flat_map(|way| &way.nodes);
        let line = levels.entry(name.tile().map_or(0, |tile| tile.level())).or_default();
        line.0 += 1;
        line.1 += references().count();
        line.2 += references().filter(|reference| matches!(reference, Reference::Inside(_))).count();
    }
    println!();
    for (level, (tiles, references, inside)) in levels.iter().rev() {
        println!("level {level}: {tiles:>3} tiles, {references} references to nodes, {inside} of them within the tile");
    }
    Ok(())
}
