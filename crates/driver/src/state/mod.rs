//! What a task remembers between runs: its tables, in which form, and what tells that they still hold.
//!
//! The tables are functions of inputs and tasks alone, like outputs. The rooms above decide what is in them; here is how it is
//! written and looked up.

pub(crate) mod fingerprint;
pub(crate) mod listed;
pub(crate) mod looks;
pub(crate) mod quarantined;
pub(crate) mod reads;
pub(crate) mod tables;
pub(crate) mod tree_writer;
