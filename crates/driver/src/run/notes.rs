//! Notes for the plan and the report: what is unusual about inputs, but ends no run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deltic_core::{CatalogId, CatalogUuid, Digest, LayerId, Version};
use deltic_store::{Dependency, Snapshot};

use crate::input::view::RunLayer;
use crate::run::job::Processing;

/// The note for a statement about an input that is not true.
pub(crate) fn contradiction(
    id: &CatalogId,
    stated: Processing,
    from: Option<Version>,
    layers: &BTreeMap<LayerId, Arc<RunLayer>>,
    base: Version,
) -> Option<String> {
    let made = format!("version {base} of the output was made");
    match (stated, from) {
        (Processing::Unspecified | Processing::Reprocess, _) => None,
        (Processing::Changes { since }, Some(from)) if since == from => None,
        (Processing::Changes { since }, Some(from)) => Some(format!(
            "the job states that `{id}` changed since version {since}, but {made} from its version {from}: the changes since \
             {from} are compiled"
        )),
        (Processing::Changes { since }, None) => {
            Some(format!("the job states that `{id}` changed since version {since}, but {made} without it"))
        }
        (Processing::NoChanges, None) => {
            Some(format!("the job states that `{id}` did not change, but {made} without it"))
        }
        (Processing::NoChanges, Some(from)) => {
            let changed = layers.iter().filter(|(_, layer)| layer.is_comparable() && layer.has_changed());
            let changed: Vec<String> = changed.map(|(layer, _)| format!("`{id}/{layer}`")).collect();
            let what = changed.join(", ");
            (!what.is_empty()).then(|| {
                format!(
                    "the job states that `{id}` did not change, but {made} from its version {from}, and {what} changed since then"
                )
            })
        }
    }
}

/// Notes each version that is read, or that an input was made from, with two digests: then one number of a catalog has two
/// contents.
pub(crate) fn two_histories(read: &[(&CatalogId, &Snapshot)]) -> Vec<String> {
    let mut known: BTreeMap<(CatalogUuid, Version), BTreeMap<Digest, String>> = BTreeMap::new();
    for (id, now) in read {
        let digests = known.entry((now.uuid(), now.version())).or_default();
        digests.entry(now.digest()).or_insert_with(|| format!("`{id}` is read with digest {}", now.digest().short()));
    }
    for (id, now) in read {
        for named in &now.record().dependencies {
            let digests = known.entry((named.uuid, named.version)).or_default();
            let text = || format!("`{id}` was made from digest {}", named.digest.short());
            digests.entry(named.digest).or_insert_with(text);
        }
    }
    let of_two = known.into_iter().filter(|(_, digests)| digests.len() > 1);
    let note = |((uuid, version), digests): ((CatalogUuid, Version), BTreeMap<Digest, String>)| {
        let digests: Vec<String> = digests.into_values().collect();
        format!("version {version} of catalog {uuid} has two histories: {}", digests.join(", "))
    };
    of_two.map(note).collect()
}

/// An input, and the versions of a catalog that it was made from, by content.
type User<'a> = (&'a CatalogId, BTreeMap<Digest, Version>);

/// Notes inputs that were made from different versions of one catalog, or from another one than the run reads: the output
/// mixes these. `read` is without ids that are bound to the version of an earlier run, which is intended.
pub(crate) fn mixed_versions(read: &[(&CatalogId, &Snapshot)]) -> Vec<String> {
    let mut notes = Vec::new();
    // The inputs that were made from each catalog, and from which versions.
    let mut users: BTreeMap<CatalogUuid, Vec<User<'_>>> = BTreeMap::new();
    for (id, now) in read {
        let all = &now.record().dependencies;
        // A job that binds two ids to two versions of one catalog intends to.
        let is_meant = |one: &Dependency| {
            let mut others = all.iter().filter(|other| other.uuid == one.uuid && other.direct);
            one.direct && others.any(|other| other.version > one.version)
        };
        for named in all.iter().filter(|named| named.uuid != now.uuid() && !is_meant(named)) {
            let users = users.entry(named.uuid).or_default();
            if users.last().is_none_or(|(user, _)| *user != *id) {
                users.push((*id, BTreeMap::new()));
            }
            if let Some((_, versions)) = users.last_mut() {
                versions.insert(named.digest, named.version);
            }
        }
    }
    for (uuid, users) in users {
        let own: Vec<&(&CatalogId, &Snapshot)> = read.iter().filter(|(_, now)| now.uuid() == uuid).collect();
        if let Some((id, now)) = own.first() {
            for (user, mut versions) in users {
                versions.retain(|digest, version| {
                    // One number with two contents has a note of its own.
                    own.iter().all(|(_, now)| now.digest() != *digest && now.version() != *version)
                });
                if !versions.is_empty() {
                    let (then, now) = (numbers(&versions), now.version());
                    notes
                        .push(format!("`{user}` was made from {then} of `{id}`, and this run reads its version {now}"));
                }
            }
            continue;
        }
        let all: BTreeSet<&Digest> = users.iter().flat_map(|(_, versions)| versions.keys()).collect();
        if all.len() > 1 {
            let mut each = users.iter().map(|(user, versions)| (user, numbers(versions)));
            let first = each.next().map(|(user, then)| format!("`{user}` was made from {then} of catalog {uuid}"));
            let others = each.map(|(user, then)| format!("`{user}` from {then}"));
            notes.push(first.into_iter().chain(others).collect::<Vec<_>>().join(", and "));
        }
    }
    notes
}

/// `version 3`, or `versions 3 and 4`.
fn numbers(versions: &BTreeMap<Digest, Version>) -> String {
    let numbers: BTreeSet<&Version> = versions.values().collect();
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!("version{} {}", if texts.len() == 1 { "" } else { "s" }, texts.join(" and "))
}
