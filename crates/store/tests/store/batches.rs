//! Every batch that work on a store is cut into is crossed here more than twice, so that work which ends with its first
//! batch shows. The table says which constant is crossed by which test.
//!
//! | constant | test |
//! |---|---|
//! | `walk::BATCH` | `walk::tests` beside it, `all_nodes_of_a_level_are_marked` |
//! | `fsck::tree::BATCH` | `all_nodes_of_a_level_are_checked` |
//! | `catalog::RECORDS_AHEAD` | `more_versions_than_are_read_together` |
//! | `root::listing::REMOVED_AT_ONCE` | `more_packs_than_are_removed_together` |
//! | `root::PARALLEL`, `packing::UPLOADS` | `more_packs_than_are_uploaded_together` |
//! | `draft::BATCH` | `more_operations_than_are_taken_together` |
//! | `tree::scan::MAX_AHEAD`, `PARENTS_AHEAD`, `tree::diff::MAX_AHEAD`, `REMOTE_AHEAD` | `more_nodes_than_are_read_ahead` |
//! | `source::REQUEST_BYTES` | `source::tests` beside it |
//! | `payload::PIECE_BYTES`, `fsck::pack::PIECE_BYTES` | `a_payload_of_more_than_two_pieces` |
//! | `repack::BATCH_BYTES` | `a_leaf_with_more_payloads_than_are_copied_together` |
//! | `latest::SINGLE_STEPS` | `more_versions_than_are_read_together` (a hint that is lost) |
//! | `local::OPEN_FILES` | `local::tests` beside it |

use std::io::Read;
use std::sync::Arc;

use deltic_core::{Digest, NameBytes, Payload, RunId, Timestamp};
use deltic_store::testing::with_shape;
use deltic_store::{
    Catalog, Draft, DraftOptions, Error, KeyRange, RepackOptions, Retention, Shape, Snapshot, Stores, Tree,
};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::support::{
    Model, Ops, advance, build, changes, commit, content, create, edit, names, numbered, objects, puts, remove,
    tampered, version, write,
};

const URL: &str = "memory:x";
/// Leaves of two entries, hundreds of them below one node.
const WIDE: Shape = Shape { leaf_bits: 1, inner_bits: 10 };
/// Leaves of two entries, 32 below one node, and 32 of these.
const DEEP: Shape = Shape { leaf_bits: 1, inner_bits: 5 };
/// Each payload and each node gets a pack of its own.
const APART: DraftOptions = DraftOptions { pack_bytes: 1, inline_bytes: 0, big_bytes: u64::MAX };

fn step(catalog: &Catalog, run: u64, options: DraftOptions, ops: &Ops) -> Snapshot {
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(run), options);
    let tree = edit(&draft, &names(&base), ops).unwrap();
    commit(draft, &tree)
}

/// Three versions of a wide tree: everything is new in the first and in the last, and one entry in the second.
fn wide(stores: &Stores) -> (Catalog, Vec<Model>) {
    let catalog = with_shape(&create(stores, URL), WIDE);
    let mut all = vec![Model::new()];
    let one = numbered(0..1, 7);
    for (run, ops) in [(7, numbered(0..600, 0)), (8, one), (9, numbered(0..600, 9))] {
        all.push(content(&names(&step(&catalog, run, APART, &puts(&ops)))));
    }
    (catalog, all)
}

fn reopened(stores: &Stores, shape: Shape) -> Catalog {
    with_shape(&Catalog::open(stores, URL).unwrap(), shape)
}

/// A sweep that does not look below all nodes of a level removes what lies below the others.
#[test]
fn all_nodes_of_a_level_are_marked() {
    let (_, stores) = tampered();
    let (_, all) = wide(&stores);
    let swept = reopened(&stores, WIDE).gc(false).unwrap();
    assert_eq!((swept.removed.count, swept.undecided.count), (0, 0), "all versions are retained");
    let fresh = reopened(&stores, WIDE);
    for number in 1..=3 {
        assert_eq!(content(&names(&fresh.snapshot(version(number)).unwrap())), all[number as usize]);
    }
    // The same where nothing but the first version needs them: the newest is walked in full.
    let (store, stores) = tampered();
    let catalog = with_shape(&create(&stores, URL), WIDE);
    step(&catalog, 7, APART, &puts(&numbered(0..600, 0)));
    step(&catalog, 8, APART, &puts(&numbered(0..1, 8)));
    let rules = Retention { last: Some(1), ..Retention::default() };
    catalog.retain(&rules, RunId(9), Timestamp(0), false).unwrap();
    let swept = reopened(&stores, WIDE).gc(false).unwrap();
    assert!((1..10).contains(&swept.removed.count), "one path and one payload: {swept:?}");
    assert_eq!(content(&names(&reopened(&stores, WIDE).latest().unwrap())).len(), 600);
    assert!(objects(&store).len() > 600);
}

