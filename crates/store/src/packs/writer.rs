//! The packs that a draft is filling.
//!
//! A worker takes an open pack, appends, and gives it back, so as many packs are open as workers append at once: one
//! when there is one worker. A pack that is full is uploaded by the worker that filled it, which is all the
//! back-pressure there is; the rest is uploaded by the commit. To a remote store a few packs are uploaded beside the
//! work, and a worker that fills one more waits for the oldest. Until its upload is done, a pack's bytes are read from
//! memory. Memory: about `pack_bytes` for each worker, twice, and for each upload under way.
//!
//! Invariant: a pack that is not uploaded yet is open in a lane, held by a thread, uploaded beside the work, or sealed
//! with nobody at it, which is where a failed upload leaves it. Nobody uploads a pack that another thread holds.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use deltic_core::{Digest, RunId, Version};

use crate::backend::client::{InFlight, ObjectRoot};
use crate::format::entry::{Blob, Codec};
use crate::format::object_name::{ListedPack, ObjectName, PackName};
use crate::format::pack::{BlobKind, FULL_INDEX_BYTES, HEADER, IndexWriter, single};
use crate::packs::taken_over::TakenOver;
use crate::{Error, Result};

/// Nodes share packs with payloads until a draft has written this many bytes of nodes: so a small run writes one pack.
const MIXED_NODE_BYTES: u64 = 1 << 20;

/// A pack of this length is likely to become full.
const GROWN_BYTES: usize = 1 << 20;

/// The most memory that a pack reserves at once.
const MAX_ROOM: usize = 16 << 20;

/// The most packs that are uploaded beside the work, or the number of processors if that is greater.
const UPLOADS: usize = 4;

/// How a draft writes. No option influences a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftOptions {
    /// A pack is uploaded when it has this many bytes; by default 16 MiB.
    pub pack_bytes: u64,
    /// Payloads up to this many bytes lie in the tree's leaf itself; by default 128 bytes. A greater value than 4096 counts as 4096.
    pub inline_bytes: u64,
    /// Payloads of this many bytes or more get a pack of their own; by default 8 MiB.
    pub big_bytes: u64,
}

impl Default for DraftOptions {
    fn default() -> DraftOptions {
        DraftOptions { pack_bytes: 16 << 20, inline_bytes: 128, big_bytes: 8 << 20 }
    }
}

/// What a draft has written so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Packs, uploaded or open.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// All packs of a draft.
pub(crate) struct PackWriter {
    client: ObjectRoot,
    pub(crate) base: Version,
    pub(crate) run: RunId,
    options: DraftOptions,
    lanes: Mutex<Lanes>,
    /// Notified when a thread holds a pack no longer.
    given_back: Condvar,
    /// The bytes of all packs that are not uploaded yet. Locked after `lanes`, where both are.
    pending: Mutex<HashMap<PackName, Arc<Mutex<Body>>>>,
    node_bytes: AtomicU64,
    committed: AtomicBool,
    /// Packs of other runs on the same base, which are uploaded whole.
    pub(crate) taken_over: TakenOver,
}

/// A pack that is uploaded beside the work.
type Uploading = (ListedPack, InFlight<()>);

/// Packs that no thread holds but the one that took them: those to upload, sealed, and those that are uploaded beside the work.
type Idle<'a> = (Vec<(Held<'a>, Bytes)>, Vec<(Held<'a>, Uploading)>);

/// Where each pack is.
#[derive(Default)]
struct Lanes {
    mixed: Vec<OpenPack>,
    nodes: Vec<OpenPack>,
    /// Those that threads hold: each appends to one, or waits for the upload of some.
    held: Vec<PackName>,
    /// Those that are uploaded beside the work, the oldest first.
    uploading: VecDeque<Uploading>,
    /// Those that are uploaded, with their lengths.
    uploaded: BTreeMap<PackName, u64>,
    next_seq: u32,
}

/// A pack that a thread holds. However the thread ends, the pack is given back: an open one to its lane.
struct Held<'a> {
    writer: &'a PackWriter,
    name: PackName,
    open: Option<OpenPack>,
    /// Whether its lane is the one for nodes.
    apart: bool,
}

