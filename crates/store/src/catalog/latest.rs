//! Finding the latest version.
//!
//! Versions are numbered without gaps and their names are never freed. So "version `n` exists" is true up to the latest and
//! false above it, and the search looks for that edge. It begins at the hint (or at the latest version seen before), goes up in
//! doubling steps while versions exist, and then halves the distance. A wrong hint makes the search longer, never wrong.
//! Nothing is listed.
//!
//! On a remote store a commit writes its hint beside its record, so a hint can be ahead by one. That costs one more request and
//! is logged as a warning. A hint that is further ahead means that records are lost (`docs/design/0005-lost-records.md`), and so
//! does any hint ahead in a folder, where it is written after the record: then the search fails, and does not take what is left
//! for the latest version.
//!
//! From where the search begins, each record must name the one before it, up to the latest. A record that does not is of
//! another line of history, left over from before a gap that was filled since.

use bytes::Bytes;
use deltic_core::{CatalogUuid, Digest, Version};
use futures::future::try_join_all;
use serde::Deserialize;

use crate::catalog::snapshot::Snapshot;
use crate::catalog::{Catalog, RECORDS_AHEAD};
use crate::format::checked_json;
use crate::format::object_name::ObjectName;
use crate::{Error, ErrorKind, Result};

/// Versions probed one by one before the steps double: a hint is rarely older than this.
const SINGLE_STEPS: u64 = 4;

/// Finds and reads the latest version; `None` when there is none at all.
pub(crate) async fn find(catalog: &Catalog) -> Result<Option<Snapshot>> {
    if let Some(seen) = catalog.seen() {
        let version = seen.version();
        return match catalog.record_bytes(version.next()).await? {
            None => Ok(Some(seen)),
            Some(found) => {
                if let Err(error) = check_parent(catalog, (seen.uuid(), seen.record_digest()), version.next(), &found) {
                    return Err(another_history(catalog, &seen).await?.unwrap_or(error));
                }
                climb(catalog, version.next(), found).await
            }
        };
    }
    let Some(hint) = hint(catalog).await? else {
        return match catalog.record_bytes(Version(0)).await? {
            Some(found) => climb(catalog, Version(0), found).await,
            None => Ok(None),
        };
    };
    let (after, here) = futures::join!(catalog.record_bytes(hint.next()), catalog.record_bytes(hint));
    match (after?, here?) {
        (None, Some(here)) => catalog.read_version(hint, &here).await.map(Some),
        (Some(after), here) => {
            if let Some(here) = here {
                check_line(catalog, &here, hint.next(), &after)?;
            }
            climb(catalog, hint.next(), after).await
        }
        (None, None) => {
            let found = match hint.0 {
                0 => None,
                ahead => descend(catalog, ahead).await?,
            };
            check_ahead(catalog, hint, found.as_ref())?;
            Ok(found)
        }
    }
}

/// The fields that show which line of history a record belongs to.
#[derive(Deserialize)]
struct Line {
    catalog: CatalogUuid,
    parent: Option<Digest>,
}

/// Refuses the record of a version that does not name the one before it as its parent, where both are whole and of one catalog.
/// Which of the two is left over is not known here; `fsck` finds out.
fn check_line(catalog: &Catalog, before: &Bytes, version: Version, record: &Bytes) -> Result<()> {
    match checked_json::from_json::<Line>(before) {
        Ok(line) => check_parent(catalog, (line.catalog, Digest::of(before)), version, record),
        Err(_) => Ok(()),
    }
}

fn check_parent(catalog: &Catalog, before: (CatalogUuid, Digest), version: Version, record: &Bytes) -> Result<()> {
    match checked_json::from_json::<Line>(record) {
        Ok(line) if line.catalog == before.0 && line.parent != Some(before.1) => {
            let (url, object) = (catalog.url(), ObjectName::Version(version));
            let message = format!(
                "{url}: {object} does not follow the version before it, so one of the two is left over from another line of \
                 history: `deltic fsck {url}` names them; move the left-over records, and all that follow them, out of the catalog"
            );
            Err(Error::new(ErrorKind::Corrupt { object: object.to_string() }, message))
        }
        _ => Ok(()),
    }
}

/// The error where the record of a version is not the one that was read before: it was lost, and the number was used again.
async fn another_history(catalog: &Catalog, seen: &Snapshot) -> Result<Option<Error>> {
    let (url, version) = (catalog.url(), seen.version());
    let now = catalog.record_bytes(version).await?;
    if now.is_some_and(|now| Digest::of(&now) == seen.record_digest()) {
        return Ok(None);
    }
    let object = ObjectName::Version(version);
    let message = format!(
        "{url}: {object} is not what it was when this process read it: the catalog has another history now; open it again, and \
         start again from its latest version"
    );
    Ok(Some(Error::new(ErrorKind::Corrupt { object: object.to_string() }, message)))
}

/// Reports a hint that is ahead of the latest version that was found.
fn check_ahead(catalog: &Catalog, hint: Version, found: Option<&Snapshot>) -> Result<()> {
    let (url, latest) = (catalog.url(), found.map(Snapshot::version));
    let what = ahead(hint, latest);
    if is_lost(catalog, hint, latest) {
        return Err(Error::new(
            ErrorKind::Corrupt { object: ObjectName::Latest.to_string() },
            format!("{url}: {} is ahead: {what}", ObjectName::Latest),
        ));
    }
    tracing::warn!("{url}: {} is ahead, or a commit is under way: {what}", ObjectName::Latest);
    Ok(())
}