#[test]
fn all_nodes_of_a_level_are_checked() {
    let (store, stores) = tampered();
    let catalog = with_shape(&create(&stores, URL), WIDE);
    // Where nodes lie together their bytes are easily found: each in a pack of its own, by its digest.
    let made = step(&catalog, 7, APART, &puts(&numbered(0..600, 0)));
    let found = reopened(&stores, WIDE).fsck(true).unwrap();
    assert_eq!((found.entries, found.payloads, found.damage.len()), (600, 600, 0), "{found:?}");
    assert!(found.nodes > 2 * 64);
    // Every 50th payload is gone: all of them are missed, wherever in the level their leaf is.
    let tree = names(&made);
    let gone: Vec<String> = tree
        .scan(KeyRange::all())
        .step_by(50)
        .map(|found| match found.unwrap().1.place {
            deltic_store::Place::Pack { pack, .. } => format!("packs/{pack}"),
            deltic_store::Place::Inline(_) => panic!("nothing lies inline"),
        })
        .collect();
    assert_eq!(gone.len(), 12);
    gone.iter().for_each(|pack| remove(&store, pack));
    let found = reopened(&stores, WIDE).fsck(false).unwrap();
    let mut missed: Vec<String> = found.damage.iter().map(|damage| damage.object.clone()).collect();
    missed.sort();
    assert_eq!(missed.len(), gone.len(), "{missed:?}");
}

/// 150 versions, each with a payload that no other one has.
#[test]
fn more_versions_than_are_read_together() {
    const VERSIONS: u64 = 150;
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    for number in 1..=VERSIONS {
        let value = format!("{number:>200}").into_bytes();
        step(&catalog, 100 + number, APART, &Ops::from([(b"one".to_vec(), Some(value))]));
    }
    let fresh = || Catalog::open(&stores, URL).unwrap();
    assert_eq!(fresh().log().count() as u64, VERSIONS + 1);
    let found = fresh().fsck(true).unwrap();
    assert_eq!((found.versions, found.retained, found.damage.len()), (VERSIONS + 1, VERSIONS + 1, 0));
    assert_eq!(found.payloads, VERSIONS, "each version has one");
    let swept = fresh().gc(false).unwrap();
    assert_eq!((swept.removed.count, swept.retained), (0, VERSIONS + 1));
    for number in [1, 2, 60, VERSIONS] {
        let names = content(&names(&fresh().snapshot(version(number)).unwrap()));
        assert_eq!(names[&b"one"[..]], format!("{number:>200}").into_bytes());
    }
    // The latest is found from a hint that is long out of date, and from none.
    for hint in [Some("1"), None] {
        match hint {
            Some(hint) => write(&store, "versions/latest", hint.to_owned()),
            None => remove(&store, "versions/latest"),
        }
        assert_eq!(fresh().latest().unwrap().version(), version(VERSIONS));
    }
    let rules = Retention { last: Some(140), ..Retention::default() };
    let kept = fresh().retain(&rules, RunId(9999), Timestamp(0), false).unwrap();
    assert_eq!(kept.expired, [(version(0), version(VERSIONS - 140))]);
}

/// What a run has left that died: more than a store removes in one request.
#[test]
fn more_packs_than_are_removed_together() {
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(7), APART);
    for number in 0..2100u32 {
        draft.put(&Payload::new(number.to_be_bytes().to_vec())).unwrap();
    }
    drop(draft);
    advance(&catalog, 8, &puts(&numbered(0..1, 0)));
    let swept = Catalog::open(&stores, URL).unwrap().gc(false).unwrap();
    assert_eq!(swept.removed.count, 2100);
    let left = objects(&store).into_keys().filter(|object| object.starts_with("packs/")).count();
    assert_eq!(left as u64, swept.needed.count);
}

/// Stores as those of a remote catalog, where several requests are under way.
fn remote() -> Stores {
    let store = Arc::new(InMemory::new());
    Stores::new().with_wrapper(move |_| Arc::clone(&store) as Arc<dyn ObjectStore>)
}

#[test]
fn more_packs_than_are_uploaded_together() {
    let stores = remote();
    let catalog = create(&stores, "s3://x/");
    // Uploaded beside the work, then by the commit.
    for (run, options) in [(7, APART), (8, DraftOptions { pack_bytes: 1 << 30, ..APART })] {
        let model = numbered(0..300, run as u32);
        let base = catalog.latest().unwrap();
        let draft = Draft::begin(&base, RunId(run), options);
        let tree = build(&draft, &model);
        let made = commit(draft, &tree);
        let fresh = Catalog::open(&stores, "s3://x/").unwrap();
        assert_eq!(content(&names(&fresh.latest().unwrap())), model);
        assert_eq!(made.record().packs.count > 300, run == 7);
        let entries: Vec<_> = tree.scan(KeyRange::all()).map(|found| found.unwrap().1).collect();
        assert_eq!(names(&fresh.latest().unwrap()).read_all(&entries).unwrap().len(), 300);
    }
}

