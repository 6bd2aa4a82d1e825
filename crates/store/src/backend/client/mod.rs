//! The client of the folder of a store that a catalog lies in: blocking requests over `object_store`, with counters, retries
//! and length checks. (The public name is [`ObjectRoot`]. It has nothing to do with the root of a tree.)
//!
//! Requests to local stores run on the calling thread, where `object_store` does its I/O inline; no thread is started for
//! them. Requests to remote stores run on one small runtime. Calls block (`blocking`).

pub(crate) mod folder;
mod listing;
mod read;
mod unfinished;

use std::fmt;
use std::future::Future;
use std::ops::{Range, Sub};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::backend::blocking::{Runtime, SharedRuntime, wait};
use crate::backend::cause;
use crate::backend::client::folder::NotAFile;
use crate::backend::overlay::Overlay;
use crate::format::object_name::ObjectName;
use crate::{Error, ErrorKind, Result};

/// The most requests at once to a remote store.
const PARALLEL: usize = 64;

/// How often a request is tried that may be repeated without harm.
const TRIES: u32 = 3;

/// How long a request to a remote store may take before a log line names it, and how often that is repeated.
const PATIENCE: Duration = Duration::from_secs(10);

/// The ends of the errors for a bucket or container that does not exist. Without them such an error looks like one for a missing
/// object.
const NO_BUCKET: [&str; 2] = ["(NoSuchBucket)", "(ContainerNotFound)"];

/// How requests are driven.
#[derive(Clone)]
pub(crate) enum Executor {
    /// On the calling thread; the runtime is for calls from within a foreign one.
    Inline(SharedRuntime),
    /// By a runtime.
    Runtime(Arc<Runtime>),
    /// By a task of the runtime, which awaits them. It must not keep the runtime alive.
    Task,
}

/// An open store. Cheap to clone; clones share the counters.
#[derive(Clone)]
pub struct ObjectRoot {
    store: Arc<dyn ObjectStore>,
    url: Arc<str>,
    executor: Executor,
    counters: Arc<Counters>,
    /// The folder of a `file:` store.
    folder: Option<Arc<std::path::Path>>,
}

#[derive(Default)]
struct Counters {
    gets: AtomicU64,
    puts: AtomicU64,
    lists: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    /// When a slow request was last logged.
    last_logged: Mutex<Option<Instant>>,
}

/// How many requests were made and how many bytes they moved, retries included. Requests that remove objects are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Requests {
    /// Objects or ranges requested, also of absent objects.
    pub gets: u64,
    /// Objects written, or attempts to write one.
    pub puts: u64,
    /// Listings.
    pub lists: u64,
    /// Bytes of bodies received.
    pub bytes_read: u64,
    /// Bytes of bodies sent.
    pub bytes_written: u64,
}

impl Requests {
    /// All requests together, except those that remove objects.
    pub fn total(&self) -> u64 {
        self.gets + self.puts + self.lists
    }
}

impl std::ops::Add for Requests {
    type Output = Requests;

    /// What two stores did together.
    fn add(self, other: Requests) -> Requests {
        Requests {
            gets: self.gets + other.gets,
            puts: self.puts + other.puts,
            lists: self.lists + other.lists,
            bytes_read: self.bytes_read + other.bytes_read,
            bytes_written: self.bytes_written + other.bytes_written,
        }
    }
}

impl Sub for Requests {
    type Output = Requests;

    /// What was done since an `earlier` reading of the same counters.
    fn sub(self, earlier: Requests) -> Requests {
        Requests {
            gets: self.gets - earlier.gets,
            puts: self.puts - earlier.puts,
            lists: self.lists - earlier.lists,
            bytes_read: self.bytes_read - earlier.bytes_read,
            bytes_written: self.bytes_written - earlier.bytes_written,
        }
    }
}

impl fmt::Debug for ObjectRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectRoot({})", self.url)
    }
}

/// Work that runs on the runtime. Dropping it aborts the work.
pub(crate) struct InFlight<T> {
    task: tokio::task::JoinHandle<Result<T>>,
    /// Must live until the work ends.
    _runtime: Arc<Runtime>,
}

impl<T> InFlight<T> {
    /// Waits for its result.
    pub(crate) fn wait(mut self) -> Result<T> {
        let ended = wait(&mut self.task);
        ended.map_err(|error| Error::internal("a request ended without an answer").because(&error))?
    }
}

