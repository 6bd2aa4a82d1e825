//! What operations may cost, in requests and bytes. A regression of performance is a failing test.

use deltic_core::{Payload, RunId};
use deltic_store::testing::{Operation, RequestLog, Rounds};
use deltic_store::{Catalog, Draft, DraftOptions, ErrorKind, KeyRange, Stores, Tree};

use crate::support::{
    Model, Ops, advance, begin, build, changes, commit, create, edit, in_memory, names, numbered, puts, version,
};

const ENTRIES: u32 = 100_000;
const URL: &str = "memory:x";

/// A catalog with 100,000 entries whose payloads lie in packs, and the stores that log what is asked of it.
fn big() -> (Stores, RequestLog) {
    let log = RequestLog::new();
    let stores = Stores::new().with_wrapper(log.wrapper());
    let catalog = create(&stores, URL);
    let draft =
        Draft::begin(&catalog.latest().unwrap(), RunId(7), DraftOptions { inline_bytes: 0, ..DraftOptions::default() });
    let tree = build(&draft, &numbered(0..ENTRIES, 0));
    commit(draft, &tree);
    log.take();
    (stores, log)
}

fn open(stores: &Stores) -> Tree {
    names(&Catalog::open(stores, URL).unwrap().latest().unwrap())
}

#[test]
fn opening_reading_and_changing_one_of_many() {
    let (stores, log) = big();
    let catalog = Catalog::open(&stores, URL).unwrap();
    let base = catalog.latest().unwrap();
    assert_eq!(log.take().len(), 3, "the hint, the version after it, the version");
    let old = names(&base);
    let levels = usize::from(old.root().level) + 1;
    assert!(levels <= 4);

    let entry = old.get(b"050000").unwrap().unwrap();
    assert_eq!(log.take().len(), levels, "one request a level");
    assert!(old.get(b"absent").unwrap().is_none());
    log.take();
    assert!(old.get(b"050001").unwrap().is_some());
    assert_eq!(log.take().len(), 0, "the path is cached");
    old.read(&entry).unwrap();
    let payload = log.take();
    assert_eq!((payload.len(), payload[0].bytes), (1, entry.meta.len), "nothing besides the payload's own bytes");

    let other = Catalog::open(&stores, URL).unwrap();
    let base = other.latest().unwrap();
    log.take();
    let draft = begin(&base, 8);
    let new = edit(&draft, &names(&base), &Ops::from([(b"070000".to_vec(), Some(vec![1; 5000]))])).unwrap();
    let snapshot = commit(draft, &new);
    assert!(log.count(Operation::Get) <= levels, "the path to the key is read once");
    assert_eq!((log.count(Operation::Put), log.count(Operation::Create)), (2, 1), "a pack and the hint; the record");
    let written = log.bytes(Operation::Put) + log.bytes(Operation::Create);
    assert!(written <= 5000 + 64 * 1024, "{written} bytes written");
    log.take();

    let catalog = Catalog::open(&stores, URL).unwrap();
    let (before, after) = (names(&catalog.snapshot(base.version()).unwrap()), names(&snapshot));
    log.take();
    let found = changes(&before, &after);
    assert_eq!(found.len(), 1);
    assert!(log.take().len() <= 2 * levels, "only nodes on the two paths differ");
    assert!(changes(&after, &after).is_empty());
    assert_eq!(log.take().len(), 0, "equal roots need no look");
}

/// Scattered changes: the nodes they touch are asked for a level at a time, not one by one.
#[test]
fn changing_some_of_many() {
    let (stores, log) = big();
    let base = Catalog::open(&stores, URL).unwrap().latest().unwrap();
    log.take();
    let draft = begin(&base, 8);
    let ops: Ops = (0..100).map(|n| (format!("{:06}", n * 990).into_bytes(), Some(vec![1; 10]))).collect();
    let new = edit(&draft, &names(&base), &ops).unwrap();
    let gets = log.count(Operation::Get);
    assert!(gets <= 120, "{gets} requests for 100 leaves and what is above");
    let snapshot = commit(draft, &new);
    assert_eq!(changes(&names(&base), &names(&snapshot)).len(), 100);
    let pack = snapshot.record().packs.bytes;
    assert!(pack <= 100 * 16 * 1024, "{pack} bytes for 100 changes");
}

