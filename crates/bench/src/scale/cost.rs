//! What a run asks of an object store, worked out from what changes touch in trees and how the driver reads them.
//!
//! Two jobs over `n` inputs of 10 KB: *direct* makes one output of 10 KB from each; *group* makes one output of 16 KB
//! from sixteen neighbours, 1 KB of it said by each, and keeps edges and contributors. What is said here of requests
//! follows the driver step by step; it must be changed with it.

use std::fmt;

use super::geometry::{Spread, Touched, Tree};

/// Bytes of a payload, of what an input says to its group, and of inputs in a group.
const PAYLOAD: f64 = 10_000.0;
const VALUE: f64 = 1_000.0;
const GROUP: f64 = 16.0;

/// Bytes of an entry in a leaf and in an inner node, as real trees have them.
const LEAF_ENTRY: f64 = 36.7;
const INNER_ENTRY: f64 = 45.0;
/// The same of the leaves of edges and of contributors: both lie inline.
const EDGE_ENTRY: f64 = 45.0;
const CONTRIBUTOR_ENTRY: f64 = 14.0;

/// Bytes of a pack, and of the longest request on behalf of several blobs; ranges this close share a request.
const PACK: f64 = 16.0 * MIB;
const REQUEST: f64 = 8.0 * MIB;
const GAP: f64 = MIB;
const MIB: f64 = 1024.0 * 1024.0;

/// Partitions in a batch of a direct task; payload bytes in one of front-ends.
const BATCH: f64 = 256.0;
const BATCH_BYTES: f64 = 2.0 * MIB;
/// Nodes that a diff reads at once, and parents whose leaves a scan does.
const DIFF_AHEAD: f64 = 64.0;
const PARENTS: f64 = 4.0;
/// Bytes read ahead for each thread; packs uploaded at once, at least.
const AHEAD: f64 = 24.0 * MIB;
const UPLOADS: f64 = 4.0;
/// Requests, and of these one after another, of opening both catalogs, and of a commit.
const OPEN: (f64, f64) = (6.0, 4.0);
const COMMIT: (f64, f64) = (2.0, 3.0);
/// Bytes of the records that opening reads when their runs were small.
const RECORDS: f64 = 12_000.0;
/// Decoded nodes that a catalog keeps, and memory of a decoded entry.
const CACHE: f64 = 32.0 * MIB;
const DECODED_ENTRY: f64 = 120.0;

/// A store and a machine: seconds to the first byte, bytes a second of a connection, connections, of the network card.
const LATENCY: f64 = 0.035;
const CONNECTION: f64 = 90e6;
const CONNECTIONS: f64 = 64.0;
const NETWORK: f64 = 1.25e9;
/// Seconds of a core for a partition in user code, and of the one thread that cuts batches and merges metadata.
const COMPILE: f64 = 20e-6;
const DRIVE: f64 = 3e-6;

/// Dollars for a million PUT, for a million GET, and for a gigabyte a month.
const DOLLARS: (f64, f64, f64) = (5.0, 0.4, 0.023);

/// Which job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    Direct,
    Group,
}

/// Which run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Case {
    Full,
    Nothing,
    Changed(f64, Spread),
}

/// What a run costs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bill {
    pub(crate) gets: f64,
    pub(crate) puts: f64,
    pub(crate) read: f64,
    pub(crate) written: f64,
    /// Requests that wait for one another.
    pub(crate) chain: f64,
    /// Seconds of the rest, which overlaps: computing, bandwidth, requests in flight.
    busy: f64,
}

impl Case {
    pub(crate) fn all() -> [Case; 5] {
        let many = |spread| Case::Changed(1e5, spread);
        [Case::Full, Case::Nothing, Case::Changed(1.0, Spread::Region), many(Spread::Region), many(Spread::Scattered)]
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Case::Full => f.write_str("full build"),
            Case::Nothing => f.write_str("nothing changed"),
            Case::Changed(1.0, _) => f.write_str("1 change"),
            Case::Changed(changed, Spread::Region) => write!(f, "{changed} changes in one region"),
            Case::Changed(changed, Spread::Scattered) => write!(f, "{changed} scattered changes"),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Pattern::Direct { "direct" } else { "group" })
    }
}

/// Bytes of nodes with these entries.
pub(crate) fn node_bytes(nodes: &Touched) -> f64 {
    table_bytes(nodes, LEAF_ENTRY)
}

fn table_bytes(nodes: &Touched, leaf_entry: f64) -> f64 {
    nodes.leaf_entries * leaf_entry + nodes.inner_entries * INNER_ENTRY
}

/// What one version of inputs, outputs and metadata takes, and its price a month.
pub(crate) fn storage(partitions: f64) -> (f64, f64) {
    let bytes = partitions * 2.0 * PAYLOAD + 2.0 * node_bytes(&Tree { keys: partitions }.shape());
    (bytes, bytes / 1e9 * DOLLARS.2)
}

