//! Where a tree's nodes and payloads come from: the catalog's packs, and the packs that a draft still has in memory.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use deltic_core::{CatalogUuid, Recent, Version};
use futures::future::BoxFuture;

use crate::backend::client::{InFlight, ObjectRoot};
use crate::format::entry::{Blob, NodePlace};
use crate::format::node::{MAX_NODE_BYTES, Node, NodeRef, TreeNode, Wanted};
use crate::format::object_name::{ObjectName, PackName};
use crate::format::shape::Shape;
use crate::packs::writer::PackWriter;
use crate::{Error, ErrorKind, Result};

type Nodes = Vec<TreeNode>;

/// Decoded nodes in memory, which threads share.
///
/// A node is kept under its place, not under its digest: a node of equal content may lie elsewhere as well and hold other
/// places of its payloads, and those of a draft that was given up must never be found in its stead.
pub(crate) type NodeCache = Recent<NodePlace, Arc<Node>>;

/// What reading needs to know about the catalog.
pub(crate) trait Origin: Send + Sync {
    /// The store that the packs lie in.
    fn client(&self) -> &ObjectRoot;

    /// Where decoded nodes are kept.
    fn cache(&self) -> &NodeCache;

    /// The shape of its trees.
    fn shape(&self) -> Shape;

    /// A better error for something that could not be read, where the catalog's history explains it: the version has expired, or
    /// the draft has lost its race. `None` where the object is damaged.
    fn explain<'a>(self: Arc<Self>, source: &'a Source) -> BoxFuture<'a, Option<Error>>;
}

/// Reads the packs of one catalog; and, within a draft of it, what the draft has not uploaded yet.
pub(crate) struct Source {
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) uuid: CatalogUuid,
    /// The version that is read; for a draft, its base.
    pub(crate) version: Version,
    /// The packs of the draft, where this is one.
    pub(crate) writer: Option<Arc<PackWriter>>,
}

impl Source {
    /// The store that the packs lie in.
    pub(crate) fn client(&self) -> &ObjectRoot {
        self.origin.client()
    }

    /// Whether each request takes a round trip over a network.
    pub(crate) fn is_remote(&self) -> bool {
        self.client().is_remote()
    }

    /// Whether another source reads through the same catalog, so that one cache serves both.
    pub(crate) fn shares_cache_with(&self, other: &Source) -> bool {
        std::ptr::eq(self.origin.cache(), other.origin.cache())
    }

    /// What came of requests, and of a failure why, where the catalog's history says so: the version has expired, or the draft has
    /// lost its race.
    pub(crate) fn explained<T>(&self, result: Result<T>) -> Result<T> {
        self.client().drive(self.explain(result))
    }

