//! Validates the topology of six versions of OpenStreetMap in Andorra, each from what changed, and proves at the end
//! that the result equals a build from scratch. (c) OpenStreetMap contributors, ODbL 1.0
//!
//! `cargo run --release --bin validate -- --help`; with `--versions 3` the last change is a small one, of six days.

use anyhow::Result;
use deltic_examples::replay;
use deltic_examples::validate::{EXAMPLE, LEVELS, Metrics, Verdict};

fn main() -> Result<()> {
    let replayed = replay::main(&EXAMPLE)?;

    println!();
    for level in LEVELS {
        println!("metrics of level {level:>2}: {} tiles", replayed.partitions(&format!("metrics-{level}"))?.len());
    }
    println!("problems: {} tiles", replayed.partitions("problems")?.len());
    for (_, payload) in replayed.partitions("metrics-0")? {
        for (name, count) in payload.json::<Metrics>()? {
            println!("{count:>8} {name}");
        }
    }
    for (_, payload) in replayed.partitions("assessment")? {
        let verdict: Verdict = payload.json()?;
        println!("verdict: {}", if verdict.ok { "good" } else { "bad" });
    }
    Ok(())
}