#[test]
fn counting_and_scanning() {
    let (stores, log) = big();
    let tree = open(&stores);
    log.take();
    assert_eq!(tree.count_in(&KeyRange::prefix(b"01")).unwrap(), 10_000);
    assert!(log.take().len() <= 8, "two paths");
    assert!(tree.nth(77_777).unwrap().is_some());
    log.take();

    let tree = open(&stores);
    log.take();
    assert_eq!(tree.scan(KeyRange::prefix(b"05000")).count(), 10);
    assert!(log.take().len() <= 6, "a short scan reads little more than a look-up");
    assert_eq!(tree.scan(KeyRange::all()).count(), ENTRIES as usize);
    let scan = log.take();
    assert!(scan.len() <= 60, "{} requests for 1,600 leaves", scan.len());

    let entries: Vec<_> = tree.scan(KeyRange::prefix(b"03")).map(|item| item.unwrap().1).collect();
    log.take();
    let payloads: Vec<Payload> = tree.read_all(&entries).unwrap();
    assert_eq!(payloads.len(), 10_000);
    assert!(log.take().len() <= 2, "neighbours are read together");
}

#[test]
fn a_build_uploads_packs_of_the_size_asked_for() {
    let log = RequestLog::new();
    let stores = Stores::new().with_wrapper(log.wrapper());
    let base = create(&stores, URL).latest().unwrap();
    log.take();
    let options = DraftOptions { pack_bytes: 1 << 20, ..DraftOptions::default() };
    let draft = Draft::begin(&base, RunId(7), options);
    let model: Model = (0..2000u32).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; 4800])).collect();
    let tree = build(&draft, &model);
    commit(draft, &tree);
    // 9.6 MB of payloads; a record and a hint.
    assert!((10..=13).contains(&(log.count(Operation::Put) + log.count(Operation::Create))));
    assert_eq!(log.count(Operation::Get), 0, "a build from nothing reads nothing");
    assert_eq!(log.count(Operation::List), 0);
}