impl Bill {
    pub(crate) fn of(pattern: Pattern, case: Case, partitions: f64, threads: f64) -> Bill {
        let mut bill = Bill { gets: OPEN.0, chain: OPEN.1, read: RECORDS, ..Bill::default() };
        let n = Tree { keys: partitions };
        match case {
            Case::Nothing => return bill,
            Case::Full => bill.full(pattern, n, threads),
            Case::Changed(changed, spread) => bill.changed(pattern, n, changed, spread, threads),
        }
        bill.puts += COMMIT.0 + (bill.written / PACK).ceil();
        bill.chain += COMMIT.1;
        bill
    }

    pub(crate) fn dollars(&self) -> f64 {
        (self.puts * DOLLARS.0 + self.gets * DOLLARS.1) / 1e6
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.chain * LATENCY + self.busy
    }

    fn full(&mut self, pattern: Pattern, n: Tree, threads: f64) {
        // The scan: some parents of leaves, then all their leaves.
        let scans = 2.0 * (n.nodes(1) / PARENTS).ceil() + f64::from(n.root_level());
        let mut nodes = node_bytes(&n.shape());
        self.gets += scans;
        self.chain += scans;
        self.read += nodes;
        let batch = if pattern == Pattern::Direct { BATCH * PAYLOAD } else { BATCH_BYTES };
        let payloads = n.keys * PAYLOAD;
        self.payloads(payloads, batch, threads);
        let outputs = match pattern {
            Pattern::Direct => payloads,
            Pattern::Group => {
                let outs = Tree { keys: n.keys / GROUP };
                nodes = node_bytes(&outs.shape()) + n.keys * (EDGE_ENTRY + CONTRIBUTOR_ENTRY);
                n.keys * VALUE
            }
        };
        self.written += outputs + nodes;
        self.overlap(n.keys, outputs + nodes, threads);
    }

    fn changed(&mut self, pattern: Pattern, n: Tree, changed: f64, spread: Spread, threads: f64) {
        self.diff(n, changed, spread);
        let outputs = match pattern {
            Pattern::Direct => {
                self.payloads(changed * PAYLOAD, BATCH * PAYLOAD, threads);
                // What is published of a batch's outputs is read together, the leaves and their parents.
                let batches = (changed / BATCH).ceil();
                let rounds = f64::from(n.root_level()) + (batches - 1.0) * 2.0;
                self.batched(n, changed, spread);
                self.chain += (rounds / threads.min(batches)).max(f64::from(n.root_level() + 1));
                self.written += node_bytes(&n.touched(changed, spread));
                changed * PAYLOAD
            }
            Pattern::Group => self.group(n, changed, spread, threads),
        };
        self.written += outputs;
        self.overlap(changed, outputs, threads);
    }

    /// What a group's incremental run reads besides: state, the other inputs of its groups, what is published.
    fn group(&mut self, n: Tree, changed: f64, spread: Spread, threads: f64) -> f64 {
        let outs = Tree { keys: n.keys / GROUP };
        let groups = match spread {
            Spread::Region => 1.0 + (changed - 1.0) / GROUP,
            Spread::Scattered => outs.keys * (1.0 - (-changed / outs.keys).exp()),
        };
        self.payloads(changed * PAYLOAD, BATCH_BYTES, threads);
        // Edges of each changed input, one look-up after the other.
        self.one_by_one(n, changed, spread, EDGE_ENTRY, 1.0);
        // Contributors of each group: once to know whom to run again, once to compare; then where those inputs lie.
        let contributors = n.touched(groups * GROUP, Spread::Region);
        let kept = |nodes: &Touched| nodes.leaf_entries * DECODED_ENTRY < CACHE;
        let of_groups = n.touched(groups, spread);
        let times = if kept(&of_groups) || kept(&contributors) && spread == Spread::Region { 1.0 } else { 2.0 };
        let per_group = if spread == Spread::Region { groups * GROUP } else { groups };
        self.one_by_one(n, per_group, spread, CONTRIBUTOR_ENTRY, times);
        if times > 1.0 {
            self.one_by_one(n, groups, spread, LEAF_ENTRY, 1.0);
        }
        let again = groups * GROUP - changed.min(groups * GROUP);
        match spread {
            Spread::Region => self.payloads(again * PAYLOAD, BATCH_BYTES, threads),
            // A request for each group, since its inputs lie together.
            Spread::Scattered => self.payloads(again * PAYLOAD, GROUP * PAYLOAD, threads),
        }
        // What is published, by all threads.
        self.one_by_one(outs, groups, spread, LEAF_ENTRY, 1.0 / threads.min((groups / BATCH).ceil()));
        self.written += node_bytes(&outs.touched(groups, spread));
        self.written += table_bytes(&n.touched(changed, spread), EDGE_ENTRY);
        groups * GROUP * VALUE
    }

