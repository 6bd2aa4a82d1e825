//! What a task can read: layers as they were in the base and as they are now, payloads through a cache, and the inputs that
//! its filter takes.
//!
//! This room only reads. It does not record what compilers read.

pub(crate) mod filter;
pub(crate) mod payloads;
pub(crate) mod view;
