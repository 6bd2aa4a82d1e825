//! Files and folders that users name: the sources of `import`, the targets of `export` and `rebuild`.
//!
//! Uses `terminal`. No path leads out of the named folder, no link is followed, and nothing is skipped silently.

pub(crate) mod archive;
pub(crate) mod folder;
pub(crate) mod paths;
pub(crate) mod source;
