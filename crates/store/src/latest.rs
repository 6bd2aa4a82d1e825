//! Finding the latest version.
//!
//! Versions are numbered without gaps and their names are never freed, so "is there a version `n`" is true up to the
//! latest and false from there on. The search is for the edge: it begins where the hint (or what was seen before)
//! points, gallops upwards in doubling steps while versions are there, and halves the distance when they are not. A
//! wrong hint can make it longer by a logarithm and never wrong. Nothing is ever listed.
//!
//! A commit may write its hint beside its record, so a hint can be ahead by one; that costs one more request.

use bytes::Bytes;
use deltic_core::Version;

use crate::catalog::Catalog;
use crate::object::ObjectName;
use crate::snapshot::Snapshot;
use crate::{ErrorKind, Result};

/// Versions probed one by one before the steps double: a hint is rarely older than this.
const SINGLE_STEPS: u64 = 4;

/// Finds and reads the latest version; `None` when there is none at all.
pub(crate) async fn find(catalog: &Catalog) -> Result<Option<Snapshot>> {
    if let Some(seen) = catalog.seen() {
        let version = seen.version();
        return match catalog.record_bytes(version.next()).await? {
            None => Ok(Some(seen)),
            Some(found) => climb(catalog, version.next(), found).await,
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
        (Some(after), _) => climb(catalog, hint.next(), after).await,
        (None, None) => match hint.0 {
            0 => Ok(None),
            ahead => descend(catalog, ahead).await,
        },
    }
}

/// The number in `versions/latest`, if there is one. A hint that can not be read is no hint.
async fn hint(catalog: &Catalog) -> Result<Option<Version>> {
    match catalog.root().get_async(&ObjectName::Latest).await {
        Ok(bytes) => Ok(bytes.and_then(|bytes| parse_hint(&bytes))),
        // It is longer than any number.
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The number that a hint says, if it says one. Allocates nothing.
pub(crate) fn parse_hint(bytes: &[u8]) -> Option<Version> {
    let number = std::str::from_utf8(bytes).ok()?.trim_ascii().parse::<u64>().ok()?;
    // The greatest number has no successor to probe, and no catalog gets there.
    (number < u64::MAX).then_some(Version(number))
}

/// Finds the edge above `present`, whose record is `bytes`.
async fn climb(catalog: &Catalog, mut present: Version, mut bytes: Bytes) -> Result<Option<Snapshot>> {
    let mut taken = 0;
    let mut step = 1u64;
    loop {
        let probed = Version(present.0.saturating_add(step));
        if probed == present {
            // Where numbers end. No catalog gets there, but whoever can write to its store can say so.
            return catalog.read_version(present, &bytes).await.map(Some);
        }
        match catalog.record_bytes(probed).await? {
            Some(found) => (present, bytes) = (probed, found),
            None => return halve(catalog, present, bytes, probed).await,
        }
        taken += 1;
        if taken >= SINGLE_STEPS {
            step = step.saturating_mul(2);
        }
    }
}

/// Finds the edge below `absent`, which is not 0.
async fn descend(catalog: &Catalog, absent: u64) -> Result<Option<Snapshot>> {
    let before = Version(absent - 1);
    if let Some(bytes) = catalog.record_bytes(before).await? {
        return catalog.read_version(before, &bytes).await.map(Some);
    }
    match catalog.record_bytes(Version(0)).await? {
        Some(bytes) => halve(catalog, Version(0), bytes, before).await,
        None => Ok(None),
    }
}

/// Finds the edge between a version that is there and one that is not.
async fn halve(
    catalog: &Catalog,
    mut present: Version,
    mut bytes: Bytes,
    mut absent: Version,
) -> Result<Option<Snapshot>> {
    while absent.0 - present.0 > 1 {
        let probed = Version(present.0 + (absent.0 - present.0) / 2);
        match catalog.record_bytes(probed).await? {
            Some(found) => (present, bytes) = (probed, found),
            None => absent = probed,
        }
    }
    catalog.read_version(present, &bytes).await.map(Some)
}
