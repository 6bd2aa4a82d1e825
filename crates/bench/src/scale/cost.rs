//! The requests of a run to an object store, calculated from the nodes that changes touch and from how the driver reads them.
//!
//! Two jobs over `n` inputs: *direct* makes one output from each; *group* makes one output from sixteen neighbours, and
//! keeps edges and contributors. The requests here follow the driver step by step; this file must be changed together with it.
//! [`reading`](super::reading) calculates the cost of each read of trees and payloads.

use std::fmt;

use super::geometry::{Spread, Touched, Tree};
use super::reading::{BATCH, INNER_ENTRY, INPUTS, PACK, Table};

/// Inputs in a group.
const GROUP: f64 = 16.0;

/// Bytes of an entry in a leaf, as in real trees; of edges and of contributors, which are inline.
const LEAF_ENTRY: f64 = 37.6;
const EDGE_ENTRY: f64 = 45.0;
const CONTRIBUTOR_ENTRY: f64 = 14.0;

/// Payload bytes in a batch.
const BATCH_BYTES: f64 = 2.0 * 1024.0 * 1024.0;
/// Bytes read ahead for each thread; packs uploaded at once, at least.
const AHEAD: f64 = 12.0 * BATCH_BYTES;
const UPLOADS: f64 = 4.0;
/// Requests, and of these one after another, of opening both catalogs: the hint, then the record and the one after it.
const OPEN: (f64, f64) = (6.0, 2.0);
/// The same for the next reads of a run that has something to do: the earlier version of the input, and the needed roots.
const MOVED: (f64, f64) = (3.0, 1.0);
/// Writes beside packs, and waits, of a commit: packs, then the record with the hint.
const COMMIT: (f64, f64) = (2.0, 2.0);
/// Bytes of the records that opening reads when their runs were small.
const RECORDS: f64 = 12_000.0;
/// Decoded nodes that a catalog caches, and memory of a decoded entry.
const CACHE: f64 = 32.0 * 1024.0 * 1024.0;
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

/// A job: bytes of an input, and of output for each input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) pattern: Pattern,
    input: f64,
    output: f64,
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
    /// Requests that wait for one another; of these, those that wait while other work continues.
    pub(crate) chain: f64,
    pub(super) beside: f64,
    /// Seconds to transfer their answers, from the first byte on.
    pub(super) transfer: f64,
    /// Seconds of the rest, which overlaps: computing, bandwidth, requests in flight.
    busy: f64,
}

impl Job {
    /// Inputs of 10 KB, outputs of 10 KB or of sixteen times 1 KB.
    pub(crate) fn of(pattern: Pattern) -> Job {
        Job { pattern, input: 10_000.0, output: if pattern == Pattern::Direct { 10_000.0 } else { 1_000.0 } }
    }

    /// The jobs that are run for real, `a` and `m`.
    pub(crate) fn of_benchmark(pattern: Pattern) -> Job {
        Job { pattern, input: 4_800.0, output: if pattern == Pattern::Direct { 1_800.0 } else { 1_000.0 } }
    }
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

/// Seconds for `bytes` with as many connections as requests of a size, after the first byte.
pub(super) fn transfer(request: f64, bytes: f64) -> f64 {
    (request / CONNECTION).max(bytes / NETWORK)
}

/// The bytes of one version of inputs, outputs and metadata, and their price a month.
pub(crate) fn storage(partitions: f64) -> (f64, f64) {
    let job = Job::of(Pattern::Direct);
    let bytes = partitions * (job.input + job.output) + 2.0 * node_bytes(&Tree { keys: partitions }.shape());
    (bytes, bytes / 1e9 * DOLLARS.2)
}

impl Bill {
    pub(crate) fn of(job: Job, case: Case, partitions: f64, threads: f64) -> Bill {
        let mut bill = Bill { gets: OPEN.0, chain: OPEN.1, read: RECORDS, ..Bill::default() };
        let tree = Tree { keys: partitions };
        let inputs = Table { tree, entry: LEAF_ENTRY, payload: job.input, others: 0.0 };
        match (case, job.pattern) {
            (Case::Nothing, _) => return bill,
            (Case::Full, _) => bill.full(job, &inputs, threads),
            (Case::Changed(changed, spread), Pattern::Direct) => bill.direct(job, &inputs, changed, spread, threads),
            (Case::Changed(changed, spread), Pattern::Group) => bill.group(job, &inputs, changed, spread, threads),
        }
        bill.puts += COMMIT.0 + (bill.written / PACK).ceil();
        bill.chain += COMMIT.1;
        bill
    }

    pub(crate) fn dollars(&self) -> f64 {
        (self.puts * DOLLARS.0 + self.gets * DOLLARS.1) / 1e6
    }

    pub(crate) fn seconds(&self) -> f64 {
        (self.chain - self.beside) * LATENCY + self.transfer + self.busy.max(self.beside * LATENCY)
    }

    fn full(&mut self, job: Job, inputs: &Table, threads: f64) {
        let keys = inputs.tree.keys;
        // The root, and the first payloads.
        self.gets += 1.0;
        self.chain += 2.0;
        self.scan(inputs);
        self.payloads(keys * job.input, self::batch(job), threads);
        let nodes = match job.pattern {
            Pattern::Direct => node_bytes(&inputs.tree.shape()),
            Pattern::Group => {
                node_bytes(&Tree { keys: keys / GROUP }.shape()) + keys * (EDGE_ENTRY + CONTRIBUTOR_ENTRY)
            }
        };
        self.written += keys * job.output + nodes;
        self.overlap(keys, self.written, threads);
    }

