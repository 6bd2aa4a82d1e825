//! Other changes of a catalog: imports of partitions, edits of layers, and the return to an earlier version.
//!
//! Each makes one version, as a run does, and compiles nothing.

pub(crate) mod by_hand;
pub(crate) mod import;
