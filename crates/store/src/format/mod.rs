//! The bytes that a catalog is stored as.

pub(crate) mod checked_json;
pub(crate) mod entry;
pub(crate) mod inflate;
pub(crate) mod node;
pub(crate) mod object_name;
pub(crate) mod pack;
pub(crate) mod progress;
pub(crate) mod record;
pub(crate) mod shape;
pub(crate) mod tree_root;
pub(crate) mod varint;
