//! Since when: for each web feature, the release of each browser that brought it, and the date of that release.
//!
//! ```text
//! compat/browsers ──────────────────────────────────┐ (projected: the date of one release)
//!                                                   ▼
//! compat/api, compat/css, … ──────────────────► availability ──► availability
//! ```
//!
//! Every file of features looks releases up in nearly all 17 tables of browsers. A table changes with each release of
//! its browser, and then mostly in rows that no feature names. So a look-up reads one row: [`Reads::Parts`]. For comparison
//! the same compiler can read whole tables, [`Reads::Whole`]: the result is the same, the cost is not.

mod availability;
mod model;

use deltic::prelude::*;

pub use availability::{Availability, Reads};
pub use model::{Browser, Feature, Statement, features};

use crate::replay::{DataSet, Example};

/// The example, as it should be written.
pub const EXAMPLE: Example = Example {
    about: "Dates web features by the releases of browsers, version after version",
    data: DATA,
    inputs: &[("compat", 0)],
    setup,
    show: "availability",
};

/// The same with whole tables read, to compare with.
pub const WHOLE: Example = Example { setup: setup_whole, ..EXAMPLE };

/// 373 releases of the compatibility data of MDN.
pub const DATA: DataSet =
    DataSet { folder: "browser-compat", attribution: None, layers: input_layers, extension: ".json" };

/// The layers that hold features.
pub const FEATURES: [&str; 11] = [
    "api",
    "css",
    "html",
    "http",
    "javascript",
    "manifests",
    "mathml",
    "svg",
    "webassembly",
    "webdriver",
    "webextensions",
];

/// The layers of the input catalog.
pub fn input_layers() -> Result<Vec<Layer>> {
    let all = FEATURES.iter().chain(&["browsers"]);
    all.map(|id| Ok(Layer::generic(id)?.with_content_type("application/json"))).collect()
}

/// Registers the task.
pub fn setup(setup: &mut Setup) -> Result<()> {
    setup.add(Task::new("availability", Direct(Availability { reads: Reads::Parts }))?.version("1"))
}

fn setup_whole(setup: &mut Setup) -> Result<()> {
    setup.add(Task::new("availability", Direct(Availability { reads: Reads::Whole }))?.version("1 whole"))
}
