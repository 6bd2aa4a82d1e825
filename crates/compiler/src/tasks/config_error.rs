//! A mistake in a configuration section, with its place.

/// A configuration section that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", path.join("."))]
pub struct ConfigError {
    /// Where: `compiler`, the task, then the keys down to the value.
    pub path: Vec<String>,
    /// What is wrong, with the names or values that would be right.
    pub message: String,
}
