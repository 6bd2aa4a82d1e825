//! Tiles as people name them: in the names of files, and by boxes of degrees.
//!
//! Uses `terminal`.

pub(crate) mod file_names;
pub(crate) mod in_box;
