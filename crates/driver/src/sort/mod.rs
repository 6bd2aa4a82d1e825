//! Sorted data that may be larger than memory: rows that front-ends emit, sets of keys, and files for what does not fit.
//!
//! Everything here knows keys as bytes and nothing of tasks. What is held in memory has a bound that the caller gives; what is
//! beyond goes to files without a name.

pub(crate) mod external;
pub(crate) mod key_set;
pub(crate) mod marks;
pub(crate) mod merge_join;
pub(crate) mod rows;
pub(crate) mod spill;
