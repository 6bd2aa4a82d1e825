//! The other ways into a catalog: partitions from outside, layers that are added, changed and dropped by hand, and an earlier
//! version made the latest again.
//!
//! Each makes one version, as a run does, and compiles nothing.

pub(crate) mod by_hand;
pub(crate) mod import;