/// Whether records are lost if a hint is ahead of the latest version.
pub(crate) fn is_lost(catalog: &Catalog, hint: Version, latest: Option<Version>) -> bool {
    let next = latest.map_or(0, |latest| latest.0.saturating_add(1));
    hint.0 > next || !catalog.client().is_remote() && hint.0 == next
}

/// Describes a hint that is ahead of the latest version, and what to do.
pub(crate) fn ahead(hint: Version, latest: Option<Version>) -> String {
    let (there, then) = match latest {
        Some(latest) => {
            (format!("the last version with a record is {latest}"), format!("to go on from version {latest}"))
        }
        None => ("no version has a record".to_owned(), "if there never was one".to_owned()),
    };
    format!(
        "it names version {hint}, but {there}; restore the object and the records up to {} from a copy, or remove {} {then}",
        ObjectName::Version(hint),
        ObjectName::Latest
    )
}

/// The number in `versions/latest`, if there is one. A hint that can not be read is no hint.
pub(crate) async fn hint(catalog: &Catalog) -> Result<Option<Version>> {
    match catalog.client().get_async(&ObjectName::Latest).await {
        Ok(bytes) => Ok(bytes.and_then(|bytes| parse_hint(&bytes))),
        // It is longer than any number.
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The number in a hint, if there is one. Allocates nothing.
pub(crate) fn parse_hint(bytes: &[u8]) -> Option<Version> {
    let number = std::str::from_utf8(bytes).ok()?.trim_ascii().parse::<u64>().ok()?;
    // The greatest number has no successor to probe, and no catalog gets there.
    (number < u64::MAX).then_some(Version(number))
}

/// Finds the edge above `present`, whose record is `bytes`.
async fn climb(catalog: &Catalog, mut present: Version, mut bytes: Bytes) -> Result<Option<Snapshot>> {
    // The last version that is known to belong to the line that the search began on. Doubling steps probe only whether a record
    // exists, so the versions between this one and the latest are checked at the end.
    let mut linked = (present, bytes.clone());
    let mut taken = 0;
    let mut step = 1u64;
    loop {
        let probed = Version(present.0.saturating_add(step));
        if probed == present {
            // Numbers end here. No catalog grows that far, but anybody with write access to the store can create such a record.
            break;
        }
        match catalog.record_bytes(probed).await? {
            Some(found) if step == 1 => {
                check_line(catalog, &bytes, probed, &found)?;
                (present, bytes) = (probed, found);
                linked = (present, bytes.clone());
            }
            Some(found) => (present, bytes) = (probed, found),
            None => {
                (present, bytes) = halve(catalog, present, bytes, probed).await?;
                break;
            }
        }
        taken += 1;
        if taken >= SINGLE_STEPS {
            step = step.saturating_mul(2);
        }
    }
    let latest = catalog.read_version(present, &bytes).await?;
    check_skipped(catalog, linked, present, &bytes).await?;
    Ok(Some(latest))
}

/// Checks the line of history through the versions that a search has skipped, from the last that it checked to the one that it
/// found. A record that exists need not belong to this line: it may be left over behind a gap that was filled since.
///
/// Cost: a request for each of them, [`RECORDS_AHEAD`] at once. The hint is that far behind only where it can not be written.
async fn check_skipped(
    catalog: &Catalog,
    (mut version, mut before): (Version, Bytes),
    latest: Version,
    bytes: &Bytes,
) -> Result<()> {
    if version == latest {
        return Ok(());
    }
    while version.next() < latest {
        let last = latest.0.min(version.0.saturating_add(1 + RECORDS_AHEAD as u64)) - 1;
        let numbers = (version.next().0..=last).map(Version);
        let records = try_join_all(numbers.clone().map(|number| catalog.record_bytes(number))).await?;
        for (number, record) in numbers.zip(records) {
            let record = record.ok_or_else(|| catalog.missing(number))?;
            check_line(catalog, &before, number, &record)?;
            before = record;
        }
        version = Version(last);
    }
    check_line(catalog, &before, latest, bytes)
}

/// Finds the edge below `absent`, which is not 0.
async fn descend(catalog: &Catalog, absent: u64) -> Result<Option<Snapshot>> {
    let before = Version(absent - 1);
    if let Some(bytes) = catalog.record_bytes(before).await? {
        return catalog.read_version(before, &bytes).await.map(Some);
    }
    let Some(bytes) = catalog.record_bytes(Version(0)).await? else { return Ok(None) };
    let (latest, bytes) = halve(catalog, Version(0), bytes, before).await?;
    catalog.read_version(latest, &bytes).await.map(Some)
}

/// Finds the edge between a version that is there and one that is not.
async fn halve(
    catalog: &Catalog,
    mut present: Version,
    mut bytes: Bytes,
    mut absent: Version,
) -> Result<(Version, Bytes)> {
    while absent.0 - present.0 > 1 {
        let probed = Version(present.0 + (absent.0 - present.0) / 2);
        match catalog.record_bytes(probed).await? {
            Some(found) => (present, bytes) = (probed, found),
            None => absent = probed,
        }
    }
    Ok((present, bytes))
}
