//! Products of the descriptions of 3,400 transit feeds: four tasks, one reading another's output.
//!
//! ```text
//! gtfs-schedule ─┬─► feed-index ──► feeds-by-id ─┐ (read)
//! gtfs-realtime ─┤                               ▼
//!                ├──────────────────► feeds ──► feeds
//!                ├─► coverage ──────► coverage   (tiles)
//!                └─► countries ─────► countries
//! ```

mod countries;
mod coverage;
mod feed_index;
mod feeds;
mod model;

use deltic::prelude::*;

pub use countries::Countries;
pub use coverage::{Coverage, CoverageConfig};
pub use feed_index::FeedIndex;
pub use feeds::Feeds;

use crate::replay::{DataSet, Example};

/// The example: the history of the Mobility Database.
pub const EXAMPLE: Example = Example {
    about: "Compiles the history of the Mobility Database, version after version",
    data: DataSet { folder: "mobility-catalogs", attribution: None, layers: input_layers, extension: "" },
    inputs: &[("transit", 0)],
    setup,
    show: "countries",
};

/// Registers the four tasks.
///
/// The versions of the code are stated, so that a rebuilt binary does not compile everything again. If you change a
/// compiler, change its version.
pub fn setup(setup: &mut Setup) -> Result<()> {
    let coverage: CoverageConfig = setup.config("coverage")?;
    setup.add(Task::new("feed-index", MapGroup(FeedIndex))?.version("1"))?;
    setup.add(Task::new("feeds", Direct(Feeds))?.version("1"))?;
    setup.add(Task::new("coverage", MapGroup(Coverage(coverage)))?.version("1"))?;
    setup.add(Task::new("countries", MapGroup(Countries))?.version("1"))?;
    Ok(())
}

/// The layers of the input catalog.
pub fn input_layers() -> Result<Vec<Layer>> {
    Ok(vec![
        Layer::generic("gtfs-realtime")?.with_content_type("application/json"),
        Layer::generic("gtfs-schedule")?.with_content_type("application/json"),
    ])
}
