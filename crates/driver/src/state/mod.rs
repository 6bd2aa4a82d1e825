//! The state of a task between runs: its tables, their form, and the fingerprint that tells whether they are still valid.
//!
//! The tables are functions of inputs and tasks alone, like outputs. The rooms above decide what they contain; this room
//! writes them and looks rows up.

pub(crate) mod base_tables;
pub(crate) mod fingerprint;
pub(crate) mod listed;
pub(crate) mod quarantined;
pub(crate) mod read_keys;
pub(crate) mod reads;
pub(crate) mod tables;
pub(crate) mod tree_writer;
