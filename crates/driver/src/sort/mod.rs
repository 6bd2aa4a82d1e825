//! Sorted data that may be larger than memory: rows that front-ends emit, sets of keys, look-ups of these, and files
//! for what does not fit.
//!
//! Code here handles keys as bytes and knows nothing of tasks. The caller bounds the memory; what exceeds it goes to files
//! without a name.

pub(crate) mod external;
pub(crate) mod key_set;
pub(crate) mod marks;
pub(crate) mod merge_join;
pub(crate) mod read_ahead;
pub(crate) mod rows;
pub(crate) mod spill;
