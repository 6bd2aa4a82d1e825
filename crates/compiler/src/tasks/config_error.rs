//! A mistake in a configuration section, with its place.

/// A mistake in a configuration section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", path.join("."))]
pub struct ConfigError {
    /// Where: `compiler`, the task, then the keys down to the value.
    pub path: Vec<String>,
    /// What is wrong, and which names or values are right.
    pub message: String,
}
