//! The error for a name, an id or a setting that is not legal.

/// A value that breaks a rule of this crate. The message names the value, the rule and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
}

/// The result of checking a value.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an error from a message in lower case that names the value and the rule.
    pub fn new(message: impl Into<String>) -> Error {
        Error { message: message.into() }
    }
}
