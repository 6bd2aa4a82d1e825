//! Finds the layers and key ranges of each retained version that can not be read because of damage.

use std::collections::{BTreeMap, BTreeSet};

use deltic_core::{NameBytes, Version};

use super::findings::{Bad, Damage, Touched};
use crate::catalog::Tip;
use crate::catalog::snapshot::{Part, Snapshot};
use crate::format::entry::Place;
use crate::format::node::Wanted;
use crate::format::object_name::PackName;
use crate::format::record::ranges;
use crate::tree::Tree;
use crate::{ErrorKind, Result};

/// An affected part of a tree, with the damage that affects it.
type Found = BTreeMap<(usize, Part, Option<NameBytes>, NameBytes, u64), BTreeSet<Version>>;

/// Adds to each damage what it affects.
pub(super) fn by(bad: &BTreeMap<Bad, usize>, tip: &Tip, retained: &[Snapshot], damage: &mut [Damage]) -> Result<()> {
    let mut found = Found::new();
    if bad.keys().any(|bad| matches!(bad, Bad::Pack(_) | Bad::Blob(..))) {
        for snapshot in retained {
            for (part, tree) in snapshot.trees() {
                let version = snapshot.version();
                let mut walk = Walk { bad, tree: &tree, part: &part, version, found: &mut found };
                if let Some(root) = tree.root.node() {
                    walk.node(&root, None, &NameBytes::from(&b""[..]))?;
                }
            }
        }
    }
    // The versions that can be read by the newest whole record, and all versions that are newer than it.
    let mut readable = tip.newest.as_ref().map(|newest| newest.record().retained.clone()).unwrap_or_default();
    let newer = Version(tip.newest.as_ref().map_or(0, |newest| newest.version().0.saturating_add(1)));
    if newer <= tip.latest {
        readable.push((newer, tip.latest));
    }
    for (bad, index) in bad {
        let Bad::Records(first, last) = *bad else { continue };
        let meet = |&(from, to): &(Version, Version)| (from.max(first), to.min(last));
        let versions: Vec<_> = readable.iter().map(meet).filter(|(from, to)| from <= to).collect();
        if !versions.is_empty() {
            damage[*index].touches.push(Touched { versions, part: None, after: None, last: None, entries: 0 });
        }
    }
    for ((index, part, after, last, entries), versions) in found {
        let last = Some(last).filter(|last| !last.is_empty());
        damage[index].touches.push(Touched { versions: ranges(versions), part: Some(part), after, last, entries });
    }
    Ok(())
}

struct Walk<'a> {
    bad: &'a BTreeMap<Bad, usize>,
    tree: &'a Tree,
    part: &'a Part,
    version: Version,
    found: &'a mut Found,
}

impl Walk<'_> {
    fn touch(&mut self, damage: usize, after: Option<&NameBytes>, last: &NameBytes, entries: u64) {
        let key = (damage, self.part.clone(), after.cloned(), last.clone(), entries);
        self.found.entry(key).or_default().insert(self.version);
    }

    /// The damage at a place.
    fn at(&self, pack: PackName, offset: u64) -> Option<usize> {
        let at = |bad: &Bad| self.bad.get(bad).copied();
        at(&Bad::Blob(pack, offset)).or_else(|| at(&Bad::Pack(pack)))
    }

    /// Walks a node whose keys come after `after` and end with `last`. An empty `last` means the end of the tree.
    fn node(&mut self, wanted: &Wanted, after: Option<&NameBytes>, last: &NameBytes) -> Result<()> {
        let node = &wanted.node;
        if let Some(damage) = self.at(node.place.pack, node.place.offset) {
            self.touch(damage, after, last, node.count);
            return Ok(());
        }
        let read = match self.tree.source.node(wanted) {
            Ok(read) => read,
            // The first pass found it whole, or has recorded its damage elsewhere.
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        if read.level() > 0 {
            let mut after = after.cloned();
            for (index, child) in read.children().enumerate() {
                let key = NameBytes::from(read.key(index));
                self.node(&child, after.as_ref(), &key)?;
                after = Some(key);
            }
            return Ok(());
        }
        // Neighbouring entries with the same damage are one range.
        let mut run: Option<(usize, Option<NameBytes>, NameBytes, u64)> = None;
        let mut before = after.cloned();
        for index in 0..read.len() {
            let key = NameBytes::from(read.key(index));
            let damage = match read.entry(index).place {
                Place::Inline(_) => None,
                Place::Pack { pack, offset, .. } => self.at(pack, offset),
            };
            match (&mut run, damage) {
                (Some((same, _, last, entries)), Some(damage)) if *same == damage => {
                    *last = key.clone();
                    *entries += 1;
                }
                (_, damage) => {
                    if let Some((damage, after, last, entries)) = run.take() {
                        self.touch(damage, after.as_ref(), &last, entries);
                    }
                    run = damage.map(|damage| (damage, before.clone(), key.clone(), 1));
                }
            }
            before = Some(key);
        }
        if let Some((damage, after, last, entries)) = run {
            self.touch(damage, after.as_ref(), &last, entries);
        }
        Ok(())
    }
}
