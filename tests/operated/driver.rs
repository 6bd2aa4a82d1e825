//! The driver that `tests/operated/replay` runs: the tasks of two examples over one product, as they are released over a
//! year. `compiler.release.number` sets the release.

use std::process::ExitCode;

use deltic::prelude::*;
use deltic_examples::osm::{Kind, Places};
use deltic_examples::pedestrian::{Network, NetworkConfig};
use deltic_examples::transit::{Countries, Coverage, CoverageConfig, FeedIndex, Feeds};
use serde::{Deserialize, Serialize};

/// The release of the compilers.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Release {
    number: u64,
}

fn main() -> ExitCode {
    deltic::main(setup)
}

fn setup(setup: &mut Setup) -> Result<()> {
    let Release { number } = setup.config("release")?;
    let (coverage, network): (CoverageConfig, NetworkConfig) = (setup.config("coverage")?, setup.config("pedestrian")?);
    setup.add(Task::new("feed-index", MapGroup(FeedIndex))?.version("1"))?;
    setup.add(Task::new("feeds", Direct(Feeds))?.version("1"))?;
    // Other code from the second release on.
    setup.add(Task::new("coverage", MapGroup(Coverage(coverage)))?.version(if number < 2 { "1" } else { "2" }))?;
    // Another name from the third release on.
    let countries = match number {
        0..3 => Task::new("countries", MapGroup(Countries))?,
        _ => Task::new("by-country", MapGroup(Countries))?.previously("countries")?,
    };
    setup.add(countries.version("1"))?;
    setup.add(Task::new("node-places", MapGroup(Places(Kind::Node)))?.version("1"))?;
    setup.add(Task::new("pedestrian", MapGroup(Network(network)))?.version("1"))
}
