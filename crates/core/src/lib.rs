//! The words of Deltic as types: names, ids, tiles, digests, payloads and what is known about them.
//!
//! Nothing here does I/O, reads a clock or draws a random number. Everything above this crate speaks in these types,
//! so that a word means one thing in code, on the command line and on disk:
//!
//! | type | is |
//! |---|---|
//! | [`CatalogId`], [`LayerId`], [`TaskId`] | symbolic ids a person chose |
//! | [`Version`], [`RunId`], [`CatalogUuid`], [`Timestamp`] | numbers the system hands out |
//! | [`Name`] | a partition's name within a layer: a string or a [`Tile`] |
//! | [`LayerRef`], [`Key`] | a layer, and a partition of it, seen from a run |
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
pub use shown::{commands, shown};
pub use tile::Tile;