/// What waits for what where each request takes a round trip.
#[test]
fn what_can_be_asked_together_is() {
    let rounds = Rounds::new();
    let stores = Stores::new().with_wrapper(rounds.wrapper());
    let urls = ["s3://one/", "s3://two/"];
    for url in urls {
        let catalog = create(&stores, url);
        advance(&catalog, 7, &puts(&numbered(0..20_000, 0)));
        let draft = begin(&catalog.latest().unwrap(), 8);
        let new = edit(&draft, &names(draft.base()), &Ops::from([(b"010000".to_vec(), Some(vec![1]))])).unwrap();
        rounds.take();
        commit(draft, &new);
        assert_eq!(rounds.take(), (3, 2), "a pack; then the record and the hint");
    }
    let [one, two] = urls.map(|url| Catalog::open(&stores, url).unwrap());

    let latest = Catalog::snapshots(&[(&one, None), (&two, None)], &[]);
    let now: Vec<Tree> = latest.into_iter().map(|found| names(&found.unwrap())).collect();
    assert_eq!(rounds.take(), (6, 2), "both hints; then the versions after them and the versions");
    let wanted = [(&one, Some(version(1))), (&two, Some(version(9))), (&two, Some(version(1)))];
    let found = Catalog::snapshots(&wanted, &now);
    assert_eq!(rounds.take(), (5, 1), "three records and two roots");
    assert_eq!(*found[1].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    for (found, now) in [(&found[0], &now[0]), (&found[2], &now[1])] {
        let before = names(found.as_ref().unwrap());
        assert_eq!(changes(&before, now).len(), 1);
        let levels = usize::from(before.root().level) + 1;
        assert_eq!(rounds.take(), (2 * levels - 1, levels), "both sides of a level, but the root that is read already");
    }
    assert!(Catalog::snapshots(&[], &[]).is_empty());
}

/// A log is read ahead: a long one takes few round trips, and the head of one few requests.
#[test]
fn a_log_is_read_ahead() {
    const LATEST: u64 = 200;
    let rounds = Rounds::new();
    let stores = Stores::new().with_wrapper(rounds.wrapper());
    let catalog = create(&stores, "s3://x");
    (1..=LATEST).for_each(|run| drop(advance(&catalog, run, &puts(&numbered(0..1, run as u32)))));
    let log = |count: usize| {
        let catalog = Catalog::open(&stores, "s3://x").unwrap();
        rounds.take();
        let versions: Vec<u64> = catalog.log().take(count).map(|found| found.unwrap().version().0).collect();
        assert_eq!(versions, (0..=LATEST).rev().take(count).collect::<Vec<_>>());
        rounds.take()
    };
    let (requests, one_after_another) = log(usize::MAX);
    assert!(requests <= LATEST as usize + 5 && one_after_another <= 14, "{requests}, {one_after_another}");
    let (requests, one_after_another) = log(1);
    assert!(requests <= 4 && one_after_another <= 3, "{requests}, {one_after_another}");
    let (requests, one_after_another) = log(10);
    assert!(requests <= 20 && one_after_another <= 7, "{requests}, {one_after_another}");
}

/// Keys that cut a tree are found above its leaves, a level at a time.
#[test]
fn a_tree_is_cut_into_equal_parts() {
    let (stores, log) = big();
    let keys: Vec<Vec<u8>> = numbered(0..ENTRIES, 0).into_keys().collect();
    let leaves = ENTRIES as usize / 64;
    for (parts, requests) in [(0, 0), (1, 0), (2, 2), (7, 7), (16, 20), (300, 315), (4000, leaves + 200)] {
        let tree = open(&stores);
        assert_eq!(tree.root().level, 2);
        log.take();
        let cuts = tree.split_keys(parts).unwrap();
        let made = log.count(Operation::Get);
        assert!(made <= requests, "{made} requests for {parts} parts");
        assert_eq!(cuts.len(), parts.saturating_sub(1));
        let mut ranks: Vec<usize> =
            cuts.iter().map(|cut| keys.binary_search_by(|key| key[..].cmp(cut)).unwrap() + 1).collect();
        ranks.extend([0, keys.len()]);
        ranks.sort_unstable();
        let share = keys.len() as f64 / parts.max(1) as f64;
        for range in ranks.windows(2) {
            let off = (range[1] - range[0]) as f64 / share;
            assert!((off - 1.0).abs() <= 1.0 / 16.0 + 1.0 / share, "{off} of a share with {parts} parts");
        }
    }
    let few = begin(&in_memory().latest().unwrap(), 7);
    assert!(few.empty_tree().split_keys(5).unwrap().is_empty());
    let three = build(&few, &numbered(0..3, 0)).split_keys(100).unwrap();
    assert!(three.len() <= 3 && three.is_sorted(), "{three:?}");
}

/// However many parts are asked for, there are no more than entries.
#[test]
fn a_tree_is_cut_into_no_more_parts_than_entries() {
    let draft = begin(&in_memory().latest().unwrap(), 7);
    assert!(draft.empty_tree().split_keys(usize::MAX).unwrap().is_empty());
    for count in [1, 3, 500] {
        let tree = build(&draft, &numbered(0..count, 0));
        let all = tree.split_keys(count as usize).unwrap();
        assert_eq!(all.len(), count as usize - 1);
        for parts in [count as usize + 1, 1 << 40, usize::MAX] {
            assert_eq!(tree.split_keys(parts).unwrap(), all, "{parts} parts of {count}");
        }
    }
}
