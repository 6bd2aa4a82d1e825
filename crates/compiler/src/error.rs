//! The error of user code, and its result.

/// The error of user code: `?` converts any other error into it.
pub use anyhow::Error;

/// The result of user code. Any error is accepted; the driver adds task, stage and key.
pub type Result<T, E = anyhow::Error> = std::result::Result<T, E>;
