//! Stores for tests, each a decorator of any `ObjectStore`, to be put around one by [`crate::Stores::with_wrapper`]: one that
//! counts requests, one that fails as told, one that counts round trips. Also trees of other shapes, and rules that are left out.

mod mutants;
mod rounds;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    Result, coalesce_ranges,
};

pub use mutants::{Mutant, packs_of, with_mutant};
pub use rounds::Rounds;

use crate::{Catalog, Shape};

/// The same catalog with trees of another shape, so that few entries make a deep tree. Its versions can be read by
/// such a catalog only.
pub fn with_shape(catalog: &Catalog, shape: Shape) -> Catalog {
    catalog.with_shape(shape)
}

/// What is asked of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// Read an object or a part of it.
    Get,
    /// Write an object, whatever was there.
    Put,
    /// Write an object if there is none.
    Create,
    /// List objects.
    List,
    /// Remove an object.
    Delete,
    /// Anything else: copies, multi-part uploads.
    Other,
}

/// A request that a store was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What was asked.
    pub operation: Operation,
    /// The object; a prefix for a listing.
    pub object: String,
    /// Bytes sent, or received.
    pub bytes: u64,
}

/// The requests that stores with this log were asked. Cheap to clone; clones share the log.
#[derive(Debug, Clone, Default)]
pub struct RequestLog(Arc<Mutex<Vec<Request>>>);

impl RequestLog {
    /// Starts an empty log.
    pub fn new() -> RequestLog {
        RequestLog::default()
    }

    /// A wrapper that puts what its stores are asked into this log.
    pub fn wrapper(&self) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync + use<> {
        let log = self.clone();
        move |inner| Arc::new(CountingStore { inner, log: log.clone() })
    }

    /// All requests so far, and forgets them.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number of requests of a kind so far.
    pub fn count(&self, operation: Operation) -> usize {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().filter(|request| request.operation == operation).count()
    }

    /// The bytes that requests of a kind moved so far.
    pub fn bytes(&self, operation: Operation) -> u64 {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().filter(|request| request.operation == operation).map(|request| request.bytes).sum()
    }

    fn add(&self, operation: Operation, object: &Path, bytes: u64) {
        let request = Request { operation, object: object.to_string(), bytes };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
}

/// A store that logs what it is asked.
#[derive(Debug)]
pub struct CountingStore {
    inner: Arc<dyn ObjectStore>,
    log: RequestLog,
}

/// What a [`FaultStore`] does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Lets it pass.
    #[default]
    None,
    /// Fails, and nothing happens.
    Before,
    /// Does what was asked, and fails: the acknowledgement is lost.
    After,
    /// Refuses to write: one is not allowed to, and nothing happens. Other requests pass.
    Refused,
    /// Writes although it was asked to create only if absent. Other requests pass.
    IgnoreCondition,
    /// Answers a read with half of what was asked for. Other requests pass.
    Short,
}

/// A store that fails as a closure tells it to, and whose answers to reads another one changes.
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    decide: Arc<Decide>,
    change: Arc<Change>,
}

type Decide = dyn Fn(Operation, &str) -> Fault + Send + Sync;
type Change = dyn Fn(&str, GetResult) -> GetResult + Send + Sync;

/// A wrapper whose stores ask `decide` about every request, with the operation and the object.
pub fn faults(
    decide: impl Fn(Operation, &str) -> Fault + Send + Sync + 'static,
) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync {
    faulty(Arc::new(decide), Arc::new(|_, answer| answer))
}

/// A wrapper whose stores give what `change` makes of each answer to a read, given the object: to garble it, or to lie about
/// lengths.
pub fn answers(
    change: impl Fn(&str, GetResult) -> GetResult + Send + Sync + 'static,
) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync {
    faulty(Arc::new(|_, _| Fault::None), Arc::new(change))
}

fn faulty(
    decide: Arc<Decide>,
    change: Arc<Change>,
) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync {
    move |inner| Arc::new(FaultStore { inner, decide: Arc::clone(&decide), change: Arc::clone(&change) })
}

