//! Ids. People choose the symbolic ids, and they are checked. The system assigns the numeric ids, and they are only compared.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Makes a newtype of a short checked string: a letter or digit, then letters, digits, `-`, `_` and `.`; at most 50.
macro_rules! symbolic_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Checks and takes the id of a ", $what, ".")]
            pub fn new(text: &str) -> Result<$name> {
                check(text, $what).map(|()| $name(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<$name> {
                $name::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<$name> {
                $name::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

symbolic_id! {
    /// A catalog as code names it; configuration binds it to a URL.
    CatalogId, "catalog"
}
symbolic_id! {
    /// A layer within its catalog.
    LayerId, "layer"
}
symbolic_id! {
    /// A task within a driver. State and fingerprints are stored under it, so never change it.
    TaskId, "task"
}

fn check(text: &str, what: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let first = text.chars().next();
    if !first.is_some_and(|c| c.is_ascii_alphanumeric()) || !text.chars().all(legal) || text.len() > 50 {
        return Err(Error::new(format!(
            "`{}` is not a {what} id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit",
            crate::shown(text)
        )));
    }
    Ok(())
}

/// An immutable, numbered state of a catalog. Version 0 is the empty catalog that `init` creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version after this one. The greatest number, which no catalog reaches, is followed by itself.
    pub fn next(self) -> Version {
        Version(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Version> {
        let number = text.parse().map_err(|_| Error::new(format!("`{text}` is not a version: expected a number")))?;
        Ok(Version(number))
    }
}

/// Makes a newtype of a number that prints and reads as fixed-width hexadecimal.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident($int:ty), $digits:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", $digits, "x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<$name> {
                let whole = text.len() == $digits && text.bytes().all(|b| b.is_ascii_hexdigit());
                let bad = || Error::new(format!(concat!("`{}` is not a ", $what, ": expected ", $digits, " hexadecimal digits"), text));
                if !whole {
                    return Err(bad());
                }
                <$int>::from_str_radix(text, 16).map($name).map_err(|_| bad())
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<$name> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

hex_id! {
    /// One attempt to make a version: a new random number for each attempt. It marks everything that the attempt writes.
    RunId(u64), 16, "run id"
}
hex_id! {
    /// A catalog's own identity: a random number, drawn once at creation. It stays the same when the catalog is moved.
    CatalogUuid(u128), 32, "catalog uuid"
}

/// Milliseconds since 1970-01-01T00:00:00Z. Informational: no decision depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked() {
        assert!(LayerId::new("gtfs-schedule").is_ok());
        for bad in ["", "-a", "a/b", "a b", "ä", &"x".repeat(51)] {
            assert!(LayerId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hexadecimal_ids_have_one_text_form() {
        let run = RunId(0xab);
        assert_eq!(run.to_string(), "00000000000000ab");
        assert_eq!(run.to_string().parse::<RunId>().unwrap(), run);
        assert!("ab".parse::<RunId>().is_err());
        assert!("+0000000000000ab".parse::<RunId>().is_err());
    }
}
