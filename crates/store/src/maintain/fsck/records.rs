//! Checks the records of all versions: that they are whole, that they form one line of history, and that none lies beyond its end.

use deltic_core::Version;

use super::findings::{Bad, Findings, reason};
use crate::Result;
use crate::catalog::snapshot::Snapshot;
use crate::catalog::{Catalog, RECORDS_AHEAD, Tip, latest};
use crate::format::object_name::ObjectName;
use crate::format::record::{VersionRecord, minus};

/// Checks the records of the versions up to the latest. `listed`: the versions of a listing. Returns the retained versions that can be
/// read, newest first.
pub(super) fn check(
    catalog: &Catalog,
    tip: &Tip,
    listed: &[Version],
    findings: &mut Findings,
) -> Result<Vec<Snapshot>> {
    let mut retained = Vec::new();
    let mut after: Option<Snapshot> = None;
    let (versions, gaps) = to_look_for(tip.latest, listed);
    for batch in versions.chunks(RECORDS_AHEAD) {
        // All at once; one by one where that fails, to find the damaged ones.
        let found: Vec<Result<Snapshot>> = match catalog.records(batch) {
            Ok(found) => found.into_iter().map(Ok).collect(),
            Err(_) => batch.iter().map(|one| catalog.records(&[*one]).map(|mut one| one.swap_remove(0))).collect(),
        };
        for (version, found) in batch.iter().zip(found) {
            findings.checked.versions += 1;
            let (object, bad) = (ObjectName::Version(*version), Bad::Records(*version, *version));
            match found {
                Err(error) => {
                    let (what, is_there) = (reason(&error)?, listed.binary_search(version).is_ok());
                    if is_there && tip.has_expired(*version) {
                        findings.warn(&object, format!("{what}; {}", expired(*version)));
                    } else {
                        findings.damaged(bad, &object, what);
                    }
                    after = None;
                }
                Ok(snapshot) => {
                    let after_it = after.as_ref().filter(|after| after.version() == version.next());
                    if let Some(what) = after_it.and_then(|after| wrong_parent(after.record(), &snapshot)) {
                        findings.damaged(bad, &object, what);
                    }
                    if tip.newest.as_ref().is_some_and(|newest| newest.record().retains(*version)) {
                        retained.push(snapshot.clone());
                    }
                    after = Some(snapshot);
                }
            }
        }
    }
    for (first, last) in gaps {
        let what = format!(
            "the object is missing, and so are those of all versions up to {last}, although later versions exist"
        );
        findings.damaged(Bad::Records(first, last), &ObjectName::Version(first), what);
    }
    Ok(retained)
}

/// The longest row of missing records that are checked and named one by one. Records can have any number, so a row can be endless.
const MAX_MISSING: u64 = 64;

/// The versions up to the latest whose records to read, newest first, given those that exist; and the rows of missing numbers that are
/// too long to check one by one.
fn to_look_for(latest: Version, there: &[Version]) -> (Vec<Version>, Vec<(Version, Version)>) {
    let (mut versions, mut gaps) = (vec![latest], Vec::new());
    let mut next = latest.0;
    let mut missing = |versions: &mut Vec<Version>, row: std::ops::Range<u64>| {
        if row.end - row.start <= MAX_MISSING {
            versions.extend(row.rev().map(Version));
        } else {
            gaps.push((Version(row.start), Version(row.end - 1)));
        }
    };
    for version in there.iter().rev().copied().filter(|version| *version < latest) {
        missing(&mut versions, version.0 + 1..next);
        versions.push(version);
        next = version.0;
    }
    missing(&mut versions, 0..next);
    (versions, gaps)
}

/// Why the damaged record of an expired version does no harm.
fn expired(version: Version) -> String {
    format!(
        "version {version} has expired, so nothing needs its record: leave the object in place, its name must stay taken"
    )
}

/// Finds the records beyond the latest version and behind a gap: a later commit would collide with them.
pub(super) fn beyond(catalog: &Catalog, latest: Version, listed: &[Version], findings: &mut Findings) -> Result<()> {
    // What follows without a gap has been committed since.
    let mut edge = latest;
    let mut rows: Vec<(Version, Version)> = Vec::new();
    for version in listed.iter().copied().filter(|version| *version > latest) {
        match rows.last_mut() {
            None if version.0 - edge.0 == 1 => edge = version,
            Some((_, last)) if version.0 - last.0 == 1 => *last = version,
            _ => rows.push((version, version)),
        }
    }
    // Versions may have been made while they were listed: then the first that is missing is there by now.
    if rows.is_empty() || catalog.client().get(&ObjectName::Version(edge.next()))?.is_some() {
        return Ok(());
    }
    for (first, last) in rows {
        let row = match first == last {
            true => "this record is".to_owned(),
            false => format!("the records of versions {first} to {last} are"),
        };
        let what = format!(
            "{row} beyond the latest version, {edge}, but there is no record of version {}: restore what is missing from a copy, \
             or move what is beyond out of the catalog",
            edge.next()
        );
        findings.damaged(Bad::Other, &ObjectName::Version(first), what);
    }
    Ok(())
}

