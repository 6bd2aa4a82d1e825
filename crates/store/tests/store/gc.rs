//! The sweeper: what it removes and what it must not, what it costs, and that it may be overtaken or die at any point.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deltic_core::{RunId, Timestamp};
use deltic_store::testing::{Fault, Operation, RequestLog, faults};
use deltic_store::{Catalog, Draft, DraftOptions, Error, ErrorKind, KeyRange, ObjectName, Retention, Stores, Tree};
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use crate::support::{
    Model, Ops, advance, commit, content, create, edit, names, next, numbered, objects, puts, remove, tampered, version,
};

const URL: &str = "memory:x";

fn keep(catalog: &Catalog, versions: &[u64]) {
    let rules = Retention { keep: versions.iter().copied().map(version).collect(), ..Retention::default() };
    let run = RunId(5000 + catalog.latest().unwrap().version().0);
    catalog.retain(&rules, run, Timestamp(0), false).unwrap();
}

fn packs(store: &InMemory) -> BTreeSet<String> {
    objects(store).into_keys().filter(|object| object.starts_with("packs/")).collect()
}

/// Values of their own pack: too long to be inline.
fn long(range: std::ops::Range<u32>, edition: u32) -> Model {
    range.map(|n| (format!("{n:06}").into_bytes(), format!("{n:>100} {edition:>100}").into_bytes())).collect()
}

/// Versions 1 to 4, each replacing all payloads but the first twenty, and what each holds.
fn four(catalog: &Catalog) -> Vec<Model> {
    let mut all = vec![Model::new()];
    for number in 0..4u32 {
        let ops = puts(&long(number.min(1) * 20..200, number));
        all.push(content(&names(&advance(catalog, 100 + u64::from(number), &ops))));
    }
    all
}

#[test]
fn packs_that_only_expired_versions_need_are_removed() {
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    let all = four(&catalog);
    let before = packs(&store);
    let nothing = catalog.gc(false).unwrap();
    assert_eq!((nothing.removed.count, packs(&store)), (0, before.clone()), "all versions are retained");
    keep(&catalog, &[3]);
    let would = catalog.gc(true).unwrap();
    assert_eq!(packs(&store), before, "a dry run removes nothing");
    let old = Catalog::open(&stores, URL)
        .unwrap()
        .log()
        .find(|found| found.as_ref().unwrap().version() == version(2))
        .unwrap()
        .unwrap();
    let done = catalog.gc(false).unwrap();
    assert_eq!(would, done);
    assert!(done.removed.count > 0 && done.removed.bytes > 0 && done.undecided.count == 0);
    assert_eq!(packs(&store).len() as u64, done.needed.count);
    assert_eq!((before.len() as u64, done.retained), (done.needed.count + done.removed.count, 3));
    let fresh = Catalog::open(&stores, URL).unwrap();
    for number in [3, 4, 5] {
        let found = content(&names(&fresh.snapshot(version(number)).unwrap()));
        assert_eq!(found, all[number.min(4) as usize], "version {number}");
    }
    // Whoever still holds an expired version is told so, and never gets wrong data.
    let error = first_error(&names(&old)).expect("an expired version whose packs are gone was read whole");
    assert_eq!(*error.kind(), ErrorKind::Expired, "{error}");
    assert!(error.to_string().contains("3-5"), "{error}");
    assert_eq!(catalog.gc(false).unwrap().removed.count, 0, "there is nothing left to do");
}

/// The first error of reading all that a tree holds, metadata and payloads.
fn first_error(tree: &Tree) -> Option<Error> {
    tree.scan(KeyRange::all()).find_map(|item| item.and_then(|(_, entry)| tree.read(&entry)).err())
}

#[test]
fn what_a_run_left_is_removed_once_it_can_not_commit() {
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    let all = four(&catalog);
    // A run that died: its packs are uploaded, its record is not.
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(66), DraftOptions { pack_bytes: 1000, ..DraftOptions::default() });
    let tree = edit(&draft, &names(&base), &puts(&long(0..30, 9))).unwrap();
    let left: BTreeSet<String> = packs(&store).into_iter().filter(|pack| pack.contains("0042-")).collect();
    assert!(left.len() > 2, "{left:?}");
    let found = catalog.gc(false).unwrap();
    assert_eq!((found.removed.count, found.undecided.count), (0, left.len() as u64), "it may be alive");
    assert!(left.is_subset(&packs(&store)));
    // Another run takes the version: now it can not commit, alive or not.
    advance(&catalog, 67, &Ops::from([(b"x".to_vec(), Some(vec![1]))]));
    let found = catalog.gc(false).unwrap();
    assert_eq!((found.removed.count, found.undecided.count), (left.len() as u64, 0));
    assert!(left.is_disjoint(&packs(&store)));
    assert!(matches!(draft.commit(next(&tree)).unwrap_err().kind(), ErrorKind::Conflict { .. }));
    assert_eq!(content(&names(&catalog.snapshot(version(4)).unwrap())), all[4]);
    // The packs that the loser uploaded at its commit go next.
    assert!(catalog.gc(false).unwrap().removed.count > 0);
}

