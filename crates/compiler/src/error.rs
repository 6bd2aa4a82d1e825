//! The error of user code, and its result.

/// The error of user code: `?` makes it of any other.
pub use anyhow::Error;

/// The result of user code: any error will do, the driver adds task, stage and key.
pub type Result<T, E = anyhow::Error> = std::result::Result<T, E>;
