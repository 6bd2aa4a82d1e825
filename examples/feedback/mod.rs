//! How often has each node of the map changed? Each run adds to what the run before it wrote: feedback.
//!
//! ```text
//!                  ┌──────────────── (read, as of the last run) ─┐
//!                  ▼                                             │
//! osm/node ──► node-memory ──► node-memory  (private, by range of ids)
//!                                   └──► node-changes ──► node-changes   (tiles)
//! ```
//!
//! What comes out depends on the versions that were compiled and not on the last one alone, so a build from scratch is
//! something else: it has seen one version. What holds instead is that a run which compiles what has changed makes the
//! same as one from the same base which compiles everything; so a chain of the former is held against a chain of the
//! latter, over the same versions. What a run wrote is a change that the next one sees: it compiles what that touched
//! once more, and says the same unless the map has changed there too. So with nothing else new, the run after a change
//! puts no partition, and those after it have nothing to do and commit nothing. (c) OpenStreetMap contributors, ODbL 1.0

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
