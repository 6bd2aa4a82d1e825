//! What a task sees: layers as the base saw them and as they are now, payloads through a cache, and which inputs it compiles.
//!
//! Nothing here changes anything: it reads trees, and records nothing of what was looked at.

pub(crate) mod filter;
pub(crate) mod payloads;
pub(crate) mod view;
