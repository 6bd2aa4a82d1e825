//! What an input was when the base was made: the version that the base records, or one of equal content.
//!
//! A uuid and a number do not say which content that was. A catalog that was restored from a copy, or lost its latest
//! record, goes on under the numbers that it had before. So the digest in the record decides: what is found under the
//! recorded number is compared with it, and where it differs the content is looked for under other numbers. Where it is
//! not found, nothing is known of what changed, and why is said.

use deltic_core::{CatalogId, Version};
use deltic_store::{Catalog, Dependency, ErrorKind, Snapshot};

use crate::{Error, Result};

/// What an input was.
pub(crate) struct InputBefore {
    /// The content, where it can be read.
    pub(crate) snapshot: Option<Snapshot>,
    /// The number that the content has in the catalog as it is now; the recorded one where it is not found.
    pub(crate) version: Version,
    /// Why it can not be read.
    pub(crate) why: Option<String>,
    /// What is to be said of a catalog that has another history than the one the base was made from.
    pub(crate) note: Option<String>,
}

impl InputBefore {
    /// An input that is just what it was.
    pub(crate) fn unchanged(known: &Dependency, now: Option<Snapshot>) -> InputBefore {
        InputBefore { snapshot: now, version: known.version, why: None, note: None }
    }

    /// What was found under the recorded number, or what has that content otherwise. `base` is the version that the
    /// record is of, `searched` whether equal digests are enough.
    ///
    /// Cost: nothing where the recorded content was found; else up to 64 requests, all at once.
    pub(crate) fn of(
        id: &CatalogId,
        known: &Dependency,
        base: Version,
        catalog: &Catalog,
        found: deltic_store::Result<Snapshot>,
        searched: bool,
    ) -> Result<InputBefore> {
        let found = match found {
            Ok(found) if is_recorded(&found, known) => {
                return Ok(InputBefore { snapshot: Some(found), version: known.version, why: None, note: None });
            }
            other => other,
        };
        let made = format!("version {base} of the output was made from");
        let (why, history) = match found {
            Ok(found) => {
                let why = other_content(id, &found, &format!("{made} one with digest {}", known.digest.short()));
                (why, Some(format!("`{id}` has another history now, as a restored copy has that went on")))
            }
            Err(error) if *error.kind() == ErrorKind::NotFound => {
                let why = format!("`{id}` has no version {}, which {made}", known.version);
                (why, Some(format!("`{id}` is an older copy, or was restored from one")))
            }
            Err(error) if *error.kind() == ErrorKind::Expired => {
                (format!("version {} of `{id}`, which {made}, has expired", known.version), None)
            }
            Err(error) => return Err(error.into()),
        };
        let equal = if searched { catalog.with_digest(&known.digest, known.version)? } else { None };
        let then = match &equal {
            Some(equal) => {
                format!("what changed is taken from its version {}, which has that content", equal.version())
            }
            None => "what reads it is compiled in full".to_owned(),
        };
        Ok(InputBefore {
            note: history.map(|history| format!("{why}: {history}; {then}")),
            version: equal.as_ref().map_or(known.version, Snapshot::version),
            why: equal.is_none().then_some(why),
            snapshot: equal,
        })
    }
}

/// Whether a version is the one that was recorded, by uuid, number and digest.
pub(crate) fn is_recorded(found: &Snapshot, known: &Dependency) -> bool {
    (found.uuid(), found.version(), found.digest()) == known.identity()
}

/// Says that a number stands for another content than was recorded.
fn other_content(id: &CatalogId, found: &Snapshot, recorded: &str) -> String {
    format!("version {} of `{id}` has digest {}, and {recorded}", found.version(), found.digest().short())
}

/// The content that some earlier run read under the id `of`, which `id` is bound to; `opened` is a version of that
/// catalog that is at hand.
///
/// Errors: it can not be read any more, under any number. Cost: a request where it is not at hand, and a search where
/// its number stands for another content.
pub(crate) fn as_read(id: &CatalogId, of: &CatalogId, known: &Dependency, opened: &Snapshot) -> Result<Snapshot> {
    let catalog = opened.catalog();
    let found = match known.version == opened.version() {
        true => Ok(opened.clone()),
        false => catalog.snapshot(known.version),
    };
    let why = match found {
        Ok(found) if is_recorded(&found, known) => return Ok(found),
        Ok(found) => other_content(of, &found, &format!("that run read one with digest {}", known.digest.short())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Expired) => error.to_string(),
        Err(error) => return Err(error.into()),
    };
    if let Some(equal) = catalog.with_digest(&known.digest, known.version)? {
        return Ok(equal);
    }
    Err(Error::refused(format!(
        "catalog `{id}` is what an earlier run read of `{of}`, and that can not be read any more: {why}; restore it, or bind \
         `{id}` to a version of `{of}` for as many runs as it looks back"
    )))
}