#[test]
fn more_operations_than_are_taken_together() {
    let (_, stores) = tampered();
    let catalog = create(&stores, URL);
    let made = advance(&catalog, 7, &puts(&numbered(0..600, 0)));
    assert_eq!(content(&names(&made)), numbered(0..600, 0));
    let gone: Ops = numbered(10..590, 0).into_keys().map(|key| (key, None)).collect();
    assert_eq!(content(&names(&advance(&catalog, 8, &gone))).len(), 20);
}

/// Wide and deep trees, in a folder and on a remote store: whatever is read ahead, all comes, in order.
#[test]
fn more_nodes_than_are_read_ahead() {
    for (url, shape, count) in [(URL, WIDE, 1200), ("s3://x/", WIDE, 1200), (URL, DEEP, 5000), ("s3://x/", DEEP, 5000)]
    {
        let stores = remote();
        let catalog = with_shape(&create(&stores, url), shape);
        let (one, two) = (numbered(0..count, 1), numbered(0..count, 2));
        let [first, second] = [(7, &one), (8, &two)].map(|(run, model)| advance(&catalog, run, &puts(model)));
        let open = |version| -> Tree {
            let fresh = with_shape(&Catalog::open(&stores, url).unwrap(), shape);
            names(&fresh.snapshot(version).unwrap())
        };
        assert_eq!(content(&open(first.version())), one);
        let (before, now) = (open(first.version()), open(second.version()));
        let keys: Vec<NameBytes> = changes(&before, &now).into_iter().map(|change| change.key).collect();
        assert_eq!((keys.len(), keys.is_sorted()), (count as usize, true), "{url}");
        let now = open(second.version());
        let keys: Vec<&[u8]> = one.keys().map(|key| &key[..]).collect();
        now.read_ahead(&keys).unwrap();
        assert!(keys.iter().all(|key| now.get(key).unwrap().is_some()));
    }
}

#[test]
fn a_payload_of_more_than_two_pieces() {
    const BYTES: usize = 20 << 20;
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    let bytes: Vec<u8> = (0..BYTES as u32 / 4).flat_map(u32::to_be_bytes).collect();
    let made = advance(&catalog, 7, &Ops::from([(b"one".to_vec(), Some(bytes.clone()))]));
    let tree = names(&Catalog::open(&stores, URL).unwrap().latest().unwrap());
    let entry = tree.get(b"one").unwrap().unwrap();
    let mut read = Vec::new();
    tree.open(&entry).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(Digest::of(&read), Digest::of(&bytes));
    assert!(Catalog::open(&stores, URL).unwrap().fsck(true).unwrap().damage.is_empty());
    // Damage in the last piece, and in the first.
    let pack = made.listed_packs().unwrap().iter().max_by_key(|pack| pack.bytes).unwrap().name;
    let object = format!("packs/{pack}");
    let whole = objects(&store)[&object].to_vec();
    for at in [100, 10 << 20, BYTES] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        write(&store, &object, damaged);
        assert!(!Catalog::open(&stores, URL).unwrap().fsck(true).unwrap().damage.is_empty(), "byte {at}");
        assert!(tree.open(&entry).unwrap().read_to_end(&mut Vec::new()).is_err(), "byte {at}");
    }
}

#[test]
fn a_leaf_with_more_payloads_than_are_copied_together() {
    let (_, stores) = tampered();
    let catalog = create(&stores, URL);
    let one_pack = DraftOptions { pack_bytes: 1 << 30, ..DraftOptions::default() };
    // 40 MiB stay, 60 go.
    let model: Model = (0..20u8).map(|n| (vec![b'a' + n], vec![n; 5 << 20])).collect();
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(7), one_pack);
    let ops = puts(&model).into_iter().map(|(key, value)| {
        let entry = draft.put(&Payload::new(value.unwrap()))?;
        Ok::<_, Error>((NameBytes::from(&key[..]), Some(entry)))
    });
    let tree = draft.edit(&draft.empty_tree(), ops).unwrap();
    commit(draft, &tree);
    let gone: Ops = model.keys().skip(8).map(|key| (key.clone(), None)).collect();
    let left = names(&advance(&catalog, 8, &gone));
    let rules = Retention { last: Some(1), ..Retention::default() };
    catalog.retain(&rules, RunId(9), Timestamp(0), false).unwrap();
    let done = catalog.repack(&RepackOptions::default(), RunId(10), Timestamp(0), false).unwrap();
    assert_eq!(done.replaced.count, 1);
    let (_, live) = (done.version.unwrap(), done.live_bytes);
    assert!(live >= 40 << 20);
    let fresh = Catalog::open(&stores, URL).unwrap();
    let now = names(&fresh.latest().unwrap());
    assert_eq!(now.digest(), left.digest());
    // Nothing lies where it lay any more.
    let places = |tree: &Tree| -> Vec<_> { tree.scan(KeyRange::all()).map(|found| found.unwrap().1.place).collect() };
    let (before, after) = (places(&left), places(&now));
    assert!(after.len() == 8 && before.iter().zip(&after).all(|(before, after)| before != after));
    assert_eq!(content(&now).len(), 8);
}
