//! Making versions.

pub(crate) mod checkpoint_store;
pub(crate) mod commit;
pub(crate) mod draft;
