//! Visits every node that any of several versions refers to, about once.
//!
//! The newest version is walked completely. Each version before it is walked side by side with the next newer one, level by level.
//! Where both refer to a node **at the same place**, everything below is shared and was visited already. Equal digests are not
//! enough: equal nodes may lie in different packs and refer to different places. The mark would miss those packs, and the sweep would
//! remove them.
//!
//! Cost: the nodes of one version, and for each further one the nodes on the paths to what differs from the next.
//! Memory: the references to the nodes of a level that differ.

use std::collections::{BTreeMap, HashSet};

use crate::Result;
use crate::catalog::rules::Rules;
use crate::catalog::snapshot::{Part, Snapshot};
use crate::format::node::{Node, NodeRef, TreeNode, Wanted};
use crate::packs::source::Source;
use crate::tree::Tree;

/// Nodes read at once.
const BATCH: usize = 64;

/// What is done with each node.
pub(crate) type Visit<'a> = dyn FnMut(&NodeRef, &Node) + 'a;

/// Walks versions from the newest to the oldest.
pub(crate) struct Walk {
    newer: Option<BTreeMap<Part, Tree>>,
}

impl Walk {
    pub(crate) fn new() -> Walk {
        Walk { newer: None }
    }

    /// Visits the nodes that this version refers to and the one of the call before does not.
    pub(crate) fn version(&mut self, snapshot: &Snapshot, visit: &mut Visit<'_>) -> Result<()> {
        let rules = snapshot.catalog().rules();
        let trees: BTreeMap<Part, Tree> = snapshot.trees().collect();
        for (part, tree) in &trees {
            let Some(root) = tree.root.node() else { continue };
            match self.newer.as_ref().and_then(|newer| newer.get(part)) {
                Some(newer) => difference(rules, tree, newer, visit)?,
                None => full(&tree.source, &[root], visit)?,
            }
        }
        self.newer = Some(trees);
        Ok(())
    }
}

/// Visits nodes and all that is below them.
fn full(source: &Source, nodes: &[Wanted], visit: &mut Visit<'_>) -> Result<()> {
    for batch in nodes.chunks(BATCH) {
        let read = source.nodes(batch)?;
        batch.iter().zip(&read).for_each(|(wanted, node)| visit(&wanted.node, node));
        let below: Vec<Wanted> = read.iter().flat_map(TreeNode::children).collect();
        full(source, &below, visit)?;
    }
    Ok(())
}

/// Visits the nodes of a tree that another one does not refer to.
fn difference(rules: &dyn Rules, old: &Tree, new: &Tree, visit: &mut Visit<'_>) -> Result<()> {
    let (Some(old_root), new_root) = (old.root.node(), new.root.node()) else { return Ok(()) };
    let key = |wanted: &Wanted| rules.identity(&wanted.node);
    let (mut olds, mut news): (Vec<Wanted>, Vec<Wanted>) = (Vec::new(), Vec::new());
    let top = new_root.as_ref().map_or(0, |root| root.node.level).max(old_root.node.level);
    // One level after the other, from the higher root down: nodes can only be shared with nodes of the same level.
    for level in (0..=top).rev() {
        olds.extend(Some(&old_root).filter(|root| root.node.level == level).cloned());
        news.extend(new_root.as_ref().filter(|root| root.node.level == level).cloned());
        let (in_old, in_new): (HashSet<_>, HashSet<_>) =
            (olds.iter().map(key).collect(), news.iter().map(key).collect());
        olds.retain(|node| !in_new.contains(&key(node)));
        news.retain(|node| !in_old.contains(&key(node)));
        if olds.is_empty() && level <= old_root.node.level {
            return Ok(());
        }
        let mut below = Vec::new();
        for batch in olds.chunks(BATCH) {
            let read = old.source.nodes(batch)?;
            batch.iter().zip(&read).for_each(|(wanted, node)| visit(&wanted.node, node));
            below.extend(read.iter().flat_map(TreeNode::children));
        }
        olds = below;
        let mut below = Vec::new();
        // Leaves of the newer tree are not read: their parents refer to them, and only that matters.
        for batch in news.chunks(BATCH).filter(|_| level > 0) {
            below.extend(new.source.nodes(batch)?.iter().flat_map(TreeNode::children));
        }
        news = below;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use deltic_core::{CatalogUuid, Layer, NameBytes, Payload, RunId, Timestamp};

    use super::*;
    use crate::catalog::NewCatalog;
    use crate::format::entry::NodePlace;
    use crate::format::shape::Shape;
    use crate::{Catalog, Committed, Draft, DraftOptions, NextVersion, Stores};

    /// All nodes of a tree, one by one.
    fn nodes(tree: &Tree, wanted: &Wanted, found: &mut HashSet<NodePlace>) {
        found.insert(wanted.node.place);
        let read = tree.source.node(wanted).unwrap();
        read.children().for_each(|child| nodes(tree, &child, found));
    }

    /// Levels of many more nodes than are read together. Everything differs, or an entry here and there does. Each node is
    /// visited, and none twice.
    #[test]
    fn each_node_of_wide_levels_is_visited_once() {
        let catalog = |inner_bits| {
            let layers = vec![Layer::generic("a").unwrap()];
            let new = NewCatalog { uuid: CatalogUuid(1), run: RunId(1), created: Timestamp(0) };
            let catalog = Catalog::create(&Stores::new(), "memory:", layers, new).unwrap();
            catalog.with_shape(Shape { leaf_bits: 1, inner_bits })
        };
        // One node above 500 leaves; and hundreds of nodes with eight leaves each.
        for (inner_bits, entries, step) in [(10, 1000, 1), (10, 1000, 3), (3, 4000, 1), (3, 4000, 16)] {
            let catalog = catalog(inner_bits);
            let mut expected = HashSet::new();
            for (run, step) in [(7u64, 1), (8, step)] {
                let base = catalog.latest().unwrap();
                let draft = Draft::begin(&base, RunId(run), DraftOptions::default());
                let before = base.trees().next().map_or(draft.empty_tree(), |(_, tree)| tree);
                let puts = (0..entries).step_by(step).map(|number| {
                    let entry = draft.put(&Payload::new(format!("{number} {run}").into_bytes()))?;
                    Ok::<_, crate::Error>((NameBytes::from(format!("{number:06}").as_bytes()), Some(entry)))
                });
                let tree = draft.edit(&before, puts).unwrap();
                let layers = vec![(Layer::generic("a").unwrap(), tree)];
                let Committed::New(made) = draft.commit(NextVersion { layers, ..NextVersion::default() }).unwrap()
                else {
                    panic!("nothing to commit")
                };
                for (_, tree) in made.trees() {
                    nodes(&tree, &tree.root.node().unwrap(), &mut expected);
                }
            }
            let latest = catalog.latest().unwrap();
            let mut walk = Walk::new();
            let mut visited = Vec::new();
            for snapshot in [&latest, &catalog.snapshot(deltic_core::Version(1)).unwrap()] {
                walk.version(snapshot, &mut |node, _| visited.push(node.place)).unwrap();
            }
            let once: HashSet<NodePlace> = visited.iter().copied().collect();
            assert_eq!((visited.len(), once.len()), (expected.len(), expected.len()), "{inner_bits} {step}");
            assert!(once == expected && expected.len() > 4 * BATCH);
        }
    }
}
