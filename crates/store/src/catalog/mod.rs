//! A catalog.

mod create;
pub(crate) mod dependencies;
mod history;
pub(crate) mod latest;
pub(crate) mod lineage;
mod log;
mod lookup;
mod open;
mod pack_index;
pub(crate) mod publish;
mod records;
pub(crate) mod rules;
pub(crate) mod snapshot;
mod standing;
pub(crate) mod tags;
mod versions;

pub use create::NewCatalog;
pub use log::Log;
pub use open::Catalog;
pub(crate) use records::RECORDS_AHEAD;
pub(crate) use standing::Standing;
