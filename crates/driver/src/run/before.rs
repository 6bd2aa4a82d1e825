//! The content of an input when the base was made: the version that the base records, or one with the same digest.
//!
//! A uuid and a version number do not identify a content. A catalog that was restored from a copy, or that lost its latest
//! record, uses its numbers again. So the recorded digest decides: the version with the recorded number must have it;
//! otherwise other versions are searched for it. If none has it, it is not known what changed, and the reason is kept for
//! the report.

use deltic_core::{CatalogId, Version};
use deltic_store::{Catalog, Dependency, ErrorKind, Snapshot};

use crate::{Error, Result};

/// An input when the base was made.
pub(crate) struct InputBefore {
    /// The content, if it can be read.
    pub(crate) snapshot: Option<Snapshot>,
    /// The number of the content in the catalog now; the recorded one if it is not found.
    pub(crate) version: Version,
    /// Why it can not be read.
    pub(crate) why: Option<String>,
    /// A note for the report, if the catalog has another history than when the base was made.
    pub(crate) note: Option<String>,
}

impl InputBefore {
    /// An input that is the same now.
    pub(crate) fn unchanged(known: &Dependency, now: Option<Snapshot>) -> InputBefore {
        InputBefore { snapshot: now, version: known.version, why: None, note: None }
    }

    /// Takes the version that was found under the recorded number, if it has the recorded digest, else searches one that
    /// has. `base` is the version with the record; `searched` is false if an equal digest is not enough.
    ///
    /// Cost: nothing if the recorded content was found; else up to 64 requests, all at once.
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
                (why, Some(format!("`{id}` has another history now, as after a copy was restored and changed")))
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
                format!("the changes since its version {}, which has that content, are compiled", equal.version())
            }
            None => "its readers are compiled in full".to_owned(),
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

/// The text for a version number that has another content than was recorded.
fn other_content(id: &CatalogId, found: &Snapshot, recorded: &str) -> String {
    format!("version {} of `{id}` has digest {}, and {recorded}", found.version(), found.digest().short())
}

/// The content that an earlier run read under the id `of`, to which `id` is bound; `opened` is any version of that catalog.
///
/// Errors: it can not be read any more, under any number. Cost: a request if it is not `opened`, and a search if its
/// number has another content now.
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
