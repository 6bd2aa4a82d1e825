//! What can go wrong with a catalog, sorted by what a caller should do about it.

use deltic_core::{RunId, Version};

/// The result of an operation on a catalog.
pub type Result<T> = std::result::Result<T, Error>;

/// An error: a kind to decide by, and a message for people that names the object and the way out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.message)]
pub struct Error(Box<Inner>, #[source] Option<Cause>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
}

/// The text of a foreign error. Foreign errors print their own causes, so the chain ends here: no cause is printed twice.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

/// What a caller should do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another run made the version first. Begin again from the latest version.
    Conflict {
        /// The version that both runs wanted to make.
        version: Version,
        /// The run that made it.
        winner: RunId,
    },
    /// The catalog exists already. Open it instead.
    AlreadyExists,
    /// There is no such catalog, version or table. Check the name.
    NotFound,
    /// The version existed, but retention has removed it. Use a retained one.
    Expired,
    /// Stored bytes are not what was written, or are gone. Restore the object named from a copy.
    Corrupt {
        /// The object whose bytes are wrong.
        object: String,
    },
    /// A given value is not valid. Fix it.
    InvalidInput,
    /// The store did not answer, or refused. Check access and network, and try again. After a commit first look whether the version
    /// exists: its answer may have been lost.
    Unavailable,
    /// A bug in this crate.
    Internal,
}

impl Error {
    /// Makes an error from its kind and a message in lower case that names object and way out.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, message: message.into() }), None)
    }

    /// What the caller should do.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    pub(crate) fn because(self, cause: &impl std::fmt::Display) -> Error {
        Error(self.0, Some(Cause(cause.to_string())))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotFound, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unavailable, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, message)
    }

    /// An object whose bytes are wrong: `object` of the catalog at `url`, and what is wrong with it.
    pub(crate) fn corrupt(url: &str, object: impl std::fmt::Display, what: impl std::fmt::Display) -> Error {
        let message = format!("{url}: {object} is corrupt: {what}; restore the object from a copy");
        Error::new(ErrorKind::Corrupt { object: object.to_string() }, message)
    }
}

impl From<deltic_core::Error> for Error {
    fn from(error: deltic_core::Error) -> Error {
        Error::invalid(error.to_string())
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        let kind = match error.kind() {
            ErrorKind::NotFound => std::io::ErrorKind::NotFound,
            ErrorKind::Corrupt { .. } => std::io::ErrorKind::InvalidData,
            _ => std::io::ErrorKind::Other,
        };
        std::io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_chain_repeats_nothing() {
        let cause = object_store::Error::Generic { store: "S3", source: "connection reset".into() };
        let error = Error::unavailable("s3://b: packs/x could not be read").because(&cause);
        assert_eq!(error.to_string(), "s3://b: packs/x could not be read");
        let cause = error.source().unwrap();
        assert_eq!(cause.to_string(), "Generic S3 error: connection reset");
        assert!(cause.source().is_none());
        assert!(Error::internal("x").source().is_none());
    }
}
