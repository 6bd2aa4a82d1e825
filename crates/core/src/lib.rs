//! The words of Deltic as types: names, ids, tiles, digests, payloads and what is known about them.
//!
//! Nothing here does I/O, reads a clock or draws a random number. All other crates use these types, so that a word means one thing in code,
//! on the command line and on disk:
//!
//! | type | is |
//! |---|---|
//! | [`CatalogId`], [`LayerId`], [`TaskId`] | symbolic ids that people choose |
//! | [`Version`], [`RunId`], [`CatalogUuid`], [`Timestamp`] | numbers that the system assigns |
//! | [`Name`] | a partition's name within a layer: a string or a [`Tile`] |
//! | [`LayerRef`], [`Key`] | a layer, and a partition of it, as a run refers to them |
//! | [`Layer`], [`Scheme`] | a layer's settings: which names are legal |
//! | [`Payload`], [`Meta`], [`Digest`] | a partition's bytes, and what is known about them |

mod cover;
mod digest;
mod error;
mod grid;
mod id;
mod layer;
mod name;
mod payload;
mod recent;
mod shown;
mod tile;

pub use digest::{Digest, Hasher};
pub use error::{Error, Result};
pub use grid::{BoundingBox, Grid};
pub use id::{CatalogId, CatalogUuid, LayerId, RunId, TaskId, Timestamp, Version};
pub use layer::{Layer, Levels, Scheme};
pub use name::{IntoName, Key, LayerRef, Name, NameBytes};
pub use payload::{Fields, Meta, Payload};
pub use recent::Recent;
pub use shown::{is_terminal_control, shown};
pub use tile::Tile;
