//! What lies in packs.

pub(crate) mod cache;
pub(crate) mod payload;
pub(crate) mod source;
pub(crate) mod writer;
