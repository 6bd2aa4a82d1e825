//! From a URL to a store: `file:`, `memory:`, `s3://`, `az://` and `gs://`.
//!
//! Credentials, regions and endpoints come from the environment, as `object_store` reads them; a URL that holds any is
//! refused.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use crate::backend::client::place::PARTS;
use crate::backend::client::{Executor, ObjectRoot};
use crate::backend::environment;
use crate::backend::redact::Redacted;
use crate::backend::retry::{Patient, SharedStreak};
use crate::backend::secrets::{Secrets, check_url, parse_checked, without_secrets};
use crate::{Error, ErrorKind, Result};

/// How long the client of a remote store tries by itself. Less than it would, since every request that may be repeated
/// is tried again above: a store that does not answer must not take minutes to be called so.
const RETRIES: (usize, Duration) = (4, Duration::from_secs(45));

/// How long a remote store may ask to slow down, where nothing else is set.
const PATIENCE: Duration = Duration::from_secs(120);

/// Opens object stores by URL. Cheap to clone; clones share everything.
///
/// Keeps the stores of `memory:NAME` URLs, so that several opens of one name see the same data for as long as a clone
/// lives. There is no global state: two `Stores` know nothing of each other.
#[derive(Clone, Default)]
pub struct Stores {
    shared: Arc<Shared>,
    wrap: Option<Arc<Wrap>>,
    /// How long remote stores may ask to slow down; and a number by which waits are spread.
    patience: Option<Duration>,
    spread: u64,
}

type Wrap = dyn Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync;

#[derive(Default)]
struct Shared {
    memory: Mutex<HashMap<String, Arc<InMemory>>>,
    runtime: Mutex<Option<Arc<tokio::runtime::Runtime>>>,
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

    /// Lets remote stores ask to slow down for so long before a command is ended by it; otherwise two minutes.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Stores {
        Stores { patience: Some(patience), ..self }
    }

    /// Spreads the waits of those that were asked to slow down together, so that they do not come again together: another
    /// number for each process.
    #[must_use]
    pub fn with_spread(self, spread: u64) -> Stores {
        Stores { spread, ..self }
    }

    /// Opens the store at a URL. Makes no request; a folder of a `file:` URL must exist.
    pub fn open(&self, url: &str) -> Result<ObjectRoot> {
        self.open_at(url, false)
    }

    /// Opens the store at a URL, making the folder of a `file:` URL.
    pub(crate) fn open_or_make(&self, url: &str) -> Result<ObjectRoot> {
        self.open_at(url, true)
    }

    /// Opens a new folder `name` below a URL, which need not be there, to try things in.
    pub(crate) fn open_scratch(&self, url: &str, name: &str) -> Result<Scratch> {
        check_url(url)?;
        let at = url.strip_prefix("file:").map(|rest| folder(url, rest)).transpose()?;
        let mut made = Made(at.iter().flat_map(|at| missing(at)).map(FilePath::to_owned).collect());
        // What is wrong with the place is told of the place that was named.
        self.open_at(url, true)?;
        made.0.extend(at.map(|at| [at.join(name), at.join(name).join("packs")]).into_iter().flatten());
        let root = self.open_at(&format!("{}/{name}", url.trim_end_matches('/')), true)?;
        Ok(Scratch { root, _made: made })
    }

    fn open_at(&self, url: &str, make: bool) -> Result<ObjectRoot> {
        check_url(url)?;
        let (scheme, rest) =
            url.split_once(':').filter(|(scheme, _)| scheme.len() > 1).ok_or_else(|| no_scheme(url))?;
        let (store, executor): (Arc<dyn ObjectStore>, Executor) = match scheme {
            "file" => (local(url, rest, make)?, Executor::Inline),
            "memory" => (self.memory(rest), Executor::Inline),
            "s3" | "az" | "gs" => (remote(url, self.patient(url))?, Executor::Runtime(self.runtime()?)),
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
        // What killed writers leave beside objects no listing shows.
        Ok(if scheme == "file" { root.in_folder(&resolved(folder(url, rest)?)) } else { root })
    }

    fn patient(&self, url: &str) -> Patient {
        let bucket = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let mut streaks = self.shared.streaks.lock().unwrap_or_else(PoisonError::into_inner);
        let streak = Arc::clone(streaks.entry(bucket).or_default());
        Patient::new(&without_secrets(url), self.patience.unwrap_or(PATIENCE), self.spread, streak)
    }

    fn memory(&self, name: &str) -> Arc<dyn ObjectStore> {
        let mut memory = self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let store: Arc<InMemory> = Arc::clone(memory.entry(name.to_owned()).or_default());
        store
    }

    /// The runtime that drives remote requests; started when the first remote store is opened.
    fn runtime(&self) -> Result<Arc<tokio::runtime::Runtime>> {
        let mut slot = self.shared.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*slot {
            return Ok(Arc::clone(runtime));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("deltic-store")
            .enable_all()
            .build()
            .map_err(|e| Error::unavailable("the threads for remote stores could not be started").because(&e))?;
        Ok(Arc::clone(slot.insert(Arc::new(runtime))))
    }
}

fn no_scheme(url: &str) -> Error {
    if url.is_empty() {
        return Error::invalid("a catalog URL is empty; expected for example `file:data/in`");
    }
    let url = without_secrets(url);
    Error::invalid(format!("`{url}` is not a catalog URL: it has no scheme; for a folder write `file:{url}`"))
}

fn local(url: &str, rest: &str, make: bool) -> Result<Arc<dyn ObjectStore>> {
    let folder = folder(url, rest)?;
    match must_be_there(url, &folder) {
        Err(error) if make && *error.kind() == ErrorKind::NotFound => std::fs::create_dir_all(&folder)
            .map_err(|e| Error::unavailable(format!("{url}: the folder could not be made")).because(&e))?,
        there => there?,
    }
    refuse_links(url, &folder)?;
    let store = LocalFileSystem::new_with_prefix(&folder)
        .map_err(|e| Error::unavailable(format!("{url}: the folder could not be opened")).because(&e))?;
    let store = store.with_fsync(true);
    #[cfg(unix)]
    let store = crate::backend::local::LocalStore::new(store, resolved(folder));
    Ok(Arc::new(store))
}

/// Refuses what is no folder. Only of a path that leads to nothing it is said that there is none: one that can not be
/// walked to its end may lead to a catalog.
fn must_be_there(url: &str, folder: &FilePath) -> Result<()> {
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Error::invalid(format!("{url}: this is a file, and no folder; a catalog is a folder"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(match std::fs::symlink_metadata(folder) {
            Ok(_) => Error::unavailable(format!("{url}: this is a link that leads nowhere")),
            Err(_) => Error::not_found(format!(
                "{url}: there is no such folder; create the catalog with `deltic init {url} --layer …`"
            )),
        }),
        Err(error) => Err(Error::unavailable(format!("{url}: the folder can not be reached")).because(&error)),
    }
}

/// A folder to try things in. What is put there has to be removed before this is dropped, which removes the folder and
/// those above it that were made for it.
pub(crate) struct Scratch {
    pub(crate) root: ObjectRoot,
    _made: Made,
}

/// Folders that go again when this is dropped, if nothing is in them; outer ones first.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            if let Err(error) = std::fs::remove_dir(folder) {
                tracing::debug!(%error, folder = %folder.display(), "a folder stays behind");
            }
        }
    }
}