#[test]
fn a_run_that_is_at_work_during_a_sweep_commits() {
    let (_, stores) = tampered();
    let catalog = create(&stores, URL);
    four(&catalog);
    keep(&catalog, &[4]);
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(66), DraftOptions { pack_bytes: 1000, ..DraftOptions::default() });
    let tree = edit(&draft, &names(&base), &puts(&long(0..30, 9))).unwrap();
    assert!(Catalog::open(&stores, URL).unwrap().gc(false).unwrap().removed.count > 0);
    let made = commit(draft, &tree);
    Catalog::open(&stores, URL).unwrap().gc(false).unwrap();
    let read = Catalog::open(&stores, URL).unwrap().snapshot(made.version()).unwrap();
    assert_eq!(content(&names(&read))[&b"000007"[..]], long(7..8, 9)[&b"000007"[..]]);
}

/// Every request of a sweep fails in turn: what is retained stays whole, and doing it again completes it.
#[test]
fn a_sweep_that_is_cut_off_anywhere_is_completed_by_the_next() {
    for broken in 0.. {
        let (store, plain) = tampered();
        let catalog = create(&plain, URL);
        let all = four(&catalog);
        keep(&catalog, &[4]);
        let seen = Arc::new(AtomicUsize::new(0));
        let (counter, shared) = (Arc::clone(&seen), Arc::clone(&store));
        let fail = faults(
            move |_, _| {
                if counter.fetch_add(1, Ordering::Relaxed) >= broken { Fault::Before } else { Fault::None }
            },
        );
        let stores =
            Stores::new().with_wrapper(move |_| fail(Arc::clone(&shared) as Arc<dyn object_store::ObjectStore>));
        let first = Catalog::open(&stores, URL).unwrap().gc(false);
        let check = || {
            let fresh = Catalog::open(&plain, URL).unwrap();
            assert_eq!(
                content(&names(&fresh.snapshot(version(4)).unwrap())),
                all[4],
                "broken from request {broken} on"
            );
        };
        check();
        let second = Catalog::open(&plain, URL).unwrap().gc(false).unwrap();
        check();
        assert_eq!(packs(&store).len() as u64, second.needed.count);
        if let Ok(first) = first {
            assert!(broken > 8 && first.removed.count > 0 && second.removed.count == 0);
            break;
        }
        assert_eq!(*first.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}

/// A sweeper that is overtaken by retention and another sweep while it marks begins again.
#[test]
fn a_sweep_that_is_overtaken_begins_again() {
    let (store, plain) = tampered();
    let catalog = create(&plain, URL);
    four(&catalog);
    let (seen, shared, overtaker) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&store), plain.clone());
    let stall = faults(move |operation, object| {
        // The sweeper has read its records and begins to mark.
        if operation == Operation::Get && object.starts_with("packs/") && seen.fetch_add(1, Ordering::Relaxed) == 0 {
            let stores = overtaker.clone();
            let other = std::thread::spawn(move || {
                let catalog = Catalog::open(&stores, URL).unwrap();
                keep(&catalog, &[4]);
                assert!(catalog.gc(false).unwrap().removed.count > 0);
            });
            other.join().unwrap();
        }
        Fault::None
    });
    let stores = Stores::new().with_wrapper(move |_| stall(Arc::clone(&shared) as Arc<dyn object_store::ObjectStore>));
    let done = Catalog::open(&stores, URL).unwrap().gc(false).unwrap();
    assert_eq!((done.version, done.removed.count), (version(5), 0));
}

