//! The packs that a draft is filling.
//!
//! A worker takes an open pack, appends, and gives it back, so as many packs are open as workers append at once: one
//! when there is one worker. A pack that is full is uploaded by the worker that filled it, which is all the
//! back-pressure there is; the rest is uploaded by the commit. To a remote store a few packs are uploaded beside the
//! work, and a worker that fills one more waits for the oldest. Until its upload is done, a pack's bytes are read from
//! memory. Memory: about `pack_bytes` for each worker, twice, and for each upload under way.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use deltic_core::{Digest, RunId, Version};

use crate::backend::client::{Begun, ObjectRoot};
use crate::format::entry::Blob;
use crate::format::entry::Codec;
use crate::format::object_name::ListedPack;
use crate::format::object_name::{ObjectName, PackName};
use crate::format::pack::{BlobKind, FULL_INDEX_BYTES, HEADER, IndexWriter, single};
use crate::{Error, Result};

/// Nodes share packs with payloads until a draft has written this many bytes of them: a small run writes one pack.
const MIXED_NODE_BYTES: u64 = 1 << 20;

/// A pack with so many bytes is likely to become full.
const GROWN_BYTES: usize = 1 << 20;

/// Room that a pack is given at once, at most.
const MOST_ROOM: usize = 16 << 20;

/// Packs that are uploaded beside the work at most, where there are no more processors than that.
const UPLOADS: usize = 4;

/// How a draft writes. None of it has an influence on any digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftOptions {
    /// A pack is uploaded when it has this many bytes.
    pub pack_bytes: u64,
    /// Payloads up to this many bytes lie in the tree's leaf itself.
    pub inline_bytes: u64,
    /// Payloads of this many bytes or more get a pack of their own.
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
    pending: Mutex<HashMap<PackName, Arc<Mutex<Body>>>>,
    uploading: Mutex<VecDeque<(ListedPack, Begun<()>)>>,
    uploaded: Mutex<Vec<ListedPack>>,
    node_bytes: AtomicU64,
    committed: AtomicBool,
    /// Packs of other runs on the same base, which are uploaded whole.
    taken_over: RwLock<HashSet<PackName>>,
}

#[derive(Default)]
struct Lanes {
    mixed: Vec<OpenPack>,
    nodes: Vec<OpenPack>,
    next_seq: u32,
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

/// A lock whose data is whole even when a thread died holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PackWriter {
    pub(crate) fn new(client: ObjectRoot, base: Version, run: RunId, options: DraftOptions) -> PackWriter {
        PackWriter {
            client,
            base,
            run,
            options,
            lanes: Mutex::default(),
            pending: Mutex::default(),
            uploading: Mutex::default(),
            uploaded: Mutex::default(),
            node_bytes: AtomicU64::new(0),
            committed: AtomicBool::new(false),
            taken_over: RwLock::default(),
        }
    }

    /// Appends a payload, and says where it lies.
    pub(crate) fn payload(&self, payload: &Bytes, digest: &Digest) -> Result<(PackName, u64)> {
        if payload.len() as u64 >= self.options.big_bytes {
            let name = self.name(&mut lock(&self.lanes));
            let parts = single(payload, digest);
            self.client.overwrite(&ObjectName::Pack(name), &parts)?;
            let bytes = parts.iter().map(|part| part.len() as u64).sum();
            lock(&self.uploaded).push(ListedPack { name, bytes });
            return Ok((name, HEADER.len() as u64));
        }
        self.append(BlobKind::Payload, payload, digest)
    }

    /// Appends a node, and says where it lies.
    pub(crate) fn node(&self, node: &[u8], digest: &Digest) -> Result<(PackName, u64)> {
        self.append(BlobKind::Node, node, digest)
    }

