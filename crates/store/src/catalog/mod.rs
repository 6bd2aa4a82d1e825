//! A catalog.

mod create;
pub(crate) mod dependencies;
pub(crate) mod latest;
pub(crate) mod lineage;
mod log;
mod lookup;
mod open;
mod pack_index;
pub(crate) mod snapshot;
mod standing;
pub(crate) mod tags;

pub use create::NewCatalog;
pub use log::Log;
pub use open::Catalog;
pub(crate) use open::RECORDS_AHEAD;
pub(crate) use standing::Standing;
