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
use crate::backend::client::folder::NoFile;
use crate::backend::overlay::Overlay;
use crate::format::object_name::ObjectName;
use crate::{Error, ErrorKind, Result};

/// Requests under way at once to a remote store.
const PARALLEL: usize = 64;

/// Tries of a request that may be repeated without harm.
const TRIES: u32 = 3;

/// How long a request to a remote store may take before it is said what is waited for, and how often that is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the errors of a store end that has no such bucket, or container: otherwise they look like those of an object that is
/// not there.
const NO_BUCKET: [&str; 2] = ["(NoSuchBucket)", "(ContainerNotFound)"];

/// How requests are driven.
#[derive(Clone)]
pub(crate) enum Executor {
    /// On the calling thread; the runtime is for calls from within a foreign one.
    Inline(SharedRuntime),
    /// By a runtime.
    Runtime(Arc<Runtime>),
    /// By whoever awaits them: a task of the runtime, which must not keep the runtime alive.
    Task,
}

/// An open store. Cheap to clone; clones share the counters.
#[derive(Clone)]
pub struct ObjectRoot {
    store: Arc<dyn ObjectStore>,
    url: Arc<str>,
    executor: Executor,
    counters: Arc<Counters>,
    /// Where it lies when it is a folder.
    folder: Option<Arc<std::path::Path>>,
}

#[derive(Default)]
struct Counters {
    gets: AtomicU64,
    puts: AtomicU64,
    lists: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    /// When it was last said what is waited for.
    told: Mutex<Option<Instant>>,
}

/// How many requests were made and how many bytes they moved, retries included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Requests {
    /// Objects or ranges asked for, also of absent objects.
    pub gets: u64,
    /// Objects written or tried to.
    pub puts: u64,
    /// Listings.
    pub lists: u64,
    /// Bytes of bodies received.
    pub bytes_read: u64,
    /// Bytes of bodies sent.
    pub bytes_written: u64,
}

impl Requests {
    /// All requests together.
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

/// Work that the runtime does meanwhile.
pub(crate) struct Begun<T> {
    task: tokio::task::JoinHandle<Result<T>>,
    /// Goes on until this ends.
    _runtime: Arc<Runtime>,
}

impl<T> Begun<T> {
    /// Waits for the end of it.
    pub(crate) fn wait(mut self) -> Result<T> {
        let ended = wait(&mut self.task);
        ended.map_err(|error| Error::internal("a request ended without an answer").because(&error))?
    }
}

impl<T> Drop for Begun<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ObjectRoot {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, url: &str, executor: Executor) -> ObjectRoot {
        ObjectRoot { store, url: url.into(), executor, counters: Arc::default(), folder: None }
    }

    /// The same store, with counters of its own, under another one that takes what is written.
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

    /// Whether what turned out wrong is asked for once more before it is called damage: a remote store, or what lies
    /// between, may answer wrongly once. A folder gives the same bytes again.
    pub(crate) fn asks_again(&self, error: &Error) -> bool {
        let again = self.is_remote() && matches!(error.kind(), ErrorKind::Corrupt { .. });
        if again {
            tracing::warn!(%error, "read once more, because the store is remote");
        }
        again
    }

    /// Begins to do something on the runtime and returns at once; `None` where there is none, and nothing is done.
    /// What is dropped before it has ended is given up.
    pub(crate) fn begin<T, F>(&self, work: impl FnOnce(ObjectRoot) -> F) -> Option<Begun<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let Executor::Runtime(runtime) = &self.executor else { return None };
        let task = ObjectRoot { executor: Executor::Task, ..self.clone() };
        Some(Begun { task: runtime.spawn(work(task)), _runtime: Arc::clone(runtime) })
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

    /// Reads ranges of objects that must be there, all at once where that helps; answers in the order asked.
    pub(crate) fn get_ranges(&self, wanted: &[(ObjectName, Range<u64>)]) -> Result<Vec<Bytes>> {
        self.drive(self.get_ranges_async(wanted))
    }

    /// Reads ranges of objects that need not be there, all at once where that helps: an answer for each.
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

    /// Creates an object. Fails when it exists already, and may fail although it took effect: read it back to know.
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

    /// Writes an object whatever was there before. Tried again on errors: the same bytes under the same name.
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

    /// Removes an object, if the store lets us.
    pub(crate) fn remove(&self, name: &ObjectName) -> Result<()> {
        self.drive(self.delete_async(name)).map_err(|e| self.failed(name, "removed", &e))
    }

    /// Waits for requests, also for those of other stores that are made together with ones of this store.
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

    /// Awaits a request, and says what is waited for while there is no answer.
    async fn watched<F: Future>(&self, what: &(dyn fmt::Display + Sync), to_be: &str, request: F) -> F::Output {
        if !self.is_remote() {
            return request.await;
        }
        let (mut request, begun) = (pin!(request), Instant::now());
        loop {
            if let Ok(answer) = tokio::time::timeout(PATIENCE, &mut request).await {
                return answer;
            }
            // Many requests wait at once: one of them speaks for all.
            let mut told = self.counters.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.is_none_or(|told| told.elapsed() >= PATIENCE / 2) {
                *told = Some(Instant::now());
                tracing::warn!("{}: waiting for {what} {to_be}, for {} s now", self.url, begun.elapsed().as_secs());
            }
        }
    }

    /// Does what may be repeated without harm, with pauses in between that grow: `once` gets the number of its try, from 0, and
    /// says of a failure how many tries it is worth.
    async fn again<T, F>(&self, mut once: impl FnMut(u32) -> F) -> Result<T>
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
        self.again(|_| async move {
            let body: PutPayload = parts.iter().cloned().collect();
            let written = self.put_async(name, body, PutMode::Overwrite).await;
            written.map_err(|error| (self.failed(name, "written", &error), TRIES))
        })
        .await
    }

    /// The error for a bucket that is not there, if that is what an error says.
    fn no_bucket(&self, error: &object_store::Error) -> Option<Error> {
        let said = error.to_string();
        let code = NO_BUCKET.into_iter().find(|code| said.ends_with(code))?;
        let what = "there is no such bucket or container: make it, or check the URL and the endpoint";
        Some(Error::unavailable(format!("{}: {what}", self.url)).because(&code.trim_matches(['(', ')'])))
    }

    fn failed(&self, name: &ObjectName, what: &str, error: &object_store::Error) -> Error {
        if let Some(no_bucket) = self.no_bucket(error) {
            return no_bucket;
        }
        if let Some(no_file) = NoFile::of(error) {
            return Error::corrupt(&self.url, name, no_file);
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