/// The folders that have to be made for a path, outer ones first.
fn missing(path: &FilePath) -> Vec<&FilePath> {
    let is_missing = |folder: &&FilePath| !folder.as_os_str().is_empty() && std::fs::symlink_metadata(folder).is_err();
    let mut missing: Vec<&FilePath> = path.ancestors().take_while(is_missing).collect();
    missing.reverse();
    missing
}

/// A folder as the store resolves it: what the process does to its working directory later must not matter.
fn resolved(folder: PathBuf) -> PathBuf {
    folder.canonicalize().unwrap_or(folder)
}

/// Refuses a catalog whose own folders are links: what is swept there would be another's.
fn refuse_links(url: &str, folder: &FilePath) -> Result<()> {
    for part in PARTS {
        if std::fs::symlink_metadata(folder.join(part)).is_ok_and(|found| found.is_symlink()) {
            return Err(Error::invalid(format!(
                "{url}: `{part}` is a symbolic link, so that objects of the catalog would lie elsewhere; move the whole \
                 catalog, and let the link lead to it"
            )));
        }
    }
    Ok(())
}

/// The folder of a `file:` URL: `file:relative` and `file:/absolute` are taken as they stand, `file:///absolute` by
/// the rules of URLs (`%20` is a space).
fn folder(url: &str, rest: &str) -> Result<PathBuf> {
    let bad =
        || Error::invalid(format!("`{url}` names no folder; expected `file:relative/folder` or `file:///absolute`"));
    if rest.is_empty() {
        return Err(bad());
    }
    if rest.starts_with("//") {
        let parsed = Url::parse(url).map_err(|_| bad())?;
        return parsed.to_file_path().map_err(|()| bad());
    }
    // Only shells know homes, and they look for none within a word.
    if let Some(home) = rest.strip_prefix('~') {
        let meant = if home.is_empty() || home.starts_with('/') {
            format!("for your home folder write `file:$HOME{home}`, and for a folder that is called so `file:./{rest}`")
        } else {
            format!("for a folder that is called so write `file:./{rest}`, and for somebody's home folder its path")
        };
        return Err(Error::invalid(format!("`{url}`: `~` stands for no home folder here; {meant}")));
    }
    Ok(PathBuf::from(rest))
}