    fn direct(&mut self, job: Job, inputs: &Table, changed: f64, spread: Spread, threads: f64) {
        self.begin(inputs, changed, spread);
        // The thread of a batch looks up the published outputs while its payloads are being read.
        self.payloads(changed * job.input, self::batch(job), threads);
        let published = Table { payload: job.output, ..*inputs };
        self.look_up(&published, changed, spread, (changed * job.input / self::batch(job)).ceil(), threads);
        let outputs = changed * job.output;
        self.written += outputs + node_bytes(&inputs.tree.touched(changed, spread));
        self.overlap(changed, outputs, threads);
    }

    fn group(&mut self, job: Job, inputs: &Table, changed: f64, spread: Spread, threads: f64) {
        self.begin(inputs, changed, spread);
        let tree = inputs.tree;
        let outs = Tree { keys: tree.keys / GROUP };
        let groups = match spread {
            Spread::Region => 1.0 + (changed - 1.0) / GROUP,
            Spread::Scattered => outs.keys * (1.0 - (-changed / outs.keys).exp()),
        };
        let of_groups = if spread == Spread::Region { groups * GROUP } else { groups };
        // A table of the state has no payloads between its nodes; contributors and outputs are written together.
        let edges = Table { tree, entry: EDGE_ENTRY, payload: 0.0, others: 0.0 };
        let contributors = Table { entry: CONTRIBUTOR_ENTRY, others: LEAF_ENTRY / GROUP, ..edges };
        let published =
            Table { tree: outs, entry: LEAF_ENTRY, payload: GROUP * job.output, others: GROUP * CONTRIBUTOR_ENTRY };
        let walks = if spread == Spread::Scattered { groups } else { 0.0 };

        self.payloads(changed * job.input, BATCH_BYTES, threads);
        self.chain += 1.0;
        self.look_up(&edges, changed, spread, (changed / BATCH).ceil(), 1.0);
        self.strays(&edges, if spread == Spread::Scattered { changed } else { 0.0 }, 1.0);
        // Contributors of affected groups: once to find the inputs to run again, once to compare.
        let kept = tree.touched(changed, spread).leaf_entries + tree.touched(of_groups, spread).leaf_entries;
        let kept = kept * DECODED_ENTRY < CACHE;
        for _ in 0..if kept { 1 } else { 2 } {
            self.look_up(&contributors, of_groups, spread, (groups / BATCH).ceil(), 1.0);
            self.strays(&contributors, walks, GROUP);
        }
        // The places of the inputs that run again: the diff has read most of these leaves.
        let again = groups * GROUP - changed.min(groups * GROUP);
        if kept {
            let strays = walks * Tree::crosses(GROUP);
            self.gets += strays;
            self.chain += strays.min((again / INPUTS).ceil());
        } else if again > 0.0 {
            self.look_up(inputs, of_groups, spread, (again / INPUTS).ceil(), 1.0);
        }
        match spread {
            Spread::Region => self.payloads(again * job.input, BATCH_BYTES, threads),
            // A request for each group, because its inputs are close together.
            Spread::Scattered => self.payloads(again * job.input, GROUP * job.input, threads),
        }
        self.chain += f64::from(again > 0.0);
        // The published outputs. A batch has this many rows, sixteen for a group.
        self.look_up(&published, groups, spread, (groups * GROUP / BATCH).ceil(), threads);

        let outputs = groups * GROUP * job.output;
        let nodes = table_bytes(&tree.touched(changed, spread), EDGE_ENTRY);
        self.written += outputs + nodes + node_bytes(&outs.touched(groups, spread));
        self.overlap(changed + again, outputs, threads);
    }

    /// The first steps of every run that has something to do: it reads the roots, and finds the changes.
    fn begin(&mut self, inputs: &Table, changed: f64, spread: Spread) {
        self.gets += MOVED.0;
        self.chain += MOVED.1;
        self.diff(inputs, changed, spread);
    }

    /// Payloads that are close together in packs, in requests of a batch each, many at once.
    fn payloads(&mut self, bytes: f64, batch: f64, threads: f64) {
        if bytes <= 0.0 {
            return;
        }
        let batches = (bytes / batch).ceil();
        let requests = batches * (1.0 + batch.min(bytes) / PACK);
        self.gets += requests;
        self.read += bytes;
        let flying = (threads * (AHEAD / batch).clamp(1.0, 16.0)).min(CONNECTIONS);
        self.busy += (batches * (LATENCY + batch.min(bytes) / CONNECTION) / flying).max(bytes / NETWORK);
    }

    /// Work in parallel with the reading of payloads: only the longer of both counts.
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

/// Payload bytes in a batch of a job.
fn batch(job: Job) -> f64 {
    (BATCH * job.input).min(BATCH_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: f64 = 16.0;

    #[test]
    fn nothing_costs_the_same_at_any_size_and_one_change_hardly_more() {
        for pattern in [Pattern::Direct, Pattern::Group] {
            let bill = |case, size| Bill::of(Job::of(pattern), case, size, THREADS);
            assert_eq!(bill(Case::Nothing, 1e6).gets.to_bits(), bill(Case::Nothing, 1e9).gets.to_bits());
            let one = Case::Changed(1.0, Spread::Region);
            assert!(bill(one, 1e9).gets - bill(one, 1e6).gets < 20.0, "{:?}", bill(one, 1e9));
        }
    }

    #[test]
    fn what_lies_together_costs_less() {
        for pattern in [Pattern::Direct, Pattern::Group] {
            let bill = |spread| Bill::of(Job::of(pattern), Case::Changed(1e5, spread), 1e8, THREADS);
            let (region, scattered) = (bill(Spread::Region), bill(Spread::Scattered));
            assert!(10.0 * region.chain < scattered.chain, "{region:?} {scattered:?}");
            assert!(region.dollars() < scattered.dollars());
        }
    }
}
