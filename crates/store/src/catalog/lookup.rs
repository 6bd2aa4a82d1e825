//! Finds versions by their content, not by their number alone.
//!
//! A number names one content as long as the catalog has one history. A restored copy, a staging copy or a lost latest record
//! adds a second history: the same uuid and the same numbers, with other contents. Then only the digest identifies what was read.

use deltic_core::{Digest, Version};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::{Catalog, RECORDS_AHEAD};
use crate::catalog::snapshot::Snapshot;
use crate::format::object_name::ObjectName;
use crate::{Error, ErrorKind, Result};

/// How many versions are searched for a digest: those whose numbers are nearest to where it was.
const SEARCHED: u64 = 64;

impl Catalog {
    /// The records of versions, in the given order. Expired versions are included, but their trees can not be read. `None` where a
    /// record is missing or damaged. Cost: one request a version, up to 64 at once.
    pub fn look_up(&self, versions: &[Version]) -> Result<Vec<Option<Snapshot>>> {
        let read = |version: Version| async move {
            let found = async {
                let Some(bytes) = self.record_bytes(version).await? else { return Ok(None) };
                self.read_version(version, &bytes).await.map(Some)
            };
            match found.await {
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt { .. }) => Ok(None),
                found => found,
            }
        };
        self.client().drive(async {
            let reads: Vec<_> = versions.iter().map(|version| read(*version)).collect();
            stream::iter(reads).buffered(RECORDS_AHEAD).try_collect().await
        })
    }

    /// Finds a version that can be read and has this catalog digest. Searches the 64 versions whose numbers are nearest to `near`, and
    /// returns the nearest; of two equally near, the older. `None` when none of them has the digest.
    ///
    /// Cost: finding the latest version, unless this catalog has seen one; then one request for each version that is searched, all
    /// at once.
    pub fn with_digest(&self, digest: &Digest, near: Version) -> Result<Option<Snapshot>> {
        let latest = match self.seen() {
            Some(seen) => seen,
            None => self.latest()?,
        };
        if latest.digest() == *digest && latest.version() == near {
            return Ok(Some(latest));
        }
        let mut near_by: Vec<Version> = nearest(near.0, latest.version().0).map(Version).collect();
        near_by.retain(|version| latest.record().retains(*version));
        let found = self.look_up(&near_by)?;
        Ok(found
            .into_iter()
            .flatten()
            .find(|snapshot| snapshot.digest() == *digest && snapshot.uuid() == latest.uuid()))
    }
}

/// The numbers up to `last` that are nearest to one, the nearest first.
fn nearest(near: u64, last: u64) -> impl Iterator<Item = u64> {
    let near = near.min(last);
    let both = (1..=SEARCHED).flat_map(move |far| [near.checked_sub(far), near.checked_add(far)]);
    std::iter::once(Some(near)).chain(both).flatten().filter(move |number| *number <= last).take(SEARCHED as usize)
}

impl Snapshot {
    /// The version before it, `None` for the first.
    ///
    /// Errors: it has expired, or it is not the one that this version names as its parent. Cost: one request.
    pub fn parent(&self) -> Result<Option<Snapshot>> {
        let Some(before) = self.version().0.checked_sub(1).map(Version) else { return Ok(None) };
        let parent = self.catalog().snapshot(before)?;
        if self.record().parent != Some(parent.record_digest()) {
            let what = format!("it is not the parent that version {} names", self.version());
            return Err(Error::corrupt(self.catalog().url(), ObjectName::Version(before), what));
        }
        Ok(Some(parent))
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_numbers_come_first() {
        assert_eq!(nearest(3, 5).collect::<Vec<_>>(), [3, 2, 4, 1, 5, 0]);
        assert_eq!(nearest(9, 2).collect::<Vec<_>>(), [2, 1, 0], "what is behind the latest counts as the latest");
        let many: Vec<u64> = nearest(100, 1000).collect();
        assert_eq!((many.len(), many[0], many[63]), (64, 100, 68));
        assert_eq!(nearest(u64::MAX, u64::MAX).count(), 64);
    }
}
