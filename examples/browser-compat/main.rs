//! Dates the features of 373 versions of the web's compatibility data, and counts the savings of depending on rows of tables
//! rather than on tables: the same versions are compiled once more with whole tables read.
//!
//! `cargo run --release --bin browser-compat -- --help`

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use deltic::core::{Digest, LayerId};
use deltic_examples::browser_compat::{EXAMPLE, WHOLE};
use deltic_examples::replay::{self, Chain};

fn main() -> Result<()> {
    let parts = replay::main(&EXAMPLE)?;
    let (Some(first), Some(last)) = (parts.ran.first(), parts.ran.last()) else { return Ok(()) };

    // The first of these versions is left out: it is compiled as a whole, or was compiled before.
    let (from, to) = (first.number, last.number);
    println!("\nonce more with whole tables read, which takes longer");
    let dir = tempfile::tempdir()?;
    let whole = Chain::open(&WHOLE, dir.path(), 0)?;
    let mut ran = Vec::new();
    whole.replay(Some(to), |number, report, time| {
        let compiled: u64 = report.tasks.iter().map(|task| task.counts.compiled).sum();
        if number > from {
            ran.push((compiled, time));
        }
    })?;
    let by_parts: Vec<(u64, Duration)> = parts.ran[1..].iter().map(|ran| (ran.compiled(), ran.time)).collect();
    println!("\nversions {} to {to}: files compiled", from + 1);
    for (reads, ran) in [("rows", by_parts), ("tables", ran)] {
        let compiled: u64 = ran.iter().map(|(compiled, _)| compiled).sum();
        let time: Duration = ran.iter().map(|(_, time)| *time).sum();
        println!("  reading {reads:<7} {compiled:>8}   in {:>6.1} s", time.as_secs_f64());
    }
    let (one, other) = (digest(&parts.chain)?, digest(&whole)?);
    ensure!(one == other, "the ways to read disagree: {one} and {other}");
    println!("the layer is the same: {one}");
    Ok(())
}

fn digest(chain: &Chain) -> Result<Digest> {
    let output = chain.output()?;
    let tree = output.tree(&LayerId::new("availability")?);
    Ok(tree.context("the output has no layer `availability`")?.digest())
}
