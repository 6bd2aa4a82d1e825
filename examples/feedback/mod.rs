//! How often has each node of the map changed? Each run adds to the output of the run before: feedback.
//!
//! ```text
//!                  ┌──────────────── (read, as of the last run) ─┐
//!                  ▼                                             │
//! osm/node ──► node-memory ──► node-memory  (private, by range of ids)
//!                                   └──► node-changes ──► node-changes   (tiles)
//! ```
//!
//! The result depends on all versions that were compiled, not only on the last one. So a build from scratch differs: it has
//! seen one version. Instead, an incremental run equals a full run from the same base, and the example compares a chain of
//! incremental runs with a chain of full runs over the same versions. The output of a run is a change for the next one: it
//! compiles the affected partitions once more, with the same result unless the map has changed there too. So if nothing else
//! changed, the run after a change puts no partition, and later runs have nothing to do and commit nothing.
//! (c) OpenStreetMap contributors, ODbL 1.0

mod counts;
mod memory;
#[cfg(test)]
mod tests;

use deltic::prelude::*;

pub use counts::{CountChanges, Counts};
pub use memory::{Known, Memory, Remember, State};

use crate::osm;
use crate::replay::Example;

/// The example.
pub const EXAMPLE: Example = Example {
    about: "Counts how often each node of OpenStreetMap has changed, by reading what the last run wrote",
    data: osm::ANDORRA,
    inputs: &[("osm", 0)],
    setup,
    show: "node-changes",
};

/// Registers the memory and the counts.
pub fn setup(setup: &mut Setup) -> Result<()> {
    setup.add(Task::new("node-memory", MapGroup(Remember))?.version("1").keep_private(memory::LAYER)?)?;
    setup.add(Task::new("node-changes", MapGroup(CountChanges))?.version("1"))
}
