//! The check of a store's habits: a good one passes, each bad habit is found by name, and nothing stays behind.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deltic_core::RunId;
use deltic_store::testing::{Fault, each_as_get, faults};
use deltic_store::{Depth, Stores, doctor, doctor_store};
use futures::stream::{BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use crate::support::{objects, tampered};

/// A bad habit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Listings lack what was written last.
    ListsLate,
    /// What is removed stays.
    KeepsRemoved,
    /// Ranges begin one byte too early.
    ShiftsRanges,
    /// What was written first is read again.
    ReadsStale,
    /// Listings end where the first page does.
    ListsOnePage,
}

#[derive(Debug)]
struct Bad {
    inner: Arc<InMemory>,
    habit: Habit,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bad({:?})", self.habit)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Bad {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if self.habit == Habit::ReadsStale && self.inner.head(location).await.is_ok() {
            let aside = Path::from(format!("aside/{location}"));
            return self.inner.put_opts(&aside, payload, options).await;
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, mut options: GetOptions) -> Result<GetResult> {
        if let (Habit::ShiftsRanges, Some(GetRange::Bounded(range))) = (self.habit, &mut options.range)
            && range.start > 0
        {
            *range = Range { start: range.start - 1, end: range.end - 1 };
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        each_as_get(self, location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        if self.habit == Habit::KeepsRemoved { locations } else { self.inner.delete_stream(locations) }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.inner.list(prefix);
        match self.habit {
            Habit::ListsLate => listed.skip(1).boxed(),
            Habit::ListsOnePage => listed.take(1000).boxed(),
            _ => listed,
        }
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.inner.list_with_offset(prefix, offset);
        match self.habit {
            Habit::ListsLate => listed.skip(1).boxed(),
            Habit::ListsOnePage => listed.take(1000).boxed(),
            _ => listed,
        }
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

/// The names of the checks that found something.
fn problems(stores: &Stores, url: &str) -> Vec<&'static str> {
    let found = doctor(stores, url, RunId(5), Depth::Brief).unwrap();
    assert!(found.len() >= 8);
    found.into_iter().filter(|one| one.problem.is_some()).map(|one| one.name).collect()
}

#[test]
fn good_stores_pass_and_nothing_stays_behind() {
    let (store, stores) = tampered();
    assert!(problems(&stores, "memory:x").is_empty());
    assert!(objects(&store).is_empty(), "{:?}", objects(&store).keys());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine"), "stays").unwrap();
    let url = format!("file:{}", folder.path().display());
    assert!(problems(&Stores::new(), &url).is_empty());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine"]);
    assert!(problems(&Stores::new(), &format!("{url}/new/deep/er")).is_empty());
    assert!(!folder.path().join("new").exists(), "folders that were made for it go again");
}

#[test]
fn every_bad_habit_is_found_by_name() {
    let expected = [
        (Habit::ListsLate, "list after write"),
        (Habit::KeepsRemoved, "delete"),
        (Habit::ShiftsRanges, "ranges"),
        (Habit::ReadsStale, "overwrite"),
    ];
    for (habit, name) in expected {
        let inner = Arc::new(InMemory::new());
        let stores = Stores::new()
            .with_wrapper(move |_| Arc::new(Bad { inner: Arc::clone(&inner), habit }) as Arc<dyn ObjectStore>);
        assert!(problems(&stores, "memory:x").contains(&name), "{habit:?}");
    }
    let (_, stores) = tampered();
    let careless = stores.with_wrapper(faults(|_, _| Fault::IgnoreCondition));
    assert_eq!(problems(&careless, "memory:x"), ["create once", "one of many creates"]);
}

/// A store that a user has, and that no URL leads to.
#[test]
fn any_store_is_checked_by_the_suite() {
    let problems = |habit| {
        let inner = Arc::new(InMemory::new());
        let store: Arc<dyn ObjectStore> = match habit {
            Some(habit) => Arc::new(Bad { inner: Arc::clone(&inner), habit }),
            None => Arc::clone(&inner) as Arc<dyn ObjectStore>,
        };
        let found = doctor_store(store, RunId(5), Depth::Full).unwrap();
        assert!(found.len() >= 9);
        if !matches!(habit, Some(Habit::KeepsRemoved | Habit::ReadsStale)) {
            assert!(objects(&inner).is_empty(), "{habit:?} leaves {:?}", objects(&inner).keys());
        }
        found.into_iter().filter(|one| one.problem.is_some()).map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(problems(None), [""; 0]);
    assert_eq!(problems(Some(Habit::ListsOnePage)), ["many objects"]);
    assert_eq!(problems(Some(Habit::ShiftsRanges)), ["ranges"]);
}

/// A run that was killed leaves objects, and another job may check the same store.
#[test]
fn a_check_of_a_store_is_not_misled_by_others() {
    let store = Arc::new(InMemory::new());
    // What a run has written up to its end, where it is killed.
    let kept = Bad { inner: Arc::clone(&store), habit: Habit::KeepsRemoved };
    doctor_store(Arc::new(kept), RunId(5), Depth::Full).unwrap();
    assert!(!objects(&store).is_empty());
    let found = doctor_store(Arc::clone(&store) as _, RunId(6), Depth::Full).unwrap();
    let problems: Vec<_> = found.iter().filter(|one| one.problem.is_some()).collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_store_that_does_not_answer_is_a_finding() {
    let dead = Stores::new().with_wrapper(faults(|_, _| Fault::Before));
    let found = doctor(&dead, "memory:x", RunId(5), Depth::Full).unwrap();
    assert!(
        found.iter().all(|one| one.problem.as_ref().is_some_and(|problem| problem.contains("made to fail"))),
        "{found:?}"
    );
}
