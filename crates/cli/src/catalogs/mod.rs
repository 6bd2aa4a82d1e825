//! Catalogs as commands use them: named, opened, changed and shown.
//!
//! Uses `args`, `system` and `terminal`. Knows no tasks: those are in `job`.

pub(crate) mod access;
pub(crate) mod edit;
pub(crate) mod format;
pub(crate) mod race;
pub(crate) mod url;
pub(crate) mod version;
