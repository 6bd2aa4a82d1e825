//! The cost of reading nodes of trees and payloads: requests, bytes, and how many requests wait for one another.
//!
//! Nodes are in packs in the order in which a run from scratch wrote them, a parent after its children: the first of them
//! between payloads, the others in separate packs. Ranges of a pack that are close to each other share a request, which also
//! reads the bytes between them.

use super::cost::Bill;
use super::geometry::{Spread, Tree};

/// Bytes of an entry in an inner node, as real trees have them.
pub(super) const INNER_ENTRY: f64 = 45.0;

const MIB: f64 = 1024.0 * 1024.0;
/// Bytes of a pack, and of the longest request on behalf of several blobs; ranges this close share a request.
pub(super) const PACK: f64 = 16.0 * MIB;
const REQUEST: f64 = 8.0 * MIB;
const GAP: f64 = MIB;
/// Bytes of nodes that a run writes between payloads.
const MIXED: f64 = MIB;

/// Keys that are looked up together, and partitions in a batch.
pub(super) const BATCH: f64 = 256.0;
/// Unchanged inputs that are looked up together.
pub(super) const INPUTS: f64 = 1024.0;
/// Nodes that a diff reads at once, and parents whose leaves a scan does.
const DIFF_AHEAD: f64 = 64.0;
const PARENTS: f64 = 8.0;

/// A layer or a table of the state, as a run from scratch wrote it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) tree: Tree,
    /// Bytes of an entry in a leaf.
    pub(super) entry: f64,
    /// Bytes of payloads between the leaves for each key, where they are mixed.
    pub(super) payload: f64,
    /// Bytes of nodes of other tables among its own, for each key.
    pub(super) others: f64,
}

impl Table {
    /// Bytes of its nodes, and of those among them.
    fn all_bytes(&self) -> f64 {
        let shape = self.tree.shape();
        shape.leaf_entries * self.entry + shape.inner_entries * INNER_ENTRY + self.tree.keys * self.others
    }

    fn entry_bytes(&self, level: i32) -> f64 {
        if level == 0 { self.entry } else { INNER_ENTRY }
    }

    /// Requests and bytes for a number of nodes of `own` bytes in a part of the table.
    fn near(&self, nodes: f64, own: f64, keys: f64) -> (f64, f64) {
        let all = self.all_bytes();
        let mixed = (MIXED / all).min(1.0);
        let (mut gets, mut read) = (1.0, own);
        for (share, payload) in [(mixed, self.payload), (1.0 - mixed, 0.0)] {
            let span = (keys * (all / self.tree.keys + payload) - own).max(0.0);
            let (gap, gaps) = (span / (nodes + 1.0), (nodes - 1.0).max(0.0));
            let reach = if gap > 0.0 { GAP / gap } else { f64::INFINITY };
            let apart = (-reach).exp();
            gets += share * gaps * apart;
            if reach.is_finite() {
                read += share * gaps * gap * (1.0 - apart * (1.0 + reach));
            }
        }
        (gets.max(read / REQUEST), read)
    }
}

impl Bill {
    /// A scan of a whole table: some parents of leaves, then all their leaves, while payloads are read.
    pub(super) fn scan(&mut self, table: &Table) {
        let tree = table.tree;
        let scans = 2.0 * (tree.nodes(1) / PARENTS).ceil() + f64::from(tree.root_level());
        let all = table.all_bytes();
        self.gets += scans.max(all / REQUEST);
        // Parents are so close that one request for some of them reads everything between.
        self.read += all * (2.0 - 1.0 / PARENTS);
        self.chain += scans;
        self.beside += scans;
    }

