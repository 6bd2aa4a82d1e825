//! The root of a tree, as version records hold it.

use deltic_core::Digest;
use serde::{Deserialize, Serialize};

use crate::format::entry::NodePlace;
use crate::format::node::{self, NodeRef, Wanted};

/// A tree, as a version record describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Digest of keys, payload digests, lengths and user fields: equal digests, equal contents.
    pub digest: Digest,
    /// Level of the root node; 0 is a leaf.
    pub level: u8,
    /// Number of entries.
    pub count: u64,
    /// Sum of the payloads' lengths.
    pub bytes: u64,
    /// Where the root node lies; none when the tree is empty.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub place: Option<NodePlace>,
}

impl Root {
    /// The root of the empty tree.
    pub fn empty() -> Root {
        Root { digest: node::empty_digest(), level: 0, count: 0, bytes: 0, place: None }
    }

    /// The root node, to be read; none of an empty tree.
    pub(crate) fn node(&self) -> Option<Wanted> {
        let Root { digest, level, count, bytes, place } = *self;
        place.map(|place| Wanted::root(NodeRef { digest, level, count, bytes, place }))
    }

    /// What is wrong with a root that was read.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.place.is_none() && *self != Root::empty() || self.place.is_some() && self.count == 0 {
            return Some("a root has entries without a place, or a place without entries".to_owned());
        }
        None
    }
}

impl From<NodeRef> for Root {
    fn from(node: NodeRef) -> Root {
        let NodeRef { digest, level, count, bytes, place } = node;
        Root { digest, level, count, bytes, place: Some(place) }
    }
}

#[cfg(test)]
mod tests {
    use deltic_core::{RunId, Version};

    use super::*;
    use crate::format::object_name::PackName;

    #[test]
    fn a_root_is_empty_or_has_a_place_and_entries() {
        let pack = PackName { base: Version(1), run: RunId(2), seq: 3 };
        let place = Some(NodePlace { pack, offset: 0, stored: 100 });
        let empty = Root::empty();
        for legal in [empty, Root { count: 1, place, ..empty }] {
            assert_eq!(legal.problem(), None, "{legal:?}");
        }
        for wrong in [Root { count: 1, ..empty }, Root { bytes: 1, ..empty }, Root { place, ..empty }] {
            assert!(wrong.problem().is_some(), "{wrong:?}");
        }
    }
}