    /// The difference of two trees: below each node that differs, the children that do, on one side and the other.
    fn diff(&mut self, n: Tree, changed: f64, spread: Spread) {
        let mut steps = 1.0;
        for level in 1..=n.root_level() {
            let (nodes, below) = (n.touched_nodes(level, changed, spread), n.touched_nodes(level - 1, changed, spread));
            steps += nodes * (below / nodes / DIFF_AHEAD).ceil();
        }
        self.chain += 2.0 * steps;
        self.gets += 2.0 * steps;
        let touched = node_bytes(&n.touched(changed, spread));
        // The new nodes lie together. The old ones lie among others, which are read with them where gaps are small.
        self.read += touched + self.span(n, changed, spread).max(touched);
    }

    /// Reading the nodes above changed keys, a batch of keys at a time.
    fn batched(&mut self, n: Tree, changed: f64, spread: Spread) {
        let touched = n.touched(changed, spread);
        let span = self.span(n, changed, spread).max(node_bytes(&touched));
        let apart = node_bytes(&n.shape()) / touched.leaves > GAP && spread == Spread::Scattered;
        let batches = (changed / BATCH).ceil();
        let leaves = if apart { touched.leaves } else { batches.max(span / REQUEST) };
        self.gets += leaves + batches.min(n.touched_nodes(1, changed, spread)) + f64::from(n.root_level());
        self.read += span;
    }

    /// Reading the nodes above changed keys one after the other, some times.
    fn one_by_one(&mut self, n: Tree, changed: f64, spread: Spread, entry: f64, times: f64) {
        let touched = n.touched(changed, spread);
        let nodes = touched.leaves + touched.inner;
        self.gets += nodes * times.max(1.0);
        self.read += table_bytes(&touched, entry) * times.max(1.0);
        self.chain += nodes * times;
    }

    /// Bytes from the first to the last touched leaf below each parent.
    fn span(&self, n: Tree, changed: f64, spread: Spread) -> f64 {
        let parents = n.touched_nodes(1, changed, spread);
        let each = n.touched_nodes(0, changed, spread) / parents;
        match spread {
            Spread::Region => 0.0,
            Spread::Scattered => node_bytes(&n.shape()) / n.nodes(1) * parents * (each - 1.0).max(0.0) / (each + 1.0),
        }
    }

    /// Payloads that lie together in packs, in requests of a batch each, many at once.
    fn payloads(&mut self, bytes: f64, batch: f64, threads: f64) {
        if bytes <= 0.0 {
            return;
        }
        let batches = (bytes / batch).ceil();
        let requests = batches * (1.0 + batch.min(bytes) / PACK);
        self.gets += requests;
        self.read += bytes;
        self.chain += 1.0;
        let flying = (threads * (AHEAD / batch).clamp(1.0, 16.0)).min(CONNECTIONS);
        self.busy += (batches * (LATENCY + batch.min(bytes) / CONNECTION) / flying).max(bytes / NETWORK);
    }

    /// What goes on beside the reading of payloads takes longer, or does not show.
    fn overlap(&mut self, partitions: f64, written: f64, threads: f64) {
        let uploads = threads.max(UPLOADS);
        let packs = written / PACK;
        let upload = packs.floor() * (LATENCY + PACK / CONNECTION) / uploads.min(packs.max(1.0));
        let last = written.min(PACK) / CONNECTION;
        let compute = partitions * COMPILE / threads;
        let drive = partitions * DRIVE;
        self.busy = self.busy.max(upload).max(written / NETWORK).max(compute).max(drive) + last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: f64 = 16.0;

    #[test]
    fn nothing_costs_the_same_at_any_size_and_one_change_hardly_more() {
        for pattern in [Pattern::Direct, Pattern::Group] {
            let bill = |case, size| Bill::of(pattern, case, size, THREADS);
            assert_eq!(bill(Case::Nothing, 1e6).gets.to_bits(), bill(Case::Nothing, 1e9).gets.to_bits());
            let one = Case::Changed(1.0, Spread::Region);
            assert!(bill(one, 1e9).gets - bill(one, 1e6).gets < 20.0, "{:?}", bill(one, 1e9));
        }
    }

    #[test]
    fn what_lies_together_costs_less() {
        for pattern in [Pattern::Direct, Pattern::Group] {
            let bill = |spread| Bill::of(pattern, Case::Changed(1e5, spread), 1e8, THREADS);
            let (region, scattered) = (bill(Spread::Region), bill(Spread::Scattered));
            assert!(10.0 * region.chain < scattered.chain, "{region:?} {scattered:?}");
            assert!(region.dollars() < scattered.dollars());
        }
    }
}
