//! From a URL to a store: `file:`, `memory:`, `s3://`, `az://` and `gs://`.
//!
//! Credentials, regions and endpoints come from the environment, as `object_store` reads them. A URL that holds any of them is
//! refused.

use std::collections::HashMap;
use std::fmt;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::backend::blocking::{Runtime, SharedRuntime};
use crate::backend::client::{Executor, ObjectRoot};
use crate::backend::file_url::{NewFolders, Scratch, folder, local, missing, resolved};
use crate::backend::remote::remote;
use crate::backend::retry::{RetryConnector, SharedStreak};
use crate::backend::secrets::{check_url, without_secrets};
use crate::{Error, Result};

/// How long a remote store may ask to slow down, where nothing else is set.
const PATIENCE: Duration = Duration::from_secs(120);

/// Opens object stores by URL. Cheap to clone; clones share everything.
///
/// Keeps the stores of `memory:NAME` URLs, so that several opens of one name see the same data for as long as a clone
/// lives. There is no global state: two `Stores` know nothing of each other.
///
/// Calls that make requests block their thread. Async code may make them too, also within a runtime of tokio. But until they return
/// they block the other tasks of that thread: so make them in `tokio::task::spawn_blocking`.
#[derive(Clone, Default)]
pub struct Stores {
    shared: Arc<Shared>,
    wrap: Option<Arc<Wrap>>,
    /// How long remote stores may ask to slow down; and the seed of the jitter of waits.
    patience: Option<Duration>,
    jitter_seed: u64,
}

type Wrap = dyn Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync;

#[derive(Default)]
struct Shared {
    memory: Mutex<HashMap<String, Arc<InMemory>>>,
    runtime: SharedRuntime,
    /// What is known of remote stores that ask to slow down, by scheme and bucket.
    streaks: Mutex<HashMap<String, SharedStreak>>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("wrapped", &self.wrap.is_some()).finish_non_exhaustive()
    }
}

impl Stores {
    /// Starts with no store open.
    pub fn new() -> Stores {
        Stores::default()
    }

    /// Passes every store opened from now on through `wrap`: to count, delay or fail requests.
    pub fn with_wrapper(
        mut self,
        wrap: impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync + 'static,
    ) -> Stores {
        self.wrap = Some(Arc::new(wrap));
        self
    }

    /// Sets how long remote stores may ask to slow down before the request fails; otherwise two minutes.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Stores {
        Stores { patience: Some(patience), ..self }
    }

    /// Seeds the jitter of waits, so that processes that were throttled together do not retry together. Take another number for each
    /// process.
    #[must_use]
    pub fn with_jitter_seed(self, jitter_seed: u64) -> Stores {
        Stores { jitter_seed, ..self }
    }

    /// Opens the store at a URL. Makes no request; a folder of a `file:` URL must exist.
    pub fn open(&self, url: &str) -> Result<ObjectRoot> {
        self.open_at(url, false)
    }

    /// Opens the store at a URL; creates the folder of a `file:` URL.
    pub(crate) fn open_or_make(&self, url: &str) -> Result<ObjectRoot> {
        self.open_at(url, true)
    }

    /// Opens a new folder `name` below a URL, for tests of the store. The URL's folder need not exist.
    pub(crate) fn open_scratch(&self, url: &str, name: &str) -> Result<Scratch> {
        check_url(url)?;
        let at = url.strip_prefix("file:").map(|rest| folder(url, rest)).transpose()?;
        let mut folders = NewFolders(at.iter().flat_map(|at| missing(at)).map(FilePath::to_owned).collect());
        // First the URL that the user named, so that an error is about that one.
        self.open_at(url, true)?;
        folders.0.extend(at.map(|at| [at.join(name), at.join(name).join("packs")]).into_iter().flatten());
        let root = self.open_at(&format!("{}/{name}", url.trim_end_matches('/')), true)?;
        Ok(Scratch { client: root, _folders: folders })
    }

    fn open_at(&self, url: &str, make: bool) -> Result<ObjectRoot> {
        check_url(url)?;
        let (scheme, rest) =
            url.split_once(':').filter(|(scheme, _)| scheme.len() > 1).ok_or_else(|| no_scheme(url))?;
        let inline = || Executor::Inline(self.shared.runtime.clone());
        let (store, executor): (Arc<dyn ObjectStore>, Executor) = match scheme {
            "file" => (local(url, rest, make)?, inline()),
            "memory" => (self.memory(rest), inline()),
            "s3" | "az" | "gs" => (remote(url, self.retries(url))?, Executor::Runtime(self.runtime()?)),
            _ => {
                return Err(Error::invalid(format!(
                    "`{}`: scheme `{}:` is not known; expected `file:`, `memory:`, `s3://`, `az://` or `gs://`",
                    without_secrets(url),
                    scheme.escape_debug()
                )));
            }
        };
        let store = match &self.wrap {
            Some(wrap) => wrap(store),
            None => store,
        };
        let root = ObjectRoot::new(store, url, executor);
        // No listing shows the half-written files of killed writers: look into the folder for them.
        Ok(if scheme == "file" { root.in_folder(&resolved(folder(url, rest)?)) } else { root })
    }

    fn retries(&self, url: &str) -> RetryConnector {
        let bucket = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let mut streaks = self.shared.streaks.lock().unwrap_or_else(PoisonError::into_inner);
        let streak = Arc::clone(streaks.entry(bucket).or_default());
        RetryConnector::new(&without_secrets(url), self.patience.unwrap_or(PATIENCE), self.jitter_seed, streak)
    }

    fn memory(&self, name: &str) -> Arc<dyn ObjectStore> {
        let mut memory = self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let store: Arc<InMemory> = Arc::clone(memory.entry(name.to_owned()).or_default());
        store
    }

    /// The runtime that drives remote requests; started when the first remote store is opened.
    fn runtime(&self) -> Result<Arc<Runtime>> {
        let failed = |e| Error::unavailable("the threads for remote stores could not be started").because(&e);
        self.shared.runtime.get().map_err(failed)
    }
}