impl FaultStore {
    fn listed<'a>(
        &self,
        prefix: Option<&Path>,
        list: impl FnOnce(&dyn ObjectStore) -> BoxStream<'a, Result<ObjectMeta>>,
    ) -> BoxStream<'a, Result<ObjectMeta>> {
        let asked = prefix.cloned().unwrap_or_default();
        match (self.decide)(Operation::List, asked.as_ref()) {
            Fault::Before | Fault::After => Box::pin(futures::stream::iter([Err(failure(&asked))])),
            _ => list(&*self.inner),
        }
    }
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

impl fmt::Display for CountingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountingStore({})", self.inner)
    }
}

fn put_operation(options: &PutOptions) -> Operation {
    if options.mode == PutMode::Create { Operation::Create } else { Operation::Put }
}

/// Reads ranges by requests that a store treats as any other read: what it does to those it does to each.
pub async fn each_as_get(store: &impl ObjectStore, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    coalesce_ranges(ranges, |range| store.get_range(location, range), OBJECT_STORE_COALESCE_DEFAULT).await
}

fn failure(object: &Path) -> object_store::Error {
    object_store::Error::Generic { store: "FaultStore", source: format!("{object}: made to fail").into() }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for CountingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.log.add(put_operation(&options), location, payload.content_length() as u64);
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.log.add(Operation::Other, location, 0);
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let result = self.inner.get_opts(location, options).await;
        let bytes = result.as_ref().map_or(0, |result| result.range.end - result.range.start);
        self.log.add(Operation::Get, location, bytes);
        result
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.log.add(Operation::Get, location, ranges.iter().map(|range| range.end - range.start).sum());
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let log = self.log.clone();
        let logged = locations.inspect_ok(move |location| log.add(Operation::Delete, location, 0));
        self.inner.delete_stream(Box::pin(logged))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.log.add(Operation::List, &prefix.cloned().unwrap_or_default(), 0);
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.log.add(Operation::List, &prefix.cloned().unwrap_or_default(), 0);
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.log.add(Operation::List, &prefix.cloned().unwrap_or_default(), 0);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.log.add(Operation::Other, to, 0);
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.log.add(Operation::Other, to, 0);
        self.inner.rename_opts(from, to, options).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        match (self.decide)(put_operation(&options), location.as_ref()) {
            Fault::Before => Err(failure(location)),
            Fault::Refused => {
                let source = format!("{location}: one may not write").into();
                Err(object_store::Error::PermissionDenied { path: location.to_string(), source })
            }
            Fault::After => {
                self.inner.put_opts(location, payload, options).await?;
                Err(failure(location))
            }
            Fault::IgnoreCondition => {
                options.mode = PutMode::Overwrite;
                self.inner.put_opts(location, payload, options).await
            }
            Fault::None | Fault::Short => self.inner.put_opts(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match (self.decide)(Operation::Get, location.as_ref()) {
            Fault::Before | Fault::After => Err(failure(location)),
            Fault::Short => {
                let mut result = self.inner.get_opts(location, options).await?;
                let range = result.range.start..result.range.start + (result.range.end - result.range.start) / 2;
                let (meta, attributes) = (result.meta.clone(), result.attributes.clone());
                let extensions = std::mem::take(&mut result.extensions);
                let body = result.bytes().await?.slice(..(range.end - range.start) as usize);
                let payload = object_store::GetResultPayload::Stream(Box::pin(futures::stream::iter([Ok(body)])));
                Ok(GetResult { payload, meta, range, attributes, extensions })
            }
            Fault::None | Fault::Refused | Fault::IgnoreCondition => {
                let is_head = options.head;
                let answer = self.inner.get_opts(location, options).await?;
                Ok(if is_head { answer } else { (self.change)(location.as_ref(), answer) })
            }
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        each_as_get(self, location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, decide) = (Arc::clone(&self.inner), Arc::clone(&self.decide));
        Box::pin(locations.and_then(move |location| {
            let (inner, fault) = (Arc::clone(&inner), decide(Operation::Delete, location.as_ref()));
            async move {
                if fault != Fault::Before {
                    inner.delete(&location).await?;
                }
                if matches!(fault, Fault::Before | Fault::After) { Err(failure(&location)) } else { Ok(location) }
            }
        }))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, |inner| inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, |inner| inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
