//! Replays the history of a data set: the common part of the `main.rs` of every example.
//!
//! Version after version is imported into an input catalog and compiled into an output catalog, each incrementally. At the end
//! the last version is built once more from scratch, and must be equal, digest for digest. If tasks read their own earlier
//! output, all versions are built once more, each in full from the one before.
//!
//! | module | holds |
//! |---|---|
//! | `example` | the description of an example: its data, its tasks |
//! | `arguments` | the command line |
//! | `chain` | the two catalogs, and the runs from one to the other |
//! | `totals` | the table that is printed |

mod arguments;
mod chain;
mod example;
mod totals;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use deltic::core::{Digest, LayerId, Name, Payload};
use deltic::driver::Report;
use tempfile::TempDir;

pub use arguments::Arguments;
pub use chain::Chain;
pub use example::{BEFORE, DataSet, Example};
use totals::Totals;

/// An example that was replayed, for what it prints at the end.
#[derive(Debug)]
pub struct Replayed {
    /// The catalogs.
    pub chain: Chain,
    /// The runs, in order.
    pub ran: Vec<Ran>,
    /// Where the catalogs are, unless they are kept; removed with this.
    _scratch: TempDir,
}

/// One version of a replay.
#[derive(Debug)]
pub struct Ran {
    /// The version of the input.
    pub number: u64,
    /// The report of its run.
    pub report: Report,
    /// How long that took.
    pub time: Duration,
}

impl Ran {
    /// How many outputs were compiled, by all tasks.
    pub fn compiled(&self) -> u64 {
        self.report.tasks.iter().map(|task| task.counts.compiled).sum()
    }
}

impl Replayed {
    /// All partitions of an output layer at the last version, by name.
    pub fn partitions(&self, layer: &str) -> Result<Vec<(Name, Payload)>> {
        self.chain.partitions(layer)
    }
}

/// Replays an example as the command line asks for, and prints what each version cost.
///
/// Fails when anything differs from a build from scratch, or for a task with feedback from full runs.
pub fn main(example: &Example) -> Result<Replayed> {
    let arguments = Arguments::parse(example.about);
    if let Some(attribution) = example.data.attribution {
        println!("data: {attribution}\n");
    }
    let scratch = tempfile::tempdir()?;
    let dir = arguments.dir.clone().unwrap_or_else(|| scratch.path().join("kept"));
    let chain = Chain::open(example, &dir, arguments.threads)?;

    let done = chain.input_version()?;
    let mut totals = Totals::default();
    let mut ran = Vec::new();
    Totals::print_head();
    chain.replay(arguments.versions, |number, report, time| {
        totals.add(number, report, time);
        ran.push(Ran { number, report: report.clone(), time });
    })?;
    let shown = dir.display();
    ensure!(
        !totals.times.is_empty(),
        "{shown}: the catalogs are at version {done} already, beyond the last one asked for"
    );
    totals.print();
    let apart = scratch.path().join("scratch");
    match chain.has_feedback() {
        false => totals.print_beside("a build from scratch", compare_with_scratch(&chain, &apart)?),
        true => totals.print_beside("the last full run", compare_with_full_runs(&chain, &apart)?),
    }
    if arguments.dir.is_some() {
        invite(example, &dir, chain.output()?.version().0);
    }
    Ok(Replayed { chain, ran, _scratch: scratch })
}

/// Builds the last version from scratch, compares digests, and prints how long the build took.
fn compare_with_scratch(chain: &Chain, dir: &Path) -> Result<Duration> {
    let started = Instant::now();
    let scratch = chain.scratch(dir)?;
    let full = started.elapsed();
    print_layers(&chain.compare(&scratch)?);
    println!("equal, layers and state, to a build from scratch of version {}", chain.input_version()?);
    Ok(full)
}

/// Builds all versions once more, each in full from the output before it; compares the digests of each, and prints how long
/// the last one took.
fn compare_with_full_runs(chain: &Chain, dir: &Path) -> Result<Duration> {
    let mut last = Duration::ZERO;
    let full = chain.full_runs(dir, |_, time| last = time)?;
    print_layers(&chain.compare(&full.output()?)?);
    let compared = chain.compare_versions(&full)?;
    println!("equal, layers and state, to full runs over the same versions, at each of {compared}");
    Ok(last)
}

fn print_layers(layers: &[(LayerId, u64, Digest)]) {
    let width = layers.iter().map(|(layer, ..)| layer.as_str().len()).max().unwrap_or_default().max(12);
    for (layer, count, digest) in layers {
        println!("{:<width$} {count:>6} partitions   {digest}", layer.as_str());
    }
}

/// Prints how to inspect the catalogs that are kept.
fn invite(example: &Example, dir: &Path, last: u64) {
    let url = format!("file:{}/out", dir.display());
    let url = if url.contains(char::is_whitespace) { format!("'{url}'") } else { url };
    println!("\nthe catalogs are kept: look at them with");
    let Example { show, .. } = example;
    for command in [format!("log {url}"), format!("ls {url} {show}"), format!("diff {url} {} {last}", last - 1)] {
        println!("  cargo run --release --bin deltic -- {command}");
    }
}
