//! Counts the requests that wait for one another: the cost of a run where each takes a round trip.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// Serves remote URLs (`s3://…`) from memory, and records which requests overlap.
///
/// Requests run as those of a remote store do, and take as long as a round trip. So requests that are made together overlap, in whatever
/// threads they are made. Requests that need the answer of another do not.
#[derive(Debug, Clone, Default)]
pub struct Rounds(Arc<Mutex<Log>>);

/// Long compared with the time between two requests that do not wait for each other, so that counts are right on a busy machine.
const ROUND_TRIP: Duration = Duration::from_millis(15);

#[derive(Debug, Default)]
struct Log {
    clock: u64,
    /// Begin and end of each request.
    requests: Vec<(u64, u64)>,
    stores: HashMap<String, Arc<InMemory>>,
}

impl Rounds {
    /// Starts with empty stores.
    pub fn new() -> Rounds {
        Rounds::default()
    }

    /// A wrapper that replaces each remote store by a store in memory.
    pub fn wrapper(&self) -> impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync + use<> {
        let rounds = self.clone();
        move |remote| {
            let inner = Arc::clone(rounds.log().stores.entry(remote.to_string()).or_default());
            Arc::new(RoundStore { inner, rounds: rounds.clone() })
        }
    }

    /// The number of requests since the last call, and how many of them were made one after another: the most that can be picked so
    /// that no two overlap.
    pub fn take(&self) -> (usize, usize) {
        let mut requests = std::mem::take(&mut self.log().requests);
        requests.sort_by_key(|(_, end)| *end);
        let (mut chain, mut last) = (0, None);
        for (begin, end) in &requests {
            if last.is_none_or(|last| begin > last) {
                chain += 1;
                last = Some(end);
            }
        }
        (requests.len(), chain)
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let begin = self.tick();
        tokio::time::sleep(ROUND_TRIP).await;
        let done = work.await;
        let end = self.tick();
        self.log().requests.push((begin, end));
        done
    }

    fn tick(&self) -> u64 {
        let mut log = self.log();
        log.clock += 1;
        log.clock
    }
}

/// A store of [`Rounds`].
#[derive(Debug)]
struct RoundStore {
    inner: Arc<InMemory>,
    rounds: Rounds,
}

impl fmt::Display for RoundStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoundStore({})", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for RoundStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.rounds.during(self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.rounds.during(self.inner.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.rounds.during(self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.rounds.during(self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.rounds.during(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.rounds.during(self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.rounds.during(self.inner.rename_opts(from, to, options)).await
    }
}