fn remote(url: &str, patient: Patient) -> Result<Arc<dyn ObjectStore>> {
    let parsed = parse_checked(url)?;
    let Some(bucket) = parsed.host_str().filter(|host| !host.is_empty()) else {
        return Err(Error::invalid(format!("`{url}` names no bucket; expected for example `s3://bucket/folder`")));
    };
    let prefix = object_store::path::Path::from_url_path(parsed.path())
        .map_err(|e| Error::invalid(format!("`{url}`: the path is not usable")).because(&e))?;
    let scheme = parsed.scheme();
    environment::check(scheme).map_err(|wrong| Error::invalid(format!("{url}: {wrong}")))?;
    let settings = match scheme {
        "s3" => environment::s3_settings().map_err(|wrong| Error::invalid(format!("{url}: {wrong}")))?,
        _ => Vec::new(),
    };
    let named = settings.iter().map(|(key, value)| (key.as_ref().to_ascii_uppercase(), value.clone()));
    let secrets = Secrets::with_environment(named.collect());
    let failed = |error: &str, alone: &dyn Fn(&str, &str) -> Option<String>| {
        let cause = secrets.hide(error).into_owned();
        let name = environment::culprit(scheme, error, alone);
        let what = name.map_or("check the environment".to_owned(), |name| format!("check {name} in the environment"));
        Error::invalid(format!("{url}: the store could not be set up; {what}")).because(&cause)
    };
    let retry = RetryConfig {
        max_retries: RETRIES.0,
        retry_timeout: RETRIES.1,
        backoff: BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() },
    };
    match scheme {
        "s3" => {
            let trusted = environment::s3_certificates().map_err(|wrong| Error::invalid(format!("{url}: {wrong}")))?;
            let options = trusted.into_iter().fold(ClientOptions::default(), ClientOptions::with_root_certificate);
            let builder = AmazonS3Builder::new().with_client_options(options);
            let builder = settings.into_iter().fold(builder, |builder, (key, value)| builder.with_config(key, value));
            let builder = builder.with_bucket_name(bucket).with_retry(retry).with_http_connector(patient);
            let builder = builder.with_conditional_put(S3ConditionalPut::ETagMatch);
            let alone = |name: &str, value: &str| {
                let builder = AmazonS3Builder::new().with_bucket_name(bucket).with_config(name.parse().ok()?, value);
                built(|| builder.build()).err()
            };
            let store = built(|| builder.build()).map_err(|error| failed(&error, &alone))?;
            Ok(prefixed(Redacted::new(store, secrets.clone()).passing_over_foreign_names(), prefix))
        }
        "az" => {
            let builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_retry(retry)
                .with_http_connector(patient);
            let alone = |name: &str, value: &str| {
                let builder = MicrosoftAzureBuilder::new().with_container_name(bucket).with_account("account");
                let builder = builder.with_config(name.parse().ok()?, value);
                built(|| builder.build()).err()
            };
            let store = built(|| builder.build()).map_err(|error| failed(&error, &alone))?;
            Ok(prefixed(Redacted::new(store, secrets.clone()).passing_over_foreign_names(), prefix))
        }
        _ => {
            let builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_retry(retry)
                .with_http_connector(patient);
            let alone = |name: &str, value: &str| {
                let builder = GoogleCloudStorageBuilder::new().with_bucket_name(bucket);
                let builder = builder.with_config(name.parse().ok()?, value);
                built(|| builder.build()).err()
            };
            let store = built(|| builder.build()).map_err(|error| failed(&error, &alone))?;
            Ok(prefixed(Redacted::new(store, secrets.clone()).passing_over_foreign_names(), prefix))
        }
    }
}

/// Makes a client; what it does not bear is an error too, not a panic.
fn built<S>(build: impl FnOnce() -> object_store::Result<S>) -> std::result::Result<S, String> {
    match catch_unwind(AssertUnwindSafe(build)) {
        Ok(built) => built.map_err(|error| error.to_string()),
        Err(_) => Err("the client panicked".to_owned()),
    }
}

fn prefixed<S: ObjectStore>(store: S, prefix: object_store::path::Path) -> Arc<dyn ObjectStore> {
    if prefix.as_ref().is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogs_of_a_bucket_are_throttled_together() {
        let stores = Stores::new();
        let streak = |stores: &Stores, url| stores.patient(url).streak();
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
    fn bad_urls_say_what_is_expected() {
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
    fn folders_are_found_by_both_notations() {
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