struct OpenPack {
    name: PackName,
    body: Arc<Mutex<Body>>,
    index: IndexWriter,
}

/// The bytes of a pack that is not uploaded yet.
enum Body {
    Growing(Vec<u8>),
    Sealed(Bytes),
}

/// Locks a mutex whose data is consistent even when a thread panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PackWriter {
    pub(crate) fn new(
        client: ObjectRoot,
        base: Version,
        run: RunId,
        bases: RangeInclusive<Version>,
        options: DraftOptions,
    ) -> PackWriter {
        PackWriter {
            client,
            base,
            run,
            options,
            lanes: Mutex::default(),
            given_back: Condvar::new(),
            pending: Mutex::default(),
            node_bytes: AtomicU64::new(0),
            committed: AtomicBool::new(false),
            taken_over: TakenOver::new(base, run, bases),
        }
    }

    /// Appends a payload, and returns its place.
    pub(crate) fn payload(&self, payload: &Bytes, digest: &Digest) -> Result<(PackName, u64)> {
        if payload.len() as u64 >= self.options.big_bytes {
            let name = self.name(&mut lock(&self.lanes));
            let parts = single(payload, digest);
            self.client.overwrite(&ObjectName::Pack(name), &parts)?;
            let bytes = parts.iter().map(|part| part.len() as u64).sum();
            lock(&self.lanes).uploaded.insert(name, bytes);
            return Ok((name, HEADER.len() as u64));
        }
        self.append(BlobKind::Payload, payload, digest)
    }

    /// Appends a node, and returns its place.
    pub(crate) fn node(&self, node: &[u8], digest: &Digest) -> Result<(PackName, u64)> {
        self.append(BlobKind::Node, node, digest)
    }

    fn append(&self, kind: BlobKind, blob: &[u8], digest: &Digest) -> Result<(PackName, u64)> {
        let apart = kind == BlobKind::Node
            && self.node_bytes.fetch_add(blob.len() as u64, Ordering::Relaxed) >= MIXED_NODE_BYTES;
        let mut held = self.take(apart);
        let Some(pack) = &mut held.open else {
            return Err(Error::internal("a pack was taken that is not open"));
        };
        let (offset, len) = pack.append(kind, blob, digest, self.options.pack_bytes)?;
        let name = pack.name;
        if len >= self.options.pack_bytes || pack.index.len() >= FULL_INDEX_BYTES {
            self.upload(held)?;
        }
        Ok((name, offset))
    }

    /// Takes an open pack, or a new one.
    fn take(&self, apart: bool) -> Held<'_> {
        let mut lanes = lock(&self.lanes);
        let open = if apart { lanes.nodes.pop() } else { lanes.mixed.pop() };
        let open = open.unwrap_or_else(|| {
            let name = self.name(&mut lanes);
            let body = Arc::new(Mutex::new(Body::Growing(HEADER.to_vec())));
            lock(&self.pending).insert(name, Arc::clone(&body));
            OpenPack { name, body, index: IndexWriter::default() }
        });
        self.hold(&mut lanes, open.name, Some(open), apart)
    }

    fn hold(&self, lanes: &mut Lanes, name: PackName, open: Option<OpenPack>, apart: bool) -> Held<'_> {
        lanes.held.push(name);
        Held { writer: self, name, open, apart }
    }

    fn name(&self, lanes: &mut Lanes) -> PackName {
        let seq = lanes.next_seq;
        lanes.next_seq += 1;
        PackName { base: self.base, run: self.run, seq }
    }

    /// Seals a pack and uploads it, or begins to. When that fails its bytes stay, and the commit tries again.
    fn upload(&self, mut held: Held<'_>) -> Result<()> {
        let Some(body) = held.open.take().map(OpenPack::seal) else { return Ok(()) };
        let pack = ListedPack { name: held.name, bytes: body.len() as u64 };
        let parts = [body];
        let begun = self.client.begin(|root| {
            let parts = parts.clone();
            async move { root.overwrite_async(&ObjectName::Pack(pack.name), &parts).await }
        });
        let Some(begun) = begun else {
            self.client.overwrite(&ObjectName::Pack(pack.name), &parts)?;
            self.is_uploaded(pack);
            return Ok(());
        };
        let most = std::thread::available_parallelism().map_or(UPLOADS, |cores| cores.get().max(UPLOADS));
        let oldest = {
            let mut lanes = lock(&self.lanes);
            lanes.uploading.push_back((pack, begun));
            let oldest = if lanes.uploading.len() > most { lanes.uploading.pop_front() } else { None };
            oldest.map(|(pack, begun)| (self.hold(&mut lanes, pack.name, None, false), pack, begun))
        };
        drop(held);
        if let Some((_held, pack, begun)) = oldest {
            begun.wait()?;
            self.is_uploaded(pack);
        }
        Ok(())
    }

    fn is_uploaded(&self, pack: ListedPack) {
        lock(&self.lanes).uploaded.insert(pack.name, pack.bytes);
        lock(&self.pending).remove(&pack.name);
    }

    /// Uploads all packs at once that no thread holds, open ones included, and waits for those that are uploaded beside the
    /// work. A pack that a worker is appending to at this moment may stay open. What fails stays in memory, and the next call
    /// tries again.
    pub(crate) fn upload_open(&self) -> Result<()> {
        let (idle, begun) = self.take_idle();
        let objects: Vec<_> =
            idle.iter().map(|(held, bytes)| (ObjectName::Pack(held.name), vec![bytes.clone()])).collect();
        let uploaded = self.client.overwrite_all(&objects);
        if uploaded.is_ok() {
            for (held, bytes) in &idle {
                self.is_uploaded(ListedPack { name: held.name, bytes: bytes.len() as u64 });
            }
        }
        drop(idle);
        for (_held, (pack, begun)) in begun {
            if begun.wait().is_ok() {
                self.is_uploaded(pack);
            }
        }
        uploaded
    }

    /// Takes all packs that no thread holds, by name.
    fn take_idle(&self) -> Idle<'_> {
        let mut lanes = lock(&self.lanes);
        let open = std::mem::take(&mut lanes.mixed).into_iter().chain(std::mem::take(&mut lanes.nodes));
        open.for_each(|pack| drop(pack.seal()));
        let begun = std::mem::take(&mut lanes.uploading).into_iter();
        let begun = begun.map(|one| (self.hold(&mut lanes, one.0.name, None, false), one)).collect();
        let mut idle: Vec<(PackName, Bytes)> = Vec::new();
        for (name, body) in &*lock(&self.pending) {
            if !lanes.held.contains(name)
                && let Body::Sealed(bytes) = &*lock(body)
            {
                idle.push((*name, bytes.clone()));
            }
        }
        idle.sort_unstable_by_key(|(name, _)| *name);
        let idle = idle.into_iter().map(|(name, bytes)| (self.hold(&mut lanes, name, None, false), bytes));
        (idle.collect(), begun)
    }

    /// The packs that are uploaded so far, and their lengths.
    pub(crate) fn stored(&self) -> HashMap<PackName, u64> {
        lock(&self.lanes).uploaded.iter().map(|(name, bytes)| (*name, *bytes)).collect()
    }

    /// Uploads everything that was put before the call, waiting for the packs that threads hold at the moment, and lists the
    /// packs written, by name. What fails stays in memory, and the next call tries again.
    pub(crate) fn flush(&self) -> Result<Vec<ListedPack>> {
        let end = lock(&self.lanes).next_seq;
        loop {
            self.upload_open()?;
            let lanes = lock(&self.lanes);
            let left: Vec<PackName> = lock(&self.pending).keys().filter(|name| name.seq < end).copied().collect();
            if left.is_empty() {
                let listed = lanes.uploaded.iter().map(|(&name, &bytes)| ListedPack { name, bytes });
                return Ok(listed.collect());
            }
            if left.iter().all(|name| lanes.held.contains(name)) {
                drop(self.given_back.wait(lanes));
            }
        }
    }

    /// The bytes of a blob whose pack is still in memory.
    pub(crate) fn pending(&self, blob: Blob) -> Result<Option<Bytes>> {
        let Some(body) = lock(&self.pending).get(&blob.pack).cloned() else {
            return Ok(None);
        };
        let wrong = || Error::internal(format!("a place beyond the end of open pack {} is referred to", blob.pack));
        let start = usize::try_from(blob.offset).map_err(|_| wrong())?;
        let end = blob.offset.checked_add(blob.len).and_then(|end| usize::try_from(end).ok()).ok_or_else(wrong)?;
        match &*lock(&body) {
            Body::Growing(bytes) => bytes.get(start..end).map(Bytes::copy_from_slice),
            Body::Sealed(bytes) if end <= bytes.len() => Some(bytes.slice(start..end)),
            Body::Sealed(_) => None,
        }
        .map_or_else(|| Err(wrong()), |bytes| Ok(Some(bytes)))
    }

    /// Whether the next version may refer to a pack, as far as the name shows (rule G2). The base may know packs of earlier bases. Of
    /// the runs on the same base, only the packs of this run and those that it has taken over are sure to be uploaded.
    pub(crate) fn may_refer_to(&self, pack: PackName) -> bool {
        pack.base < self.base || pack.base == self.base && (pack.run == self.run || self.taken_over.contains(&pack))
    }

    /// What was written so far, open packs included.
    pub(crate) fn written(&self) -> Written {
        let lanes = lock(&self.lanes);
        let uploading = lanes.uploading.iter().map(|(pack, _)| pack.bytes);
        let open = lanes.mixed.iter().chain(&lanes.nodes).map(|pack| pack.len() + pack.index.len() as u64);
        let all = lanes.uploaded.values().copied().chain(uploading).chain(open);
        all.fold(Written::default(), |sum, bytes| Written { packs: sum.packs + 1, bytes: sum.bytes + bytes })
    }

    /// Whether a version refers to these packs.
    pub(crate) fn is_committed(&self) -> bool {
        self.committed.load(Ordering::Acquire)
    }

    pub(crate) fn set_committed(&self) {
        self.committed.store(true, Ordering::Release);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut lanes = lock(&self.writer.lanes);
        if let Some(at) = lanes.held.iter().position(|name| *name == self.name) {
            lanes.held.swap_remove(at);
        }
        if let Some(open) = self.open.take() {
            if self.apart { lanes.nodes.push(open) } else { lanes.mixed.push(open) }
        }
        drop(lanes);
        self.writer.given_back.notify_all();
    }
}

