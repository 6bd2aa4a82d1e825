//! `deltic-bench`: import, run and compare.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, Subcommand};
use deltic_bench::{Kind, Outputs, Packed, Session, Workload, generate, generate_on, import_packed, open_input};
use deltic_store::Stores;

#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod fan;
#[cfg(target_os = "linux")]
mod latency;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod remote;
#[cfg(target_os = "linux")]
mod scale;
#[cfg(target_os = "linux")]
mod warm;

/// The allocator of the binary `deltic`, which the facade offers to drivers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Compares full and incremental builds with the best that the machine can do.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes partitions in the packed form: `data.bin` and `idx.bin`.
    Generate {
        /// How many partitions.
        #[arg(value_parser = count)]
        count: u64,
        /// The folder to create.
        folder: PathBuf,
        /// The partitions that have the content version: 0 none, 1 the one in the middle, m one of a thousand, all.
        #[arg(default_value = "0")]
        kind: Kind,
        /// The content version of those; all others have version 0.
        #[arg(default_value_t = 1)]
        version: u64,
        /// A folder of kind 0 to share the data file with: changed payloads are appended to it.
        #[arg(long)]
        on: Option<PathBuf>,
    },
    /// Makes the next version of an input catalog from a folder in packed form.
    Import {
        /// The folder.
        folder: PathBuf,
        /// The catalog's URL; the catalog is created if it does not exist.
        url: String,
    },
    /// Runs a job once: in full if the output is empty or absent, else incrementally. Prints the report as JSON.
    Run {
        /// The job: a, b or m.
        job: Workload,
        /// The input catalog's URL.
        input: String,
        /// The output catalog's URL.
        output: String,
        /// How many threads; 0 is one for each processor.
        #[arg(long, default_value_t = 0)]
        threads: usize,
        /// Runs in full, even if there is an output.
        #[arg(long)]
        full: bool,
    },
    /// Prints one digest of all outputs of a build, for comparison with another build.
    Digest {
        /// The URL of an output catalog, or the folder that a reference program wrote.
        place: String,
    },
    /// Runs Deltic and the reference programs in turn and prints medians and ratios.
    #[cfg(target_os = "linux")]
    Compare(compare::Arguments),
    /// Measures runs as library calls, catalogs kept open: one input changes before each.
    #[cfg(target_os = "linux")]
    Warm(warm::Arguments),
    /// Measures runs after a change of one input that many outputs are made from.
    #[cfg(target_os = "linux")]
    Fan(fan::Arguments),
    /// Compares full builds on a remote store, where every request takes a round trip, with local files.
    #[cfg(target_os = "linux")]
    Latency(latency::Arguments),
    /// Calculates the cost of runs on an object store at any size, and checks it on real trees and runs.
    #[cfg(target_os = "linux")]
    Scale(scale::Arguments),
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Generate { count, folder, kind, version, on: None } => generate(&folder, count, kind, version),
        Command::Generate { count: _, folder, kind, version, on: Some(base) } => {
            generate_on(&base, &folder, kind, version)
        }
        Command::Import { folder, url } => {
            let report = import_packed(&open_input(&Stores::new(), &url)?, &Packed::open(&folder)?)?;
            print_json(&report)
        }
        Command::Run { job, input, output, threads, full } => {
            let mut session = Session::open(&Stores::new(), job, &input, &output, threads)?;
            session.full(full);
            print_json(&session.run()?)
        }
        Command::Digest { place } => {
            let outputs = if place.contains(':') {
                Outputs::of_catalog(&Stores::new(), &place)?
            } else {
                Outputs::of_packed(Path::new(&place))?
            };
            println!("{} {} outputs, {} bytes", outputs.digest(), outputs.len(), outputs.bytes());
            Ok(())
        }
        #[cfg(target_os = "linux")]
        Command::Compare(arguments) => compare::compare(&arguments),
        #[cfg(target_os = "linux")]
        Command::Warm(arguments) => warm::warm(&arguments),
        #[cfg(target_os = "linux")]
        Command::Fan(arguments) => fan::fan(&arguments),
        #[cfg(target_os = "linux")]
        Command::Latency(arguments) => latency::latency(&arguments),
        #[cfg(target_os = "linux")]
        Command::Scale(arguments) => scale::scale(&arguments),
    }
}

fn print_json<T: serde::Serialize>(value: &T) -> Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Reads a count: `500`, `10k`, `1m`.
fn count(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.to_ascii_lowercase() {
        lower if lower.ends_with('k') => (lower[..lower.len() - 1].to_owned(), 1000),
        lower if lower.ends_with('m') => (lower[..lower.len() - 1].to_owned(), 1_000_000),
        lower => (lower, 1),
    };
    let number: Option<u64> = digits.parse().ok();
    let number = number.and_then(|number| number.checked_mul(unit)).filter(|number| (1..=1 << 24).contains(number));
    number.ok_or_else(|| {
        format!("`{text}` is not a count from 1 to {}: expected for example `500`, `10k` or `1m`", 1 << 24)
    })
}
