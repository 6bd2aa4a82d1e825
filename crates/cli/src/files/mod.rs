//! Files and folders that people name: what `import` reads, and where `export` and `rebuild` write.
//!
//! Uses `terminal`. No path leads out of the folder that was named, no link is followed, and nothing is left out quietly.

pub(crate) mod archive;
pub(crate) mod folder;
pub(crate) mod paths;
pub(crate) mod source;