    fn append(&self, kind: BlobKind, blob: &[u8], digest: &Digest) -> Result<(PackName, u64)> {
        let apart = kind == BlobKind::Node
            && self.node_bytes.fetch_add(blob.len() as u64, Ordering::Relaxed) >= MIXED_NODE_BYTES;
        let mut pack = self.take(apart);
        let (offset, len) = pack.append(kind, blob, digest, self.options.pack_bytes)?;
        let name = pack.name;
        if len >= self.options.pack_bytes || pack.index.len() >= FULL_INDEX_BYTES {
            let body = pack.seal();
            self.upload(name, body)?;
        } else {
            let mut lanes = lock(&self.lanes);
            if apart { lanes.nodes.push(pack) } else { lanes.mixed.push(pack) }
        }
        Ok((name, offset))
    }

    fn take(&self, apart: bool) -> OpenPack {
        let mut lanes = lock(&self.lanes);
        let open = if apart { lanes.nodes.pop() } else { lanes.mixed.pop() };
        open.unwrap_or_else(|| {
            let name = self.name(&mut lanes);
            let body = Arc::new(Mutex::new(Body::Growing(HEADER.to_vec())));
            lock(&self.pending).insert(name, Arc::clone(&body));
            OpenPack { name, body, index: IndexWriter::default() }
        })
    }

    fn name(&self, lanes: &mut Lanes) -> PackName {
        let seq = lanes.next_seq;
        lanes.next_seq += 1;
        PackName { base: self.base, run: self.run, seq }
    }

    /// Uploads a sealed pack, or begins to. When that fails its bytes stay, and the commit tries again.
    fn upload(&self, name: PackName, body: Bytes) -> Result<()> {
        let pack = ListedPack { name, bytes: body.len() as u64 };
        let parts = [body];
        let begun = self.client.begin(|root| {
            let parts = parts.clone();
            async move { root.overwrite_async(&ObjectName::Pack(name), &parts).await }
        });
        match begun {
            Some(begun) => {
                let most = std::thread::available_parallelism().map_or(UPLOADS, |cores| cores.get().max(UPLOADS));
                let oldest = {
                    let mut uploading = lock(&self.uploading);
                    uploading.push_back((pack, begun));
                    if uploading.len() > most { uploading.pop_front() } else { None }
                };
                if let Some((pack, begun)) = oldest {
                    begun.wait()?;
                    self.is_uploaded(pack);
                }
            }
            None => {
                self.client.overwrite(&ObjectName::Pack(name), &parts)?;
                self.is_uploaded(pack);
            }
        }
        Ok(())
    }

    fn is_uploaded(&self, pack: ListedPack) {
        let name = pack.name;
        lock(&self.uploaded).push(pack);
        lock(&self.pending).remove(&name);
    }

    /// Uploads what open packs hold, and waits until everything that was full before is uploaded. A pack that a worker
    /// is appending to at this moment may stay open. What fails stays in memory, and the commit tries again.
    pub(crate) fn settle(&self) -> Result<()> {
        let open: Vec<OpenPack> = {
            let mut lanes = lock(&self.lanes);
            let mixed = std::mem::take(&mut lanes.mixed);
            mixed.into_iter().chain(std::mem::take(&mut lanes.nodes)).collect()
        };
        let sealed = open.into_iter().map(|pack| (ObjectName::Pack(pack.name), pack.name, pack.seal()));
        let sealed: Vec<(ObjectName, PackName, Bytes)> = sealed.collect();
        let objects: Vec<_> = sealed.iter().map(|(object, _, bytes)| (*object, vec![bytes.clone()])).collect();
        let uploaded = self.client.overwrite_all(&objects);
        if uploaded.is_ok() {
            for (_, name, bytes) in sealed {
                self.is_uploaded(ListedPack { name, bytes: bytes.len() as u64 });
            }
        }
        let uploading = std::mem::take(&mut *lock(&self.uploading));
        for (pack, begun) in uploading {
            if begun.wait().is_ok() {
                self.is_uploaded(pack);
            }
        }
        uploaded
    }

    /// The packs that are uploaded so far, and their lengths.
    pub(crate) fn stored(&self) -> HashMap<PackName, u64> {
        lock(&self.uploaded).iter().map(|pack| (pack.name, pack.bytes)).collect()
    }