/// Compares the hint with the latest version: a hint that is ahead means that records are lost.
pub(super) fn hint(catalog: &Catalog, latest: Version, findings: &mut Findings) -> Result<()> {
    let root = catalog.client();
    let Some(hint) = root.drive(latest::hint(catalog))?.filter(|hint| *hint > latest) else { return Ok(()) };
    if root.get(&ObjectName::Version(hint))?.is_some() {
        return Ok(());
    }
    // New versions may have been made meanwhile: then compare the hint with the last of them.
    let before = Version(hint.0 - 1);
    let latest = if before > latest && root.get(&ObjectName::Version(before))?.is_some() { before } else { latest };
    let what = latest::ahead(hint, Some(latest));
    // Packs of a run on that version prove that it existed.
    if latest::is_lost(catalog, hint, Some(latest)) || !root.packs_since(hint)?.is_empty() {
        findings.damaged(Bad::Other, &ObjectName::Latest, what);
    } else {
        findings.warn(&ObjectName::Latest, format!("a commit failed or is under way, or a record is lost: {what}"));
    }
    Ok(())
}

/// What is wrong between a version and the one that follows it.
fn wrong_parent(after: &VersionRecord, parent: &Snapshot) -> Option<String> {
    let version = after.version;
    if after.parent != Some(parent.record_digest()) {
        return Some(format!(
            "it is not the parent that version {version} names: one of the two is of another line of history"
        ));
    }
    if after.catalog != parent.uuid() {
        return Some(format!("it is of another catalog than version {version}"));
    }
    let retained = minus(&after.retained, &[(version, version)]);
    let revived = minus(&retained, &parent.record().retained);
    revived.first().map(|(one, _)| format!("version {version} retains version {one}, which had expired before"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltic_core::{CatalogUuid, RunId, Timestamp};
    use object_store::ObjectStore;
    use object_store::memory::InMemory;

    use super::*;
    use crate::catalog::publish::publish;
    use crate::write::commit::unchanged_successor;
    use crate::{NewCatalog, Stores};

    #[test]
    fn what_is_looked_for_is_bounded_by_what_is_there() {
        let numbers = |numbers: &[u64]| numbers.iter().copied().map(Version).collect::<Vec<_>>();
        assert_eq!(to_look_for(Version(3), &numbers(&[0, 1, 2, 3, 9])), (numbers(&[3, 2, 1, 0]), vec![]));
        assert_eq!(to_look_for(Version(0), &[]), (numbers(&[0]), vec![]), "it was read");
        assert_eq!(to_look_for(Version(5), &numbers(&[1, 5])), (numbers(&[5, 4, 3, 2, 1, 0]), vec![]));
        let (versions, gaps) = to_look_for(Version(1 << 62), &numbers(&[0, 1 + MAX_MISSING, 99_999]));
        assert_eq!(versions.len() as u64, 1 + 1 + 1 + MAX_MISSING + 1);
        let gap = |first, last| (Version(first), Version(last));
        assert_eq!(gaps, [gap(100_000, (1 << 62) - 1), gap(2 + MAX_MISSING, 99_998)]);
        let (versions, gaps) = to_look_for(Version(2 + MAX_MISSING), &numbers(&[0]));
        assert_eq!((versions.len(), gaps), (2, vec![gap(1, 1 + MAX_MISSING)]));
        assert_eq!(to_look_for(Version(u64::MAX), &[]).1, [gap(0, u64::MAX - 1)]);
    }

    /// A check reads the latest version when it begins and the hint when it ends, and versions are made meanwhile.
    #[test]
    fn a_hint_is_compared_with_what_is_there_by_then() {
        let store = Arc::new(InMemory::new());
        let inner = Arc::clone(&store);
        let stores = Stores::new().with_wrapper(move |_| Arc::clone(&inner) as Arc<dyn ObjectStore>);
        let new = NewCatalog { uuid: CatalogUuid(5), run: RunId(1), created: Timestamp(0) };
        let catalog = Catalog::create(&stores, "s3://bucket/x", Vec::new(), new).unwrap();
        for run in 2..5 {
            let record =
                unchanged_successor(&catalog.latest().unwrap(), RunId(run), Timestamp(0), String::new()).unwrap();
            publish(&catalog, record).unwrap();
        }
        for (named, warnings, damage) in [(3, 0, 0), (4, 1, 0), (5, 0, 1)] {
            catalog.client().overwrite(&ObjectName::Latest, &[format!("{named}\n").into()]).unwrap();
            let mut findings = Findings::default();
            hint(&catalog, Version(2), &mut findings).unwrap();
            assert_eq!((findings.checked.warnings.len(), findings.checked.damage.len()), (warnings, damage), "{named}");
        }
    }
}
