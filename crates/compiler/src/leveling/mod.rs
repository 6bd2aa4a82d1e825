//! Leveling: chooses which tile represents a place, so that places with little data share a coarse tile and dense places do not.
//!
//! A *leveling point* is a tile that represents everything in it that no deeper point represents. [`FixedPattern`] has all points at
//! one level. [`AdaptivePattern`] reads them from a layer with one empty partition for each point. The tasks of a [`Leveling`] keep
//! that layer up to date:
//!
//! ```text
//! inputs ──► NAME.weights ──► weights by level ─┬─► NAME.sum-13 ─► sum-12 … sum-0 ──► NAME.heavy ──► NAME.points ──► NAME
//!                                               └──────────────────────┘ own weights
//! ```
//!
//! Let `W(t)` be the weight of everything in tile `t`. A tile is *heavy* if `W(t)` exceeds the threshold. The points are
//!
//! * the largest tiles that hold a weight and are not heavy, and
//! * the heavy tiles that have a weight of their own, apart from the weights below them.
//!
//! So every weight has a point at or above its tile. What one point represents weighs at most the threshold, unless it is a single tile.
//!
//! The pattern is data. A look-up of a point goes from a tile upwards to the first point that exists. It is tracked: the reader runs again
//! only when the answer changes. A change of one weight adds up one tile a level again. If none of these becomes heavy or light, the
//! points are not compiled again.

mod pattern;
mod stages;
mod tasks;

pub use pattern::{AdaptivePattern, FixedPattern};
pub use tasks::Leveling;