#[test]
fn damage_stops_a_sweep_before_anything_is_removed() {
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    four(&catalog);
    keep(&catalog, &[3, 4]);
    let needed = catalog.snapshot(version(3)).unwrap().listed_packs().unwrap()[0].name;
    remove(&store, &ObjectName::Pack(needed).to_string());
    let before = packs(&store);
    let error = Catalog::open(&stores, URL).unwrap().gc(false).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt { object: ObjectName::Pack(needed).to_string() });
    assert_eq!(packs(&store), before);
}

/// Marking costs one version, and for every other one only what differs.
#[test]
fn cost_follows_what_differs_between_versions() {
    let log = RequestLog::new();
    let stores = Stores::new().with_wrapper(log.wrapper());
    let catalog = create(&stores, URL);
    advance(&catalog, 100, &puts(&numbered(0..50_000, 0)));
    let cost = || {
        let catalog = Catalog::open(&stores, URL).unwrap();
        log.take();
        catalog.gc(false).unwrap();
        (log.count(Operation::Get), log.bytes(Operation::Get))
    };
    let (gets, bytes) = cost();
    for number in 0..20u32 {
        advance(&catalog, 200 + u64::from(number), &puts(&numbered(number * 2000..number * 2000 + 1, 1)));
    }
    let (gets_after, bytes_after) = cost();
    let (more, more_bytes) = (gets_after - gets, bytes_after - bytes);
    // A record, and the path to what changed on both sides.
    assert!(more <= 20 * 8, "{more} more requests for 20 versions of one change each, after {gets} for the first");
    assert!(more_bytes <= 20 * 64 * 1024 && more_bytes < 2 * bytes, "{more_bytes} more bytes after {bytes}");
}

/// What killed writers leave in a folder: as `object_store` names it, and removed by the base in the name.
#[test]
fn what_killed_writers_left_half_written_is_removed_once_it_can_come_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    let catalog = create(&Stores::new(), &url);
    let all = four(&catalog);
    let (dead, alive) = ("000000000000000", "0000000000000042-0000");
    let left = |object: String| {
        // The file of an upload that was begun and not ended, by the store itself.
        let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        let mut upload = futures::executor::block_on(store.put_multipart(&object.as_str().into())).unwrap();
        futures::executor::block_on(upload.put_part(vec![7; 10].into())).unwrap();
        std::mem::forget(upload);
    };
    for base in 0..=5 {
        for part in ["packs", "progress"] {
            left(format!("{part}/{dead}{base}-{alive}"));
        }
        left(format!("versions/{base:020}"));
    }
    for object in ["versions/latest", "catalog.json", "probe-0000000000000042", "packs/others"] {
        left(object.to_owned());
    }
    let unfinished = || -> BTreeSet<String> {
        ["", "packs", "progress", "versions"]
            .iter()
            .flat_map(|part| std::fs::read_dir(folder.path().join(part)).unwrap())
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|file| file.contains('#'))
            .collect()
    };
    // Those of packs and progress have one name.
    assert_eq!(unfinished().len(), 6 + 6 + 4);
    let would = catalog.gc(true).unwrap();
    assert_eq!(unfinished().len(), 6 + 6 + 4, "a dry run removes nothing");
    let done = catalog.gc(false).unwrap();
    assert_eq!(done, would);
    // The latest version is 4: bases 0 to 3, versions 0 to 4, and what no version depends on.
    assert_eq!((done.unfinished_removed.count, done.unfinished_removed.bytes), (4 + 4 + 5 + 3, 160));
    assert_eq!((done.unfinished_kept.count, done.unfinished_kept.bytes), (2 + 2 + 1, 50));
    let kept =
        [format!("{dead}4-{alive}#1"), format!("{dead}5-{alive}#1"), format!("{:020}#1", 5), "others#1".to_owned()];
    assert_eq!(unfinished(), BTreeSet::from(kept));
    assert_eq!((done.removed.count, done.undecided.count, done.progress_removed.count), (0, 0, 0));
    // A run goes on over what is left, and then that is removed as well.
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(5), DraftOptions::default());
    let tree = edit(&draft, &names(&base), &puts(&long(0..3, 9))).unwrap();
    commit(draft, &tree);
    let done = catalog.gc(false).unwrap();
    assert_eq!((done.unfinished_removed.count, done.unfinished_kept.count), (3, 2));
    let fresh = Catalog::open(&Stores::new(), &url).unwrap();
    assert_eq!(content(&names(&fresh.snapshot(version(4)).unwrap())), all[4]);
    assert!(fresh.fsck(true).unwrap().damage.is_empty());
}
