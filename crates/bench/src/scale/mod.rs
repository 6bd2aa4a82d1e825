//! The cost of runs on an object store at sizes that are too large for a test: requests, bytes, dollars, time.
//!
//! [`geometry`] calculates the nodes that changes touch in a tree, and [`reading`] the cost of reading them. [`cost`] combines these
//! to requests, bytes and waits, in the order of the driver. [`trees`] and [`runs`] measure the same at smaller sizes, and both are
//! printed side by side.

mod cost;
mod geometry;
mod reading;
mod runs;
mod trees;

use std::time::Duration;

use anyhow::{Result, ensure};
use deltic_bench::Workload;

use self::cost::{Bill, Case, Job, Pattern};
use self::geometry::{Spread, Tree};
use crate::remote::Remote;

/// What to calculate.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The number of partitions in the calculation.
    #[arg(long, default_value = "100000000")]
    size: u64,
    /// Threads of the driver in the calculation.
    #[arg(long, default_value_t = 16)]
    threads: u32,
    /// Sizes of real trees to build and compare; an empty list skips this.
    #[arg(long, value_delimiter = ',', value_parser = crate::count, default_value = "100k,1m")]
    trees: Vec<u64>,
    /// Sizes at which real jobs run; an empty list skips this.
    #[arg(long, value_delimiter = ',', value_parser = crate::count, default_value = "20k,100k")]
    runs: Vec<u64>,
}

/// Prints everything as tables in Markdown.
pub(crate) fn scale(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.size >= 1_000_000, "--size must be 1000000 or more");
    println!("### {} partitions\n", arguments.size);
    bills(arguments);
    println!("\n### Trees: expected and built\n");
    for size in &arguments.trees {
        grow(*size)?;
    }
    println!("\n### Runs: counted\n");
    println!(
        "| partitions | job | run | changed | GET | expected | PUT | read | written | one after another | expected |"
    );
    println!("|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for size in &arguments.runs {
        for job in [Workload::A, Workload::M] {
            let pattern = if job == Workload::A { Pattern::Direct } else { Pattern::Group };
            for ran in runs::runs(job, *size, 2)? {
                let runs::Ran { what, changed, requests, chain } = ran;
                let case = match changed {
                    0 => Case::Nothing,
                    changed if changed == *size => Case::Full,
                    changed => Case::Changed(changed as f64, Spread::Scattered),
                };
                let expected = Bill::of(Job::of_benchmark(pattern), case, *size as f64, 2.0);
                println!(
                    "| {size} | {job} | {what} | {changed} | {} | {} | {} | {} | {} | {chain:.0} | {} |",
                    requests.gets,
                    number(expected.gets),
                    requests.puts,
                    bytes(requests.bytes_read as f64),
                    bytes(requests.bytes_written as f64),
                    number(expected.chain),
                );
            }
        }
    }
    Ok(())
}

fn bills(arguments: &Arguments) {
    println!("| job | run | GET | PUT | read | written | requests, $ | one after another | time |");
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    for pattern in [Pattern::Direct, Pattern::Group] {
        for case in Case::all() {
            let bill = Bill::of(Job::of(pattern), case, arguments.size as f64, f64::from(arguments.threads));
            println!(
                "| {pattern} | {case} | {} | {} | {} | {} | {:.6} | {} | {} |",
                number(bill.gets),
                number(bill.puts),
                bytes(bill.read),
                bytes(bill.written),
                bill.dollars(),
                number(bill.chain),
                time(bill.seconds()),
            );
        }
    }
    let (stored, per_month) = cost::storage(arguments.size as f64);
    println!("\nStored for inputs, outputs and metadata: {}, ${per_month:.2} a month.", bytes(stored));
}

fn grow(size: u64) -> Result<()> {
    let stores = Remote::default().stores(Duration::ZERO);
    let grown = trees::Grown::grow(&stores, size)?;
    let shape = Tree { keys: size as f64 }.shape();
    println!(
        "{size} entries: {} nodes, {:.0} expected; {:.1} bytes an entry\n",
        grown.nodes,
        shape.leaves + shape.inner,
        grown.bytes as f64 / size as f64,
    );
    println!("| changed | where | nodes written | expected | bytes | expected | GET of the edit |");
    println!("|--:|---|--:|--:|--:|--:|--:|");
    let mut version = 1;
    for (changed, spread, times) in [
        (1, Spread::Scattered, 100),
        (100, Spread::Scattered, 5),
        (100, Spread::Region, 5),
        (10_000, Spread::Scattered, 1),
        (10_000, Spread::Region, 1),
    ] {
        let (mut nodes, mut written, mut gets) = (0, 0, 0);
        let mut expected = geometry::Touched::default();
        for _ in 0..times {
            let edited = grown.change(changed, spread, version)?;
            version += 1;
            (nodes, written, gets) = (nodes + edited.nodes, written + edited.bytes, gets + edited.requests.gets);
            expected = edited.expected;
        }
        let mean = |sum: u64| sum as f64 / f64::from(times);
        println!(
            "| {changed} | {} | {:.1} | {:.1} | {} | {} | {:.1} |",
            if spread == Spread::Scattered { "scattered" } else { "one region" },
            mean(nodes),
            expected.leaves + expected.inner,
            bytes(mean(written)),
            bytes(cost::node_bytes(&expected)),
            mean(gets),
        );
    }
    println!();
    Ok(())
}

fn number(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.1} M", n / 1e6),
        n if n >= 1e4 => format!("{:.0} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

fn bytes(bytes: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes / unit),
        None => format!("{bytes:.0} B"),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 5400.0 => format!("{:.1} h", s / 3600.0),
        s if s >= 90.0 => format!("{:.0} min", s / 60.0),
        s if s >= 10.0 => format!("{s:.0} s"),
        s => format!("{s:.1} s"),
    }
}
