//! What a version was made from: the catalogs that its run read, and the catalogs that these were made from.

use std::collections::{BTreeMap, BTreeSet};

use deltic_core::{CatalogId, CatalogUuid, Digest, Version};

use crate::catalog::snapshot::Snapshot;
use crate::format::record::Dependency;
use crate::{Error, Result};

/// The dependencies of a run that reads these snapshots. First the direct ones, sorted by id; then the indirect ones, sorted by
/// catalog, version and digest: all that the records name and the run does not read itself.
///
/// Two versions of one catalog are both listed. So is one version number with two digests: the catalog's history has split, and
/// an input was made from the other line.
pub fn transitive_dependencies(direct: &[(CatalogId, &Snapshot)]) -> Result<Vec<Dependency>> {
    let mut list: Vec<Dependency> = direct
        .iter()
        .map(|(id, snapshot)| Dependency {
            catalog: Some(id.clone()),
            uuid: snapshot.uuid(),
            url: snapshot.catalog().url().to_owned(),
            version: snapshot.version(),
            digest: snapshot.digest(),
            direct: true,
        })
        .collect();
    list.sort_by(|a, b| a.catalog.cmp(&b.catalog));
    if let Some(pair) = list.windows(2).find(|pair| pair[0].catalog == pair[1].catalog) {
        let id = pair[0].catalog.as_ref().map_or("", CatalogId::as_str);
        return Err(Error::invalid(format!("catalog id `{id}` is bound to two snapshots")));
    }
    let read: BTreeSet<(CatalogUuid, Version, Digest)> = list.iter().map(Dependency::identity).collect();
    let mut indirect: BTreeMap<(CatalogUuid, Version, Digest), Dependency> = BTreeMap::new();
    for one in direct.iter().flat_map(|(_, snapshot)| &snapshot.record().dependencies) {
        if !read.contains(&one.identity()) {
            let dependency = Dependency { catalog: None, direct: false, ..one.clone() };
            let listed = indirect.entry(one.identity()).or_insert_with(|| dependency.clone());
            // One catalog may have been found under several URLs. Take the least one, so that the order of reading does not matter.
            if dependency.url < listed.url {
                *listed = dependency;
            }
        }
    }
    list.extend(indirect.into_values());
    Ok(list)
}
