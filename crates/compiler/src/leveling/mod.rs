//! Leveling: which tile stands for a place, so that tiles where little is are gathered and those where much is are not.
//!
//! A *leveling point* is a tile that stands for everything in it that no deeper point stands for. [`FixedPattern`] has
//! them all at one level. [`AdaptivePattern`] reads them from a layer with one empty partition for each point, which the
//! tasks of a [`Leveling`] keep up to date:
//!
//! ```text
//! inputs ──► NAME.weights ──► weights by level ─┬─► NAME.sum-13 ─► sum-12 … sum-0 ──► NAME.heavy ──► NAME.points ──► NAME
//!                                               └──────────────────────┘ own weights
//! ```
//!
//! With `W(t)` the weight of all that is in tile `t`, a tile is *heavy* if `W(t)` exceeds the threshold. The points are
//!
//! * the largest tiles with something in them that are not heavy, and
//! * the heavy tiles that have a weight of their own, besides what is below them.
//!
//! So whatever has a weight has a point at or above it, and what one point stands for weighs no more than the threshold,
//! unless it is one tile alone.
//!
//! The pattern is data. Who asks for a point looks from a tile upwards for the first that exists, and that look is
//! tracked: it runs again when the answer is another one, and only then. A change of one weight adds up anew one tile a
//! level; if none of them becomes heavy or light on the way, the points are not looked at.

mod pattern;
mod stages;
mod tasks;

pub use pattern::{AdaptivePattern, FixedPattern};
pub use tasks::Leveling;