    /// Uploads everything that is still in memory, all packs at once, and lists the packs written, by name.
    pub(crate) fn flush(&self) -> Result<Vec<ListedPack>> {
        let (mixed, nodes) = {
            let mut lanes = lock(&self.lanes);
            (std::mem::take(&mut lanes.mixed), std::mem::take(&mut lanes.nodes))
        };
        for pack in mixed.into_iter().chain(nodes) {
            pack.seal();
        }
        let uploading = std::mem::take(&mut *lock(&self.uploading));
        for (pack, begun) in uploading {
            // What failed is still in memory, and is uploaded with the rest.
            if begun.wait().is_ok() {
                self.is_uploaded(pack);
            }
        }
        let mut sealed: Vec<(ObjectName, Vec<Bytes>)> = Vec::new();
        let mut records = Vec::new();
        for (name, body) in &*lock(&self.pending) {
            if let Body::Sealed(bytes) = &*lock(body) {
                sealed.push((ObjectName::Pack(*name), vec![bytes.clone()]));
                records.push(ListedPack { name: *name, bytes: bytes.len() as u64 });
            }
        }
        sealed.sort_by_key(|(object, _)| *object);
        self.client.overwrite_all(&sealed)?;
        let mut uploaded = lock(&self.uploaded);
        uploaded.append(&mut records);
        uploaded.sort_by_key(|pack| pack.name);
        let mut pending = lock(&self.pending);
        pending.retain(|name, _| uploaded.binary_search_by_key(name, |pack| pack.name).is_err());
        Ok(uploaded.clone())
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

    /// Whether the next version may refer to a pack, as far as its name tells (rule G2): the base may know those of
    /// earlier runs; of runs on the same base only this one's are sure to be uploaded, and those that it has taken over.
    pub(crate) fn may_refer_to(&self, pack: PackName) -> bool {
        pack.base < self.base || pack.base == self.base && (pack.run == self.run || self.has_taken_over(&pack))
    }

    /// Whether it is a pack of another run on the same base that is known to be uploaded whole.
    pub(crate) fn has_taken_over(&self, pack: &PackName) -> bool {
        self.taken_over.read().unwrap_or_else(PoisonError::into_inner).contains(pack)
    }

    /// Takes over packs of other runs on the same base, which are known to be uploaded whole.
    pub(crate) fn take_over(&self, packs: impl IntoIterator<Item = PackName>) {
        self.taken_over.write().unwrap_or_else(PoisonError::into_inner).extend(packs);
    }

    /// What was written so far, open packs included.
    pub(crate) fn written(&self) -> Written {
        let lanes = lock(&self.lanes);
        let uploading = lock(&self.uploading);
        let uploaded = lock(&self.uploaded);
        let sealed = || uploaded.iter().chain(uploading.iter().map(|(pack, _)| pack));
        let open = lanes.mixed.iter().chain(&lanes.nodes);
        let open_bytes = |pack: &OpenPack| pack.len() + pack.index.len() as u64;
        Written {
            packs: (sealed().count() + lanes.mixed.len() + lanes.nodes.len()) as u64,
            bytes: sealed().map(|pack| pack.bytes).sum::<u64>() + open.map(open_bytes).sum::<u64>(),
        }
    }

    /// Whether a version refers to these packs.
    pub(crate) fn is_committed(&self) -> bool {
        self.committed.load(Ordering::Acquire)
    }

    pub(crate) fn set_committed(&self) {
        self.committed.store(true, Ordering::Release);
    }
}

impl OpenPack {
    /// Appends a blob; says where it begins and how long the pack is now. `full` is how long it becomes.
    fn append(&mut self, kind: BlobKind, blob: &[u8], digest: &Digest, full: u64) -> Result<(u64, u64)> {
        match &mut *lock(&self.body) {
            Body::Growing(bytes) => {
                let offset = bytes.len() as u64;
                // Once it is large it is given all of its room: doubled step by step, it leaves holes as large as itself.
                if bytes.capacity() - bytes.len() < blob.len() && bytes.len() >= GROWN_BYTES {
                    let rest = usize::try_from(full).unwrap_or(0).saturating_sub(bytes.len()).min(MOST_ROOM);
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