impl<T> Drop for InFlight<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ObjectRoot {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, url: &str, executor: Executor) -> ObjectRoot {
        ObjectRoot { store, url: url.into(), executor, counters: Arc::default(), folder: None }
    }

    /// The same store, with counters of its own, under a folder that takes all writes.
    pub(crate) fn under(&self, folder: Arc<dyn ObjectStore>) -> ObjectRoot {
        let store = Arc::new(Overlay::new(Arc::clone(&self.store), folder));
        ObjectRoot { store, counters: Arc::default(), folder: None, ..self.clone() }
    }

    /// The URL it was opened by.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether a request costs a round trip over a network, so that many should be made at once.
    pub(crate) fn is_remote(&self) -> bool {
        !matches!(self.executor, Executor::Inline(_))
    }

    /// Whether to read once more before wrong bytes count as damage. A remote store, or the network, may garble one answer. A folder
    /// gives the same bytes again.
    pub(crate) fn should_reread(&self, error: &Error) -> bool {
        let again = self.is_remote() && matches!(error.kind(), ErrorKind::Corrupt { .. });
        if again {
            tracing::warn!(%error, "a remote store gave wrong bytes: reading once more");
        }
        again
    }

    /// Starts work on the runtime and returns at once. `None` where there is no runtime: then nothing is done.
    pub(crate) fn begin<T, F>(&self, work: impl FnOnce(ObjectRoot) -> F) -> Option<InFlight<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let Executor::Runtime(runtime) = &self.executor else { return None };
        let task = ObjectRoot { executor: Executor::Task, ..self.clone() };
        Some(InFlight { task: runtime.spawn(work(task)), _runtime: Arc::clone(runtime) })
    }

    pub(crate) fn requests(&self) -> Requests {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Requests {
            gets: read(&self.counters.gets),
            puts: read(&self.counters.puts),
            lists: read(&self.counters.lists),
            bytes_read: read(&self.counters.bytes_read),
            bytes_written: read(&self.counters.bytes_written),
        }
    }

    /// Reads a whole object; `None` when there is none.
    pub(crate) fn get(&self, name: &ObjectName) -> Result<Option<Bytes>> {
        self.drive(self.get_async(name))
    }

    /// Reads ranges of objects that must exist, on a remote store all at once; returns them in the given order.
    pub(crate) fn get_ranges(&self, wanted: &[(ObjectName, Range<u64>)]) -> Result<Vec<Bytes>> {
        self.drive(self.get_ranges_async(wanted))
    }

    /// Reads ranges of objects that need not exist, on a remote store all at once: a result for each.
    pub(crate) fn get_each(&self, wanted: &[(ObjectName, Range<u64>)]) -> Vec<Result<Bytes>> {
        let parallel = if self.is_remote() { PARALLEL } else { 1 };
        let requests: Vec<_> = wanted.iter().map(|(name, range)| self.get_range_async(name, range.clone())).collect();
        self.drive(stream::iter(requests).buffered(parallel).collect())
    }

    pub(crate) async fn get_ranges_async(&self, wanted: &[(ObjectName, Range<u64>)]) -> Result<Vec<Bytes>> {
        let parallel = if self.is_remote() { PARALLEL } else { 1 };
        let requests: Vec<_> = wanted.iter().map(|(name, range)| self.get_range_async(name, range.clone())).collect();
        let mut answers = stream::iter(requests).buffered(parallel);
        let mut bodies = Vec::with_capacity(wanted.len());
        while let Some(body) = answers.next().await {
            bodies.push(body?);
        }
        Ok(bodies)
    }

    /// Creates an object. Fails when it exists already. May fail although it took effect: read the object back to know.
    pub(crate) fn create(&self, name: &ObjectName, body: &Bytes) -> std::result::Result<(), object_store::Error> {
        self.drive(self.create_async(name, body))
    }

    pub(crate) async fn create_async(
        &self,
        name: &ObjectName,
        body: &Bytes,
    ) -> std::result::Result<(), object_store::Error> {
        self.put_async(name, PutPayload::from_bytes(body.clone()), PutMode::Create).await
    }

    /// Writes an object, whatever was there before. Retries after errors: that is safe, with the same bytes under the same name.
    pub(crate) fn overwrite(&self, name: &ObjectName, parts: &[Bytes]) -> Result<()> {
        self.drive(self.overwrite_async(name, parts))
    }

    /// Writes several objects at once.
    pub(crate) fn overwrite_all(&self, objects: &[(ObjectName, Vec<Bytes>)]) -> Result<()> {
        self.drive(async {
            let requests = objects.iter().map(|(name, parts)| self.overwrite_async(name, parts));
            let mut answers = stream::iter(requests).buffer_unordered(PARALLEL);
            let mut result = Ok(());
            while let Some(answer) = answers.next().await {
                result = result.and(answer);
            }
            result
        })
    }

    /// Removes an object.
    pub(crate) fn remove(&self, name: &ObjectName) -> Result<()> {
        self.drive(self.delete_async(name)).map_err(|e| self.failed(name, "removed", &e))
    }

    /// Waits for requests. The future may include requests to other stores.
    pub(crate) fn drive<F: Future>(&self, future: F) -> F::Output {
        match &self.executor {
            Executor::Inline(runtime) => runtime.wait_inline(future),
            Executor::Task => wait(future),
            Executor::Runtime(runtime) => runtime.wait(future),
        }
    }

    async fn delete_async(&self, name: &ObjectName) -> std::result::Result<(), object_store::Error> {
        let path = name.path();
        self.watched(name, "to be removed", self.store.delete(&path)).await
    }

    /// Awaits a request, and logs it while there is no answer.
    async fn watched<F: Future>(&self, what: &(dyn fmt::Display + Sync), to_be: &str, request: F) -> F::Output {
        if !self.is_remote() {
            return request.await;
        }
        let (mut request, begun) = (pin!(request), Instant::now());
        loop {
            if let Ok(answer) = tokio::time::timeout(PATIENCE, &mut request).await {
                return answer;
            }
            // Many requests wait at once: one log line is enough for all.
            let mut logged = self.counters.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.is_none_or(|logged| logged.elapsed() >= PATIENCE / 2) {
                *logged = Some(Instant::now());
                tracing::warn!("{}: waiting for {what} {to_be}, for {} s now", self.url, begun.elapsed().as_secs());
            }
        }
    }

    /// Retries something that may be repeated without harm, with growing pauses. `once` gets the number of its try, from 0, and returns
    /// with a failure how many tries it is worth.
    async fn retry<T, F>(&self, mut once: impl FnMut(u32) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, (Error, u32)>>,
    {
        let mut attempt = 0;
        loop {
            match once(attempt).await {
                Ok(done) => return Ok(done),
                Err((error, tries)) if attempt + 1 >= tries => return Err(error),
                Err(_) => self.sleep(Duration::from_millis(5 << (2 * attempt))).await,
            }
            attempt += 1;
        }
    }

    pub(crate) async fn sleep(&self, pause: Duration) {
        match &self.executor {
            Executor::Inline(_) => std::thread::sleep(pause),
            Executor::Runtime(_) | Executor::Task => tokio::time::sleep(pause).await,
        }
    }

    async fn put_async(
        &self,
        name: &ObjectName,
        body: PutPayload,
        mode: PutMode,
    ) -> std::result::Result<(), object_store::Error> {
        self.counters.puts.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes_written.fetch_add(body.content_length() as u64, Ordering::Relaxed);
        let path = name.path();
        let request = self.store.put_opts(&path, body, PutOptions::from(mode));
        self.watched(name, "to be written", request).await.map(|_| ())
    }

    pub(crate) async fn overwrite_async(&self, name: &ObjectName, parts: &[Bytes]) -> Result<()> {
        self.retry(|_| async move {
            let body: PutPayload = parts.iter().cloned().collect();
            let written = self.put_async(name, body, PutMode::Overwrite).await;
            written.map_err(|error| (self.failed(name, "written", &error), TRIES))
        })
        .await
    }

    /// The error for a bucket that does not exist, if `error` means that.
    fn no_bucket(&self, error: &object_store::Error) -> Option<Error> {
        let text = error.to_string();
        let code = NO_BUCKET.into_iter().find(|code| text.ends_with(code))?;
        let what = "there is no such bucket or container: create it, or check the URL and the endpoint";
        Some(Error::unavailable(format!("{}: {what}", self.url)).because(&code.trim_matches(['(', ')'])))
    }

    fn failed(&self, name: &ObjectName, what: &str, error: &object_store::Error) -> Error {
        if let Some(no_bucket) = self.no_bucket(error) {
            return no_bucket;
        }
        if let Some(what) = NotAFile::of(error) {
            return Error::corrupt(&self.url, name, what);
        }
        Error::unavailable(format!("{}: {name} could not be {what}", self.url)).because(&cause::of(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_add_up() {
        let (one, other) = (
            Requests { gets: 1, puts: 2, lists: 3, bytes_read: 4, bytes_written: 5 },
            Requests { gets: 10, puts: 30, lists: 50, bytes_read: 70, bytes_written: 90 },
        );
        let both = Requests { gets: 11, puts: 32, lists: 53, bytes_read: 74, bytes_written: 95 };
        assert_eq!((one + other, both - one, both - other), (both, other, one));
        assert_eq!((one.total(), both.total()), (6, 96));
    }
}
