//! Inputs that have another history than when earlier versions of the output were made.
//!
//! A version was compiled from its inputs and from the version before it, and so on. If one of these versions records a
//! content that its input no longer has under that number, a run between may have compared with a wrong content, and no
//! record shows it. The effect can be in any partition, and a sample would miss it. So all tasks that read such an input
//! are verified in full.

use std::collections::{BTreeMap, BTreeSet};

use deltic_core::{CatalogId, Version};
use deltic_store::{Dependency, Snapshot};

use crate::Result;
use crate::run::job::Job;

/// The number of earlier versions of the output that are checked.
const LOOKED_BACK: u64 = 64;

/// The inputs of which an earlier version of the output records another content than that number has now, each with a note.
/// The inputs of `version` itself are opened by their digests already.
///
/// Cost: a request for each version of the output that is checked, and one for each version of an input that these record
/// and `version` does not; all of a catalog at once.
pub(super) fn replaced(job: &Job<'_>, version: &Snapshot) -> Result<BTreeMap<CatalogId, String>> {
    let last = version.version().0;
    let earlier: Vec<Version> = (last.saturating_sub(LOOKED_BACK)..last).rev().map(Version).collect();
    let earlier = version.catalog().look_up(&earlier)?;
    let direct =
        |of: &Snapshot| of.record().dependencies.iter().filter(|known| known.direct).cloned().collect::<Vec<_>>();
    let current = direct(version);
    // Each once, with the last version that records it.
    let mut named: BTreeMap<CatalogId, Vec<(Dependency, Version)>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for snapshot in earlier.into_iter().flatten() {
        for known in direct(&snapshot) {
            let Some(id) = known.catalog.clone().filter(|id| job.inputs.contains_key(id)) else { continue };
            let is_current = current
                .iter()
                .any(|current| current.catalog == known.catalog && current.identity() == known.identity());
            if !is_current && seen.insert((id.clone(), known.uuid, known.version, known.digest)) {
                named.entry(id).or_default().push((known, snapshot.version()));
            }
        }
    }
    let mut replaced = BTreeMap::new();
    for (id, named) in named {
        let Some(input) = job.inputs.get(&id) else { continue };
        let versions: Vec<Version> = named.iter().map(|(known, _)| known.version).collect();
        let found = input.catalog.look_up(&versions)?;
        let other = named.iter().zip(found).find_map(|((known, by), found)| {
            let found = found.filter(|found| found.uuid() == known.uuid && found.digest() != known.digest)?;
            Some((known, by, found))
        });
        if let Some((known, by, found)) = other {
            let text = format!(
                "version {by} of the output was made from version {} of `{id}` with digest {}, but that version has digest {} now: \
                 `{id}` has another history, so everything that reads it was verified",
                known.version,
                known.digest.short(),
                found.digest().short()
            );
            replaced.insert(id, text);
        }
    }
    Ok(replaced)
}
