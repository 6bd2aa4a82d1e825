//! Stores for tests, each a decorator of any `ObjectStore`, to be put around one by [`crate::Stores::with_wrapper`]: one that
//! counts requests, one that fails as a closure decides, one that counts round trips. Also trees of other shapes, and rules that
//! are left out.

mod faults;
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

pub use faults::{Decision, Fault, FaultStore, When, answers, faults};
pub use mutants::{Mutant, packs_of, with_mutant};
pub use rounds::Rounds;

use crate::{Catalog, Shape};

/// The same catalog with trees of another shape, so that few entries make a deep tree. Its versions can be read by
/// such a catalog only.
pub fn with_shape(catalog: &Catalog, shape: Shape) -> Catalog {
    catalog.with_shape(shape)
}

/// A kind of request.
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

/// A request to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its kind.
    pub operation: Operation,
    /// The object; a prefix for a listing.
    pub object: String,
    /// Bytes sent, or received.
    pub bytes: u64,
}

/// The requests to the stores with this log. Cheap to clone; clones share the log.
#[derive(Debug, Clone, Default)]
pub struct RequestLog(Arc<Mutex<Vec<Request>>>);

impl RequestLog {
    /// Starts an empty log.
    pub fn new() -> RequestLog {
        RequestLog::default()
    }

    /// A wrapper whose stores log their requests here.
    pub fn wrapper(&self) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync + use<> {
        let log = self.clone();
        move |inner| Arc::new(CountingStore { inner, log: log.clone() })
    }

    /// Takes all requests so far out of the log.
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

/// A store that logs its requests.
#[derive(Debug)]
pub struct CountingStore {
    inner: Arc<dyn ObjectStore>,
    log: RequestLog,
}

impl fmt::Display for CountingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountingStore({})", self.inner)
    }
}

fn put_operation(options: &PutOptions) -> Operation {
    if options.mode == PutMode::Create { Operation::Create } else { Operation::Put }
}

/// Reads ranges by single reads, so that a store treats each of them like any other read.
pub async fn each_as_get(store: &impl ObjectStore, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    coalesce_ranges(ranges, |range| store.get_range(location, range), OBJECT_STORE_COALESCE_DEFAULT).await
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
