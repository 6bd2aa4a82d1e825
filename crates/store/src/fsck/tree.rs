//! The trees of all retained versions: each node once, its digest, counts and shape, and where what it refers to lies.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Bad, Findings, Referred, reason};
use crate::Result;
use crate::node::{Node, NodeRef};
use crate::object::ObjectName;
use crate::snapshot::Snapshot;
use crate::source::Source;
use crate::tree::{Codec, NodePlace, Place, Tree};

/// Nodes read at once.
const BATCH: usize = 64;

/// A node that is to be checked, and what its place among the others asks of it.
struct Expected {
    node: NodeRef,
    /// Its last key, as its parent has it.
    last: Option<Box<[u8]>>,
    /// The key that all of its keys come after.
    after: Option<Box<[u8]>>,
    /// Whether it is the last of its level, which ends where it ends.
    is_last: bool,
}

/// Checks the trees of versions, newest first.
pub(super) fn check(versions: &[Snapshot], findings: &mut Findings) -> Result<()> {
    let mut seen: HashSet<(NodePlace, bool)> = HashSet::new();
    for (_, tree) in versions.iter().flat_map(Snapshot::trees) {
        if let Some(node) = tree.root.node() {
            let root = Expected { node, last: None, after: None, is_last: true };
            walk(&tree, vec![root], &mut seen, findings)?;
        }
    }
    Ok(())
}

fn walk(
    tree: &Tree,
    mut wanted: Vec<Expected>,
    seen: &mut HashSet<(NodePlace, bool)>,
    findings: &mut Findings,
) -> Result<()> {
    // A node that is the last of its level in one tree and not in another has to end well in the latter.
    wanted.retain(|one| seen.insert((one.node.place, one.is_last)));
    for batch in wanted.chunks(BATCH) {
        let references: Vec<NodeRef> = batch.iter().map(|one| one.node).collect();
        let read: Vec<Result<Arc<Node>>> = match tree.source.nodes(&references) {
            Ok(nodes) => nodes.into_iter().map(Ok).collect(),
            // One by one, to know which.
            Err(_) => references.iter().map(|node| tree.source.node(node)).collect(),
        };
        for (expected, node) in batch.iter().zip(read) {
            let NodePlace { pack, offset, stored } = expected.node.place;
            let referred = Referred { stored, digest: expected.node.digest, node: true, codec: Codec::Raw };
            findings.referred.entry(pack).or_default().insert(offset, referred);
            let what = match node {
                Err(error) => Some(reason(&error)?),
                Ok(node) => {
                    findings.checked.nodes += 1;
                    let problem = problem(&tree.source, expected, &node);
                    if problem.is_none() {
                        below(tree, expected, &node, seen, findings)?;
                    }
                    problem.map(|what| format!("node of {stored} bytes at {offset}: {what}"))
                }
            };
            if let Some(what) = what {
                findings.damaged(Bad::Blob(pack, offset), &ObjectName::Pack(pack), what);
            }
        }
    }
    Ok(())
}

/// Says what is wrong with a node whose digest and counts are right.
fn problem(source: &Source, expected: &Expected, node: &Node) -> Option<&'static str> {
    let shape = source.catalog.shape();
    let inner_ends = (0..node.len() - 1).any(|index| shape.ends(node.level(), node.key(index)));
    if expected.last.as_deref().is_some_and(|last| last != node.last_key()) {
        Some("its last key is not the one that its parent has")
    } else if expected.after.as_deref().is_some_and(|after| node.key(0) <= after) {
        Some("its keys do not come after those before it")
    } else if inner_ends || !expected.is_last && !shape.ends(node.level(), node.last_key()) {
        Some("it does not end where its keys say")
    } else if expected.last.is_none() && node.level() > 0 && node.len() == 1 {
        Some("it is a root with one child")
    } else {
        None
    }
}

/// Goes on with the children, or notes where payloads lie.
fn below(
    tree: &Tree,
    expected: &Expected,
    node: &Node,
    seen: &mut HashSet<(NodePlace, bool)>,
    findings: &mut Findings,
) -> Result<()> {
    if node.level() == 0 {
        findings.checked.entries += node.len() as u64;
        for entry in (0..node.len()).map(|index| node.entry(index)) {
            match entry.place {
                // Decoding has digested its bytes.
                Place::Inline(_) => findings.checked.payloads += 1,
                Place::Pack { pack, offset, stored, codec } => {
                    let referred = Referred { stored, digest: entry.meta.digest, node: false, codec };
                    findings.referred.entry(pack).or_default().insert(offset, referred);
                }
            }
        }
        return Ok(());
    }
    let children = (0..node.len()).filter_map(|index| {
        let after = index.checked_sub(1).map(|before| Box::from(node.key(before))).or_else(|| expected.after.clone());
        let is_last = expected.is_last && index + 1 == node.len();
        Some(Expected { node: node.child(index)?, last: Some(node.key(index).into()), after, is_last })
    });
    walk(tree, children.collect(), seen, findings)
}
