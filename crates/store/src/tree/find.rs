//! Look-ups along one path: by key, by rank, by index. Also reads the nodes of many paths at once, and finds keys that cut a tree
//! into equal parts.

use deltic_core::NameBytes;

use super::KeyRange;
use crate::format::entry::Entry;
use crate::format::node::{TreeNode, Wanted};
use crate::format::tree_root::Root;
use crate::packs::source::Source;
use crate::{Error, Result};

pub(super) fn get(source: &Source, root: &Root, key: &[u8]) -> Result<Option<Entry>> {
    let mut next = root.node();
    while let Some(reference) = next {
        let node = source.node(&reference)?;
        let index = node.search(key);
        if index == node.len() {
            return Ok(None);
        }
        if node.level() == 0 {
            return Ok((node.key(index) == key).then(|| node.entry(index)));
        }
        next = node.child(index);
    }
    Ok(None)
}

/// Reads the nodes that cover some ascending keys into the cache, one level after the other and all nodes of a level at once.
pub(super) fn read_ahead(source: &Source, root: Option<Wanted>, keys: &[&[u8]]) -> Result<()> {
    let mut wanted: Vec<Wanted> = root.into_iter().collect();
    while let Some(level) = wanted.first().map(|wanted| wanted.node.level) {
        let nodes = source.nodes(&wanted)?;
        if level == 0 {
            break;
        }
        wanted.clear();
        let (mut nodes, mut node) = (nodes.iter(), None);
        for &key in keys {
            while node.is_none_or(|node: &TreeNode| node.last_key() < key)
                && let Some(next) = nodes.next()
            {
                node = Some(next);
            }
            // A key beyond all others belongs to the last node.
            let child = node.and_then(|node| node.child(node.search(key).min(node.len() - 1)));
            if let Some(child) = child.filter(|child| wanted.last().is_none_or(|last| last.node != child.node)) {
                wanted.push(child);
            }
        }
    }
    Ok(())
}

pub(super) fn rank(source: &Source, root: &Root, key: &[u8]) -> Result<u64> {
    let mut rank = 0;
    let mut next = root.node();
    while let Some(reference) = next {
        let node = source.node(&reference)?;
        let index = node.search(key);
        rank += node.columns().count_before(index);
        next = if index < node.len() { node.child(index) } else { None };
    }
    Ok(rank)
}

pub(super) fn count_in(source: &Source, root: &Root, range: &KeyRange) -> Result<u64> {
    let start = rank(source, root, &range.start)?;
    let end = match &range.end {
        Some(end) => rank(source, root, end)?,
        None => root.count,
    };
    Ok(end.saturating_sub(start))
}

pub(super) fn nth(source: &Source, root: &Root, n: u64) -> Result<Option<(NameBytes, Entry)>> {
    if n >= root.count {
        return Ok(None);
    }
    let mut left = n;
    let mut next = root.node();
    while let Some(reference) = next {
        let node = source.node(&reference)?;
        let index = node.columns().index_of(&mut left);
        if index == node.len() {
            break;
        }
        if node.level() == 0 {
            return Ok(Some((node.key(index).into(), node.entry(index))));
        }
        next = node.child(index);
    }
    Err(Error::internal("the counts of a tree do not add up"))
}

/// A cut does not go into a child that has this many times fewer entries than a range: it goes before or after the child.
const FINENESS: u64 = 32;

/// The last key of each range but the last, for ranges with about equal counts.
pub(super) fn split_keys(source: &Source, root: &Root, parts: usize) -> Result<Vec<NameBytes>> {
    let count = root.count;
    let Some(root) = root.node() else {
        return Ok(Vec::new());
    };
    let parts = (parts as u64).min(count);
    // Each cut: the node that it lies in, and how many of the node's entries come before the last one of the range.
    let rank = |part: u64| (u128::from(count) * u128::from(part) / u128::from(parts)) as u64;
    let mut cuts: Vec<(Wanted, u64)> =
        (1..parts).filter_map(|part| Some((root.clone(), rank(part).checked_sub(1)?))).collect();
    let mut keys: Vec<NameBytes> = Vec::with_capacity(cuts.len());
    while !cuts.is_empty() {
        let mut wanted: Vec<Wanted> = cuts.iter().map(|(node, _)| node.clone()).collect();
        wanted.dedup_by(|one, two| one.node == two.node);
        let nodes = source.nodes(&wanted)?;
        let mut nodes = wanted.iter().zip(&nodes).peekable();
        let mut below = Vec::new();
        for (at, mut left) in cuts {
            while nodes.peek().is_some_and(|(wanted, _)| wanted.node != at.node) {
                nodes.next();
            }
            let Some((_, node)) = nodes.peek() else {
                break;
            };
            let index = node.columns().index_of(&mut left);
            if index == node.len() {
                return Err(Error::internal("the counts of a tree do not add up"));
            }
            match node.child(index) {
                Some(child) if child.node.count > count / parts / FINENESS => below.push((child, left)),
                // Cuts at the nearer side of the child.
                Some(child) if index > 0 && left < child.node.count / 2 => keys.push(node.key(index - 1).into()),
                _ => keys.push(node.key(index).into()),
            }
        }
        cuts = below;
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}
