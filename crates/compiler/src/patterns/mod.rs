//! The patterns of compilers: for each a trait for users, and the stage that it becomes for the driver.
//!
//! Uses `io` and `error`. Each pattern is independent of the others, except that a ref-tree is a map-group. All of them become
//! a [`Pattern`](stage::Pattern), whose name is part of the fingerprint.

pub(crate) mod dep;
pub(crate) mod direct;
pub(crate) mod edges;
pub(crate) mod global;
pub(crate) mod incremental_dep;
pub(crate) mod map_group;
pub(crate) mod map_split;
pub(crate) mod ref_tree;
pub(crate) mod stage;