fn no_scheme(url: &str) -> Error {
    if url.is_empty() {
        return Error::invalid("a catalog URL is empty; expected for example `file:data/in`");
    }
    let url = without_secrets(url);
    Error::invalid(format!("`{url}` is not a catalog URL: it has no scheme; for a folder write `file:{url}`"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn catalogs_of_a_bucket_are_throttled_together() {
        let stores = Stores::new();
        let streak = |stores: &Stores, url| stores.retries(url).streak();
        let one = streak(&stores, "s3://bucket/a");
        assert!(Arc::ptr_eq(&one, &streak(&stores.clone().with_patience(PATIENCE), "s3://bucket/b/c")));
        for other in ["s3://other/a", "az://bucket/a"] {
            assert!(!Arc::ptr_eq(&one, &streak(&stores, other)), "{other}");
        }
    }

    fn message(url: &str) -> String {
        let error = Stores::new().open(url).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidInput, "{url}");
        error.to_string()
    }

    #[test]
    fn errors_of_bad_urls_state_what_is_expected() {
        assert!(message("data/in").contains("write `file:data/in`"));
        assert!(message("/data/in").contains("write `file:/data/in`"));
        assert!(message("C:/data").contains("write `file:C:/data`"));
        assert!(message("").contains("empty"));
        assert!(message("file:").contains("names no folder"));
        assert!(message("file://host/data").contains("names no folder"));
        assert!(message("ftp://x").contains("`ftp:` is not known"));
        assert!(message("s3:///x").contains("no bucket"));
        let secret = message("s3://key:secret@bucket/x");
        assert!(secret.contains("environment") && !secret.contains("secret@"), "{secret}");
    }

    #[test]
    fn folders_are_found_by_both_spellings() {
        assert_eq!(folder("file:a b", "a b").unwrap(), PathBuf::from("a b"));
        assert_eq!(folder("file:///a%20b", "///a%20b").unwrap(), PathBuf::from("/a b"));
        let error = Stores::new().open("file:no/such/folder").unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("deltic init file:no/such/folder"));
    }

    #[test]
    fn remote_stores_open_without_a_request() {
        for url in ["s3://bucket/folder", "gs://bucket"] {
            // Without credentials in the environment some backends refuse, naming the URL.
            if let Err(error) = Stores::new().open(url) {
                assert!(error.to_string().contains(url));
            }
        }
    }
}