    async fn explain<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt { .. }) => {
                Err(Arc::clone(&self.origin).explain(self).await.unwrap_or(error))
            }
            other => other,
        }
    }

    /// A node, if it is in the cache.
    pub(crate) fn cached(&self, wanted: &Wanted) -> Result<Option<TreeNode>> {
        match self.origin.cache().get(&wanted.node.place) {
            Some(found) => self.verified(found, wanted).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a node and checks it against the nodes above it.
    pub(crate) fn node(&self, wanted: &Wanted) -> Result<TreeNode> {
        if let Some(found) = self.cached(wanted)? {
            return Ok(found);
        }
        let bytes = self.blob(self.node_blob(wanted)?)?;
        match self.decode(wanted, &bytes) {
            Err(error) => self.client().drive(self.decode_again(wanted, error)),
            decoded => decoded,
        }
    }

    /// Reads several nodes, on a remote store all at once; returns them in the given order.
    pub(crate) fn nodes(&self, wanted: &[Wanted]) -> Result<Nodes> {
        self.client().drive(self.nodes_async(wanted))
    }

    /// The same, beside other requests.
    pub(crate) async fn nodes_async(&self, wanted: &[Wanted]) -> Result<Nodes> {
        let mut nodes: Vec<Option<TreeNode>> = wanted.iter().map(|node| self.cached(node)).collect::<Result<_>>()?;
        let missing: Vec<usize> = (0..wanted.len()).filter(|&index| nodes[index].is_none()).collect();
        let blobs: Vec<Blob> = missing.iter().map(|&index| self.node_blob(&wanted[index])).collect::<Result<_>>()?;
        let mut rest = (&missing[..], &blobs[..]);
        while !rest.0.is_empty() {
            let mut bytes = 0;
            let fits = |blob: &&Blob| {
                bytes += blob.len;
                bytes <= NODES_BYTES
            };
            let count = rest.1.iter().take_while(fits).count().max(1);
            let (indices, blobs) = (&rest.0[..count], &rest.1[..count]);
            rest = (&rest.0[count..], &rest.1[count..]);
            let reading = self.plan(blobs)?;
            let answers = match reading.requests.is_empty() {
                true => Vec::new(),
                false => self.explain(self.client().get_ranges_async(&reading.ranges()).await).await?,
            };
            for (&index, bytes) in indices.iter().zip(reading.into_bodies(&answers)) {
                nodes[index] = Some(match self.decode(&wanted[index], &bytes) {
                    Err(error) => self.decode_again(&wanted[index], error).await?,
                    Ok(decoded) => decoded,
                });
            }
        }
        Ok(nodes.into_iter().flatten().collect())
    }

    /// The blob of a node. Fails when it is longer than a node can be.
    fn node_blob(&self, wanted: &Wanted) -> Result<Blob> {
        match wanted.node.blob() {
            blob if blob.len > MAX_NODE_BYTES => Err(self.corrupt(&wanted.node, &"it is longer than a node can be")),
            blob => Ok(blob),
        }
    }

    /// Reads a node whose bytes were wrong a second time.
    async fn decode_again(&self, wanted: &Wanted, error: Error) -> Result<TreeNode> {
        let bytes = self.reread(wanted.node.blob(), error).await?;
        self.decode(wanted, &bytes)
    }

    /// Reads a blob a second time, after the first bytes were wrong as `error` states. Returns the error where the bytes would be the
    /// same again: from a folder, or from a pack in memory.
    pub(crate) async fn reread(&self, blob: Blob, error: Error) -> Result<Bytes> {
        let client = self.client();
        if self.in_memory(blob)?.is_some() || !client.should_reread(&error) {
            return Err(error);
        }
        let wanted = [(ObjectName::Pack(blob.pack), self.range(blob)?)];
        let mut bodies = self.explain(client.get_ranges_async(&wanted).await).await?;
        bodies.pop().ok_or_else(|| Error::internal("a request was not answered"))
    }

    /// Reads nodes of this and of another source, on a remote store all at once.
    pub(crate) fn nodes_of_both(
        &self,
        wanted: &[Wanted],
        other: &Source,
        of_other: &[Wanted],
    ) -> Result<(Nodes, Nodes)> {
        let client = if self.client().is_remote() { self.client() } else { other.client() };
        let (mine, others) =
            client.drive(async { futures::join!(self.nodes_async(wanted), other.nodes_async(of_other)) });
        Ok((mine?, others?))
    }

    /// Reads one blob.
    pub(crate) fn blob(&self, blob: Blob) -> Result<Bytes> {
        if let Some(bytes) = self.in_memory(blob)? {
            return Ok(bytes);
        }
        let (client, wanted) = (self.client(), [(ObjectName::Pack(blob.pack), self.range(blob)?)]);
        let mut bodies = client.drive(async { self.explain(client.get_ranges_async(&wanted).await).await })?;
        bodies.pop().ok_or_else(|| Error::internal("a request was not answered"))
    }

    /// Reads blobs, with one request for those that lie close together; returns them in the given order.
    pub(crate) fn blobs(&self, blobs: &[Blob]) -> Result<Vec<Bytes>> {
        self.finish(self.plan(blobs)?)
    }

    /// Begins to read blobs where the store is remote; [`Source::finish`] returns them.
    pub(crate) fn begin(&self, blobs: &[Blob]) -> Result<Reading> {
        let mut reading = self.plan(blobs)?;
        if !reading.requests.is_empty() {
            let wanted = reading.ranges();
            reading.begun = self.client().begin(|client| async move { client.get_ranges_async(&wanted).await });
        }
        Ok(reading)
    }

    fn plan(&self, blobs: &[Blob]) -> Result<Reading> {
        let mut bodies: Vec<Bytes> = vec![Bytes::new(); blobs.len()];
        let mut stored = Vec::with_capacity(blobs.len());
        for (index, blob) in blobs.iter().enumerate() {
            match self.in_memory(*blob)? {
                Some(bytes) => bodies[index] = bytes,
                None => stored.push((blob.pack, self.range(*blob)?, index)),
            }
        }
        stored.sort_by_key(|(pack, range, _)| (*pack, range.start));
        let requests = coalesce(&stored, if self.client().is_remote() { 1 << 20 } else { 16 << 10 });
        Ok(Reading { bodies, stored, requests, begun: None })
    }

    /// Returns the blobs, in order.
    pub(crate) fn finish(&self, mut reading: Reading) -> Result<Vec<Bytes>> {
        let client = self.client();
        let answers = match reading.begun.take() {
            Some(begun) => begun.wait(),
            None => client.get_ranges(&reading.ranges()),
        };
        let answers = match answers {
            Err(error) => client.drive(self.explain(Err(error)))?,
            Ok(answers) => answers,
        };
        Ok(reading.into_bodies(&answers))
    }

    fn in_memory(&self, blob: Blob) -> Result<Option<Bytes>> {
        match &self.writer {
            Some(writer) => writer.pending(blob),
            None => Ok(None),
        }
    }

    fn range(&self, blob: Blob) -> Result<Range<u64>> {
        let end = blob.offset.checked_add(blob.len).filter(|_| blob.len > 0);
        end.map(|end| blob.offset..end).ok_or_else(|| {
            Error::corrupt(
                self.client().url(),
                ObjectName::Pack(blob.pack),
                "a place in it has an impossible offset or length",
            )
        })
    }

    fn decode(&self, wanted: &Wanted, bytes: &[u8]) -> Result<TreeNode> {
        let decoded = Node::decode(bytes).map_err(|what| self.corrupt(&wanted.node, &what))?;
        let decoded = self.verified(Arc::new(decoded), wanted)?;
        let node = Arc::clone(decoded.node());
        let bytes = node.memory() as u64;
        self.origin.cache().insert(wanted.node.place, node, bytes);
        Ok(decoded)
    }

    /// Checks a node against the nodes above it.
    fn verified(&self, found: Arc<Node>, wanted: &Wanted) -> Result<TreeNode> {
        match wanted.problem(&found) {
            Some(what) => Err(self.corrupt(&wanted.node, &what)),
            None => Ok(wanted.found(found)),
        }
    }

    fn corrupt(&self, node: &NodeRef, what: &dyn std::fmt::Display) -> Error {
        let place = node.place;
        let what = format!("node of {} bytes at {}: {what}", place.stored, place.offset);
        Error::corrupt(self.client().url(), ObjectName::Pack(place.pack), what)
    }
}

/// The most bytes of nodes that are read at once, unless a single node is longer. Nodes of honest trees stay below.
const NODES_BYTES: u64 = 64 << 20;

/// The most bytes that one request reads for several blobs.
const REQUEST_BYTES: u64 = 8 << 20;

type Request = (PackName, Range<u64>, Range<usize>);

/// Blobs that are being read.
pub(crate) struct Reading {
    /// The blobs that were in memory; the others are empty.
    bodies: Vec<Bytes>,
    /// The other blobs: their place, and their index in `bodies`.
    stored: Vec<(PackName, Range<u64>, usize)>,
    requests: Vec<Request>,
    begun: Option<InFlight<Vec<Bytes>>>,
}

impl Reading {
    fn ranges(&self) -> Vec<(ObjectName, Range<u64>)> {
        self.requests.iter().map(|(pack, range, _)| (ObjectName::Pack(*pack), range.clone())).collect()
    }

    /// The blobs, cut out of the answers to the requests.
    fn into_bodies(self, answers: &[Bytes]) -> Vec<Bytes> {
        let Reading { mut bodies, stored, requests, .. } = self;
        for ((_, whole, members), body) in requests.iter().zip(answers) {
            for (_, range, index) in &stored[members.clone()] {
                let start = (range.start - whole.start) as usize;
                bodies[*index] = body.slice(start..start + (range.end - range.start) as usize);
            }
        }
        bodies
    }
}

/// Joins sorted ranges of one pack that are at most `gap` bytes apart. The last field of a request is the indices of the ranges that
/// it covers.
fn coalesce(sorted: &[(PackName, Range<u64>, usize)], gap: u64) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    for (index, (pack, range, _)) in sorted.iter().enumerate() {
        match requests.last_mut() {
            Some((last, whole, members))
                if last == pack
                    && range.start <= whole.end.saturating_add(gap)
                    && range.end.max(whole.end) - whole.start <= REQUEST_BYTES =>
            {
                whole.end = whole.end.max(range.end);
                members.end = index + 1;
            }
            _ => requests.push((*pack, range.clone(), index..index + 1)),
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;
    use deltic_core::{RunId, Version};

    #[test]
    fn neighbours_share_a_request() {
        let pack = |seq| PackName { base: Version(0), run: RunId(1), seq };
        let ranges = [(0, 0..10), (0, 10..20), (0, 50..60), (0, 1000..1010), (1, 1010..1020), (1, 1015..1016)];
        let sorted: Vec<_> = ranges.iter().enumerate().map(|(i, (seq, r))| (pack(*seq), r.clone(), i)).collect();
        let requests = coalesce(&sorted, 40);
        let expected = [(pack(0), 0..60, 0..3), (pack(0), 1000..1010, 3..4), (pack(1), 1010..1020, 4..6)];
        assert_eq!(requests, expected);
    }

    #[test]
    fn a_request_keeps_its_bound_and_no_blob_is_left_out() {
        let pack = PackName { base: Version(0), run: RunId(1), seq: 0 };
        let blob = REQUEST_BYTES / 3 + 1;
        let sorted: Vec<_> = (0..9).map(|n| (pack, n * blob..(n + 1) * blob, n as usize)).collect();
        let requests = coalesce(&sorted, 40);
        assert_eq!(
            requests.iter().map(|(_, _, members)| members.clone()).collect::<Vec<_>>(),
            [0..2, 2..4, 4..6, 6..8, 8..9]
        );
        assert!(requests.iter().all(|(_, range, _)| range.end - range.start <= REQUEST_BYTES));
        // A single blob may be longer.
        let one = [(pack, 0..2 * REQUEST_BYTES, 0), (pack, 2 * REQUEST_BYTES..2 * REQUEST_BYTES + 1, 1)];
        assert_eq!(coalesce(&one, 40).len(), 2);
    }
}