impl OpenPack {
    /// Appends a blob; returns its offset and the new length of the pack. `full` is the length at which the pack is full.
    fn append(&mut self, kind: BlobKind, blob: &[u8], digest: &Digest, full: u64) -> Result<(u64, u64)> {
        match &mut *lock(&self.body) {
            Body::Growing(bytes) => {
                let offset = bytes.len() as u64;
                // A large pack reserves the rest of its memory at once. Doubling step by step would leave holes as large as the pack.
                if bytes.capacity() - bytes.len() < blob.len() && bytes.len() >= GROWN_BYTES {
                    let rest = usize::try_from(full).unwrap_or(0).saturating_sub(bytes.len()).min(MAX_ROOM);
                    bytes.reserve_exact(rest + blob.len());
                }
                bytes.extend_from_slice(blob);
                self.index.add(kind, Codec::Raw, blob.len() as u64, digest);
                Ok((offset, bytes.len() as u64))
            }
            Body::Sealed(_) => Err(Error::internal(format!("pack {} is sealed already", self.name))),
        }
    }

    fn len(&self) -> u64 {
        match &*lock(&self.body) {
            Body::Growing(bytes) => bytes.len() as u64,
            Body::Sealed(bytes) => bytes.len() as u64,
        }
    }

    /// Adds the index; the pack stays readable in memory.
    fn seal(self) -> Bytes {
        let mut body = lock(&self.body);
        if let Body::Growing(bytes) = &mut *body {
            let mut bytes = std::mem::take(bytes);
            bytes.append(&mut self.index.finish());
            *body = Body::Sealed(Bytes::from(bytes));
        }
        match &*body {
            Body::Sealed(bytes) => bytes.clone(),
            Body::Growing(_) => Bytes::new(),
        }
    }
}
