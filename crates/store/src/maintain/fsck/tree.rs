//! Checks the trees of all retained versions, each node once: its digest, counts, range of keys and shape, and the names in leaves.
//! Collects the places that nodes refer to.

use std::collections::{HashMap, HashSet};

use deltic_core::{Layer, Scheme};

use super::findings::{Bad, Findings, Referred, reason};
use crate::Result;
use crate::catalog::snapshot::{Part, Snapshot};
use crate::format::entry::{Codec, NodePlace, Place};
use crate::format::node::{NodeRef, TreeNode, Wanted};
use crate::format::object_name::ObjectName;
use crate::tree::Tree;

/// Nodes read at once.
const BATCH: usize = 64;

/// A node that is to be checked.
struct Expected {
    wanted: Wanted,
    /// Whether it is the last of its level, which ends where it ends.
    is_last: bool,
}

/// What a node must satisfy besides its parent's reference. A node can be valid in one tree and wrong in another, so it is checked
/// once in each role.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Role {
    is_last: bool,
    is_root: bool,
    /// Which names it may hold; none in a table of the state, whose keys are anything.
    scheme: Option<Scheme>,
}

/// A node that was checked. Every other reference to its place must agree with this one.
struct Verified {
    node: NodeRef,
    first: Box<[u8]>,
    last: Box<[u8]>,
}

struct Check<'a> {
    tree: &'a Tree,
    layer: Option<&'a Layer>,
    verified: &'a mut HashMap<NodePlace, Verified>,
    seen: &'a mut HashSet<(NodePlace, Role)>,
    findings: &'a mut Findings,
}

/// Checks the trees of versions, newest first.
pub(super) fn check(versions: &[Snapshot], findings: &mut Findings) -> Result<()> {
    let (mut verified, mut seen) = (HashMap::new(), HashSet::new());
    for snapshot in versions {
        for (part, tree) in snapshot.trees() {
            let Some(wanted) = tree.root.node() else { continue };
            let layer = match &part {
                Part::Layer(id) => snapshot.layer_settings(id),
                Part::State(_) => None,
            };
            let (verified, seen) = (&mut verified, &mut seen);
            let mut check = Check { tree: &tree, layer, verified, seen, findings: &mut *findings };
            check.walk(vec![Expected { wanted, is_last: true }])?;
        }
    }
    Ok(())
}

impl Check<'_> {
    fn walk(&mut self, mut wanted: Vec<Expected>) -> Result<()> {
        wanted.retain(|one| !self.is_done(one));
        for batch in wanted.chunks(BATCH) {
            let references: Vec<Wanted> = batch.iter().map(|one| one.wanted.clone()).collect();
            let read: Vec<Result<TreeNode>> = match self.tree.source.nodes(&references) {
                Ok(nodes) => nodes.into_iter().map(Ok).collect(),
                // One by one, to find the damaged ones.
                Err(_) => references.iter().map(|node| self.tree.source.node(node)).collect(),
            };
            for (expected, node) in batch.iter().zip(read) {
                let NodeRef { digest, place: NodePlace { pack, offset, stored }, .. } = expected.wanted.node;
                let referred = Referred { stored, digest, node: true, codec: Codec::Raw, len: stored };
                self.findings.refer(pack, offset, referred);
                let what = match node {
                    Err(error) => Some(reason(&error)?),
                    Ok(node) => {
                        self.node(expected, &node)?.map(|what| format!("node of {stored} bytes at {offset}: {what}"))
                    }
                };
                if let Some(what) = what {
                    self.findings.damaged(Bad::Blob(pack, offset), &ObjectName::Pack(pack), what);
                }
            }
        }
        Ok(())
    }

    fn role(&self, expected: &Expected) -> Role {
        let scheme = self.layer.map(|layer| layer.scheme.clone());
        Role { is_last: expected.is_last, is_root: expected.wanted.is_root(), scheme }
    }

    /// Whether a node needs no further check: it was checked in this role with the same reference, or it is damaged.
    fn is_done(&self, expected: &Expected) -> bool {
        let node = &expected.wanted.node;
        let fits = |one: &Verified| one.node == *node && expected.wanted.has_range(&one.first, &one.last);
        self.findings.bad.contains_key(&Bad::Blob(node.place.pack, node.place.offset))
            || self.verified.get(&node.place).is_some_and(fits)
                && self.seen.contains(&(node.place, self.role(expected)))
    }

    /// Checks a node that agrees with its parent's reference, then goes on with what it refers to. Returns what is wrong.
    fn node(&mut self, expected: &Expected, node: &TreeNode) -> Result<Option<String>> {
        let place = expected.wanted.node.place;
        let (first, last) = (node.key(0).into(), node.last_key().into());
        let is_new = self.verified.insert(place, Verified { node: expected.wanted.node, first, last }).is_none();
        self.seen.insert((place, self.role(expected)));
        let checked = &mut self.findings.checked;
        checked.nodes += u64::from(is_new);
        if let Some(what) = self.misshapen(expected, node) {
            return Ok(Some(what.to_owned()));
        }
        if node.level() > 0 {
            let last = node.len() - 1;
            let children = node.children().enumerate();
            let children =
                children.map(|(at, wanted)| Expected { wanted, is_last: expected.is_last && at == last }).collect();
            self.walk(children)?;
            return Ok(None);
        }
        self.findings.checked.entries += if is_new { node.len() as u64 } else { 0 };
        for entry in (0..node.len()).map(|index| node.entry(index)).filter(|_| is_new) {
            match entry.place {
                // Decoding has digested its bytes.
                Place::Inline(_) => self.findings.checked.payloads += 1,
                Place::Pack { pack, offset, stored, codec } => {
                    let (digest, len) = (entry.meta.digest, entry.meta.len);
                    self.findings.refer(pack, offset, Referred { stored, digest, node: false, codec, len });
                }
            }
        }
        Ok(self.illegal_name(node))
    }

    fn misshapen(&self, expected: &Expected, node: &TreeNode) -> Option<&'static str> {
        let shape = self.tree.source.origin.shape();
        let inner_ends = (0..node.len() - 1).any(|index| shape.ends(node.level(), node.key(index)));
        if inner_ends || !expected.is_last && !shape.ends(node.level(), node.last_key()) {
            Some("it does not end where its keys require")
        } else if expected.wanted.is_root() && node.level() > 0 && node.len() == 1 {
            Some("it is a root with one child")
        } else {
            None
        }
    }

    /// The first name of a leaf that is not legal in the layer.
    fn illegal_name(&self, leaf: &TreeNode) -> Option<String> {
        let layer = self.layer?;
        let refused = (0..leaf.len()).find_map(|index| layer.name_from_bytes(leaf.key(index)).err())?;
        Some(format!("it has a name that layer `{}` can not have: {refused}", layer.id))
    }
}
