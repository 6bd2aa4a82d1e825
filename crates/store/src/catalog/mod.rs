//! A catalog: its versions, which of them can be read, and how the next one is created.
//!
//! * `open`, `create`: a catalog at a URL;
//! * `versions`, `latest`, `lookup`, `log`, `tip`: finding versions;
//! * `records`, `publish`: reading the records of versions, and creating one;
//! * `snapshot`: a version and its trees; `layer_view`: one by names; `compare`: one at two versions;
//! * `history`, `lineage`, `dependencies`, `tags`: what versions are to each other;
//! * `rules`: what writers and the sweep may do;
//! * `pack_index`: what a pack lists.
//!
//! Uses `format`, `backend`, `packs` and `tree`. Invariants: a version is created once, by one put-if-absent; a record is
//! checked whole before any of it is used.

pub(crate) mod compare;
mod create;
pub(crate) mod dependencies;
mod history;
pub(crate) mod latest;
pub(crate) mod layer_view;
pub(crate) mod lineage;
mod log;
mod lookup;
mod open;
mod pack_index;
pub(crate) mod publish;
mod records;
pub(crate) mod rules;
pub(crate) mod snapshot;
pub(crate) mod tags;
mod tip;
mod versions;

pub use create::NewCatalog;
pub use log::Log;
pub use open::Catalog;
pub(crate) use records::RECORDS_AHEAD;
pub(crate) use tip::Tip;