    /// The difference of two trees: below each node that differs, it reads the children that differ, in both trees at once. The
    /// new root is known, and the nodes of the new tree are close together.
    pub(super) fn diff(&mut self, table: &Table, changed: f64, spread: Spread) {
        let tree = table.tree;
        self.gets += 1.0;
        self.chain += 1.0;
        for level in 0..tree.root_level() {
            let parents = tree.touched_nodes(level + 1, changed, spread);
            let children = tree.touched_nodes(level, changed, spread) / parents;
            let keys = tree.keys_below(level, changed, spread) / parents;
            let own = keys * tree.entries_a_key(level) * table.entry_bytes(level);
            let apart = match spread {
                Spread::Scattered => tree.keys_below(level + 1, changed, spread) / parents,
                Spread::Region => keys,
            };
            let (gets, read) = table.near(children, own, apart);
            let steps = (children / DIFF_AHEAD).ceil();
            self.gets += parents * (gets.max(steps) + steps);
            self.wait(parents * steps, read / steps);
            self.read += parents * (own + read);
        }
    }

    /// Look-ups of keys in order. A batch of them is read together, level after level; the root is known. The given number of
    /// threads does this at once.
    pub(super) fn look_up(&mut self, table: &Table, changed: f64, spread: Spread, batches: f64, threads: f64) {
        let tree = table.tree;
        let threads = threads.min(batches);
        for level in 0..tree.root_level() {
            let nodes = tree.touched_nodes(level, changed, spread);
            let rounds = nodes.min(batches);
            let keys = tree.keys_below(level, changed, spread);
            let own = keys * tree.entries_a_key(level) * table.entry_bytes(level);
            let all = if spread == Spread::Scattered { tree.keys } else { keys };
            let (gets, read) = table.near(nodes / rounds, own / rounds, all / rounds);
            self.gets += rounds * gets;
            self.read += rounds * read;
            self.wait((rounds / threads).max(1.0), read);
        }
    }

    /// Walks over neighbours from the place of a look-up: some continue to the next leaf, which is beside the first and is read
    /// with it.
    pub(super) fn strays(&mut self, table: &Table, walks: f64, neighbours: f64) {
        let strays = walks * Tree::crosses(neighbours);
        self.read += strays * table.entry * table.tree.keys / table.tree.nodes(0);
    }

    /// Requests one after another, each time for a number of bytes, several requests at once.
    fn wait(&mut self, times: f64, bytes: f64) {
        self.chain += times;
        self.transfer += times * super::cost::transfer(bytes.min(REQUEST), bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_share_a_request_where_they_lie_close() {
        let table = Table { tree: Tree { keys: 1e8 }, entry: 40.0, payload: 10_000.0, others: 0.0 };
        let own = 100.0 * 2_560.0;
        let (apart, read) = table.near(100.0, own, 1e8);
        // Two or three of them are close by chance, and the bytes between them are read too.
        assert!(apart > 95.0 && read < own + 3.0 * GAP, "{apart} requests for {read} bytes");
        let (close, read) = table.near(100.0, own, 100.0 * 640.0);
        assert!(close < 1.5 && read > 5.0 * own, "{close} requests for {read} bytes");
        // A request has a limited length.
        let (long, read) = table.near(10_000.0, 25.6e6, 6.4e6);
        assert!((long * REQUEST / read - 1.0).abs() < 0.01 && read > 200e6, "{long} requests for {read} bytes");
    }

    #[test]
    fn batches_wait_once_a_level_and_walks_across_leaves_read_more_with_them() {
        let table = Table { tree: Tree { keys: 1e8 }, entry: 40.0, payload: 0.0, others: 0.0 };
        let mut bill = Bill::default();
        bill.look_up(&table, 25_600.0, Spread::Scattered, 100.0, 1.0);
        assert!(bill.chain > 280.0 && bill.chain <= 300.0, "{bill:?}");
        let (chain, read) = (bill.chain, bill.read);
        bill.strays(&table, 25_600.0, 16.0);
        assert!(bill.chain <= chain, "{bill:?}");
        // Of 100 walks, 22 continue to another leaf of 64 entries.
        assert!(((bill.read - read) / (25_600.0 * 64.0 * 40.0) - 0.223).abs() < 0.001, "{bill:?}");
    }
}
