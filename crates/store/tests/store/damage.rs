//! Every kind of object, wrong in every way, on every path: a right answer, or an error that names the object and says
//! what to do. And whatever a sweep or a repacking does with a damaged catalog, nothing that is needed is gone after it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use deltic_core::{CatalogId, CatalogUuid, RunId, Timestamp};
use deltic_store::testing::with_shape;
use deltic_store::{
    BlobKind, Catalog, Committed, Draft, DraftOptions, Error, ErrorKind, KeyRange, NewCatalog, NextVersion, ObjectName,
    PackIndex, RepackOptions, Result, Retention, Shape, Snapshot, Stores, Tree, transitive_dependencies,
};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::support::{
    Model, Ops, build, content, create, edit, identity, layer, names, next, numbered, objects, puts, remove, tampered,
    version, write,
};

const SHAPE: Shape = Shape { leaf_bits: 2, inner_bits: 2 };
const URL: &str = "memory:x";
const LATEST: u64 = 3;

type Objects = BTreeMap<String, Bytes>;

fn model(edition: u32) -> Model {
    let mut model = numbered(0..30, edition);
    model.extend((0..3).map(|n| (format!("long {n}").into_bytes(), vec![n; 200])));
    model.insert(b"empty".to_vec(), Vec::new());
    model
}

/// A catalog of four versions that share nodes: it is `uuid`, and `edition` tells the runs and the content of its
/// versions after version 1 from those of others of that uuid.
fn history(uuid: u128, edition: u32) -> Objects {
    let (store, stores) = tampered();
    let new = NewCatalog { uuid: CatalogUuid(uuid), ..identity() };
    let catalog = with_shape(&Catalog::create(&stores, URL, vec![layer()], new).unwrap(), SHAPE);
    let commit = |draft: Draft, tree: &Tree, table: &Tree| {
        let state = [("table".to_owned(), table.clone())].into();
        assert!(matches!(draft.commit(NextVersion { state, ..next(tree) }).unwrap(), Committed::New(_)));
    };
    let draft = Draft::begin(&catalog.latest().unwrap(), RunId(7 + uuid as u64), DraftOptions::default());
    let first = if uuid == 0xcafe { 0 } else { edition };
    let (tree, table) = (build(&draft, &model(first)), build(&draft, &numbered(0..9, 1 + first)));
    commit(draft, &tree, &table);
    for (run, key) in [(8, "000007"), (9, "long 1")] {
        let base = catalog.latest().unwrap();
        let draft = Draft::begin(&base, RunId(run + 1000 * u64::from(edition)), DraftOptions::default());
        let ops = Ops::from([(key.as_bytes().to_vec(), Some(vec![run as u8 + edition as u8; 150]))]);
        let tree = edit(&draft, &names(&base), &ops).unwrap();
        let ops = puts(&numbered(run as u32..run as u32 + 1, 1 + edition));
        let table = edit(&draft, &base.state_table("table").unwrap(), &ops).unwrap();
        commit(draft, &tree, &table);
    }
    objects(&store)
}

/// A store that holds these objects.
fn store_of(all: &Objects) -> (Arc<InMemory>, Stores) {
    let (store, stores) = tampered();
    all.iter().for_each(|(object, bytes)| write(&store, object, bytes.clone()));
    (store, stores)
}

fn open(stores: &Stores) -> Result<Catalog> {
    Ok(with_shape(&Catalog::open(stores, URL)?, SHAPE))
}

fn at(stores: &Stores, number: u64) -> Result<(Snapshot, Tree)> {
    let snapshot = open(stores)?.snapshot(version(number))?;
    let tree = names(&snapshot);
    Ok((snapshot, tree))
}

/// What a path makes of a catalog, to be compared with what it makes of it undamaged.
fn said(answer: impl Debug) -> Result<String> {
    Ok(format!("{answer:?}"))
}

fn from_io(error: std::io::Error) -> Error {
    error.downcast().unwrap()
}

/// A version, and what was found in it.
type Contents = Vec<(u64, Vec<u8>, Vec<u8>)>;

/// Everything that versions hold, in the order asked.
fn contents(stores: &Stores, versions: impl IntoIterator<Item = u64>) -> Result<Contents> {
    let catalog = open(stores)?;
    let mut all = Vec::new();
    for number in versions {
        let snapshot = catalog.snapshot(version(number))?;
        for tree in [Some(names(&snapshot)), snapshot.state_table("table")].into_iter().flatten() {
            for item in tree.scan(KeyRange::all()) {
                let (key, entry) = item?;
                all.push((number, key.to_vec(), tree.read(&entry)?.bytes().to_vec()));
            }
        }
    }
    Ok(all)
}

type Path = (&'static str, fn(&Stores) -> Result<String>);

/// The ways to read a catalog. Each opens it anew.
const READS: &[Path] = &[
    ("latest", |stores| {
        let latest = open(stores)?.latest()?;
        said((latest.version(), latest.digest(), &latest.record().dependencies))
    }),
    ("snapshot of the latest", |stores| said(at(stores, LATEST)?.0.digest())),
    ("snapshot of an older one", |stores| said(at(stores, 1)?.0.digest())),
    ("log", |stores| said(open(stores)?.log().map(|found| Ok(found?.digest())).collect::<Result<Vec<_>>>()?)),
    ("dependencies of a reader", |stores| {
        let latest = open(stores)?.latest()?;
        said(transitive_dependencies(&[(CatalogId::new("in").unwrap(), &latest)])?)
    }),
    ("get", |stores| {
        let (_, tree) = at(stores, LATEST)?;
        said(model(0).keys().map(|key| Ok(tree.get(key)?.map(|entry| entry.meta))).collect::<Result<Vec<_>>>()?)
    }),
    ("get of what is not there", |stores| said(at(stores, LATEST)?.1.get(b"000007x")?)),
    ("rank and nth", |stores| {
        let (_, tree) = at(stores, LATEST)?;
        let nth = |n| {
            Ok((
                tree.rank(&numbered(n..n + 1, 0).into_keys().next().unwrap())?,
                tree.nth(u64::from(n))?.map(|found| found.0),
            ))
        };
        said((0..30).map(nth).collect::<Result<Vec<_>>>()?)
    }),
    ("scan", |stores| {
        let (_, tree) = at(stores, LATEST)?;
        said(tree.scan(KeyRange::all()).map(|item| Ok(item?.1.meta)).collect::<Result<Vec<_>>>()?)
    }),
    ("scan of a prefix", |stores| {
        let (_, tree) = at(stores, LATEST)?;
        said(tree.scan(KeyRange::prefix(b"long")).map(|item| Ok(item?.1.meta)).collect::<Result<Vec<_>>>()?)
    }),
    ("scan, then read one by one", |stores| said(contents(stores, [LATEST])?)),
    ("scan of an older one, then read", |stores| said(contents(stores, [1])?)),
    ("scan, then read all", |stores| {
        let (_, tree) = at(stores, LATEST)?;
        let entries = tree.scan(KeyRange::all()).map(|item| Ok(item?.1)).collect::<Result<Vec<_>>>()?;
        said(tree.read_all(&entries)?.iter().map(|payload| payload.bytes().clone()).collect::<Vec<_>>())
    }),
    ("scan, then begin to read all", |stores| {
        let (_, tree) = at(stores, LATEST)?;
        let entries = tree.scan(KeyRange::all()).map(|item| Ok(item?.1)).collect::<Result<Vec<_>>>()?;
        said(tree.begin_read_all(entries)?.wait()?.iter().map(|payload| payload.bytes().clone()).collect::<Vec<_>>())
    }),
    ("read ahead, then stream", |stores| {
        let (_, tree) = at(stores, LATEST)?;
        let keys = model(0);
        tree.read_ahead(&keys.keys().map(Vec::as_slice).collect::<Vec<_>>())?;
        let mut all = Vec::new();
        for item in tree.scan(KeyRange::all()) {
            tree.open(&item?.1)?.read_to_end(&mut all).map_err(from_io)?;
        }
        said(all)
    }),
    ("changes forwards", |stores| changes(stores, 1, LATEST)),
    ("changes backwards", |stores| changes(stores, LATEST, 1)),
    ("a table of the state", |stores| {
        let table = at(stores, LATEST)?.0.state_table("table").unwrap();
        said(
            table
                .scan(KeyRange::all())
                .map(|item| Ok(table.read(&item?.1)?.bytes().clone()))
                .collect::<Result<Vec<_>>>()?,
        )
    }),
    ("the indexes of packs", |stores| {
        let catalog = open(stores)?;
        for snapshot in catalog.log() {
            for pack in &snapshot?.listed_packs()? {
                catalog.pack(pack.name)?;
            }
        }
        said("all are packs; which, trees alone can tell")
    }),
    ("init", |stores| match Catalog::create(stores, URL, vec![layer()], identity()) {
        Err(error) if *error.kind() == ErrorKind::AlreadyExists => said("it exists"),
        other => said(other?.latest()?.version()),
    }),
];

fn changes(stores: &Stores, from: u64, to: u64) -> Result<String> {
    let catalog = open(stores)?;
    let (old, new) = (names(&catalog.snapshot(version(from))?), names(&catalog.snapshot(version(to))?));
    let read = |change: Result<deltic_store::Change>| {
        let change = change?;
        let payload = change.after.as_ref().map(|entry| new.read(entry)).transpose()?;
        Ok((change.key, payload.map(|payload| payload.bytes().clone())))
    };
    said(old.diff(&new).map(read).collect::<Result<Vec<_>>>()?)
}

/// What changes a catalog.
const WRITES: &[Path] = &[
    ("a sweep", |stores| open(stores)?.gc(false).map(|_| String::new())),
    ("repacking", |stores| {
        let options = RepackOptions { below_percent: 100, ..RepackOptions::default() };
        open(stores)?.repack(&options, RunId(50), Timestamp(0), false).map(|_| String::new())
    }),
    ("retention", |stores| {
        let rules = Retention { last: Some(2), ..Retention::default() };
        open(stores)?.retain(&rules, RunId(51), Timestamp(0), false).map(|_| String::new())
    }),
    ("retention and a sweep", |stores| {
        let rules = Retention { last: Some(1), ..Retention::default() };
        open(stores)?.retain(&rules, RunId(52), Timestamp(0), false)?;
        open(stores)?.gc(false).map(|_| String::new())
    }),
    ("a commit", |stores| {
        let base = open(stores)?.latest()?;
        let draft = Draft::begin(&base, RunId(53), DraftOptions::default());
        let tree = edit(&draft, &names(&base), &puts(&numbered(3..5, 9)))?;
        let state = [("table".to_owned(), base.state_table("table").unwrap())].into();
        draft.commit(NextVersion { state, ..next(&tree) }).map(|_| String::new())
    }),
];

/// Which part of an object a byte belongs to.
fn kind(object: &str, bytes: &[u8], at: usize) -> &'static str {
    match object {
        "catalog.json" => return "catalog.json",
        "versions/latest" => return "hint",
        "versions/00000000000000000003" => return "latest record",
        _ if object.starts_with("versions/") => return "older record",
        _ => {}
    }
    let blobs = packed(bytes);
    let blob = blobs.iter().find(|blob| (blob.offset..blob.offset + blob.stored).contains(&(at as u64)));
    match blob.map(|blob| (blob.kind, bytes[blob.offset as usize + 5])) {
        None => "ends of a pack",
        Some((BlobKind::Node, 0)) => "leaf",
        Some((BlobKind::Node, _)) => "inner node",
        Some(_) => "payload",
    }
}

/// The blobs of a pack that is whole.
fn packed(bytes: &[u8]) -> Vec<deltic_store::PackBlob> {
    let (store, stores) = tampered();
    let name: deltic_store::PackName = "0000000000000000-0000000000000001-0000".parse().unwrap();
    create(&stores, URL);
    write(&store, &ObjectName::Pack(name).to_string(), bytes.to_vec());
    let PackIndex { blobs } = Catalog::open(&stores, URL).unwrap().pack(name).unwrap();
    blobs
}

/// Ways in which an object is wrong: which part of it, what was done, and the bytes that are there then.
type Wrong = (&'static str, &'static str, Option<Bytes>);

fn ways(object: &str, all: &Objects, foreign: &Objects, fork: &Objects, step: usize) -> Vec<Wrong> {
    let bytes = &all[object];
    let whole = kind(object, bytes, 0);
    let mut ways: Vec<Wrong> = Vec::new();
    for at in (0..bytes.len()).step_by(step) {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        ways.push((kind(object, bytes, at), "flipped", Some(flipped.into())));
        // What is too short is asked for several times, with pauses: so there are fewer of these.
        if at % 16 == 0 {
            ways.push((kind(object, bytes, at), "cut", Some(bytes.slice(..at))));
        }
    }
    ways.push((whole, "lengthened", Some([&bytes[..], b"x"].concat().into())));
    ways.push((whole, "removed", None));
    let folder = object.split('/').next().unwrap();
    for (other, bytes) in all.iter().filter(|(other, _)| *other != object) {
        let what = if other.starts_with(folder) { "another of its kind" } else { "another kind of object" };
        ways.push((whole, what, Some(bytes.clone())));
    }
    let others = |other: &Objects| {
        let mut packs = other.iter().filter(|(other, _)| other.starts_with("packs/"));
        let number = all.keys().filter(|other| other.starts_with("packs/")).position(|pack| pack == object);
        number.map_or_else(|| other.get(object).cloned(), |number| packs.nth(number).map(|pack| pack.1.clone()))
    };
    ways.push((whole, "another catalog's", others(foreign)));
    ways.push((whole, "a diverged copy's", others(fork)));
    // What is equal is no damage.
    ways.retain(|(_, _, wrong)| wrong.as_ref() != Some(bytes));
    ways
}

/// What came of a damage on the paths.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    damages: u64,
    /// Paths that said so, and those that did not come by it: their answer was right.
    said: u64,
    right: u64,
}

/// What no reader can notice, for the catalog that is left is one that there could have been; when the record was removed, the
/// hint alone tells.
fn is_rollback(object: &str, what: &str) -> bool {
    object == "versions/00000000000000000003" && (what == "removed" || is_exchanged(object, what))
}

/// Whether a record of another catalog, or of a copy that went on by itself, is the latest one. What reads records
/// alone believes it, for it is right in itself; the first node of it that is missed, or is another, gives it away.
fn is_exchanged(object: &str, what: &str) -> bool {
    object == "versions/00000000000000000003" && matches!(what, "another catalog's" | "a diverged copy's")
}

/// The paths that read records and nothing else.
const RECORDS_ALONE: &[&str] = &[
    "latest",
    "snapshot of the latest",
    "snapshot of an older one",
    "log",
    "dependencies of a reader",
    "init",
    "the indexes of packs",
];

/// Damages every object in every way, and goes every path; counts by part and way.
fn matrix(step: usize) -> BTreeMap<(&'static str, &'static str), Counts> {
    let all = history(0xcafe, 0);
    // Another catalog, and one that was copied after version 1 and went on by itself.
    let (foreign, fork) = (history(5, 3), history(0xcafe, 3));
    let (_, stores) = store_of(&all);
    let whole: Vec<String> =
        READS.iter().map(|(path, read)| read(&stores).unwrap_or_else(|e| panic!("{path}: {e}"))).collect();
    let everything = contents(&stores, 0..=LATEST).unwrap();
    assert!(everything.len() > 3 * 40);
    let mut counts: BTreeMap<(&str, &str), Counts> = BTreeMap::new();
    for object in all.keys() {
        for (part, what, wrong) in ways(object, &all, &foreign, &fork, step) {
            let damaged = || {
                let (store, stores) = store_of(&all);
                match &wrong {
                    Some(bytes) => write(&store, object, bytes.clone()),
                    None => remove(&store, object),
                }
                (store, stores)
            };
            let count = counts.entry((part, what)).or_default();
            count.damages += 1;
            let names_it = |path: &str, error: &Error| {
                let text = error.to_string();
                assert_eq!(
                    *error.kind(),
                    ErrorKind::Corrupt { object: object.clone() },
                    "{path}: {object} {what}: {text}"
                );
                assert!(
                    text.contains(URL) && text.contains(object) && text.contains("restore the object from a copy"),
                    "{path}: {text}"
                );
            };
            let (_, stores) = damaged();
            let mut noticed = 0;
            for ((path, read), right) in READS.iter().zip(&whole) {
                match read(&stores) {
                    Ok(answer) if answer == *right => count.right += 1,
                    _ if is_exchanged(object, what) && RECORDS_ALONE.contains(path) => {}
                    Err(error) if is_exchanged(object, what) => {
                        // Two records do not agree; which of them is wrong the older one can not tell.
                        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{path}: {error}");
                        noticed += 1;
                    }
                    Ok(answer) if is_rollback(object, what) && !is_exchanged(object, what) => {
                        assert_ne!(answer, *right);
                    }
                    Err(error) if is_rollback(object, what) && *error.kind() == ErrorKind::NotFound => {}
                    Err(error) if is_rollback(object, what) => {
                        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }));
                    }
                    Ok(answer) => panic!("{path}: {object} {what}: a wrong answer: {answer}"),
                    Err(error) => {
                        names_it(path, &error);
                        noticed += 1;
                    }
                }
            }
            match open(&stores).unwrap().fsck(true) {
                Ok(found) if found.damage.is_empty() => {
                    assert!(part == "hint" || is_rollback(object, what), "the check misses {object} {what}");
                }
                Ok(found) => {
                    assert!(
                        is_rollback(object, what) || found.damage.iter().any(|damage| damage.object == *object),
                        "{object} {what}: {found:?}"
                    );
                    noticed += 1;
                }
                Err(error) => {
                    names_it("the check", &error);
                    noticed += 1;
                }
            }
            count.said += noticed;
            for (path, change) in WRITES {
                // With the hint as it is or gone, and what is wrong being right again, all that was there is there.
                let (store, stores) = damaged();
                let before = objects(&store);
                let changed = change(&stores);
                match &changed {
                    Ok(_) => count.right += 1,
                    Err(error) if is_rollback(object, what) => {
                        assert!(
                            matches!(error.kind(), ErrorKind::Corrupt { .. } | ErrorKind::NotFound),
                            "{path}: {error}"
                        );
                    }
                    Err(error) => {
                        names_it(path, error);
                        count.said += 1;
                    }
                }
                // What is committed then is of a line that goes on without that version.
                if is_rollback(object, what) && *path != "a sweep" {
                    continue;
                }
                if changed.is_err() && *path != "retention and a sweep" {
                    let gone: Vec<_> = before.keys().filter(|object| !objects(&store).contains_key(*object)).collect();
                    assert!(gone.is_empty(), "{path}: {object} {what}: it failed and removed {gone:?}");
                }
                // A hint that is damaged names any number, also one of a version that there is not.
                if object != "versions/latest" {
                    write(&store, object, all[object].clone());
                } else if changed.is_err() {
                    remove(&store, object);
                }
                let latest = open(&stores).unwrap().latest().unwrap_or_else(|e| panic!("{path}: {object} {what}: {e}"));
                let retained: Vec<u64> =
                    latest.record().retained_versions().map(|version| version.0).filter(|n| *n <= LATEST).collect();
                let needed: Vec<_> =
                    everything.iter().filter(|(number, ..)| retained.contains(number)).cloned().collect();
                let found = contents(&stores, (0..=LATEST).filter(|n| retained.contains(n)));
                assert_eq!(
                    found.unwrap_or_else(|e| panic!("{path}: {object} {what}: {e}")),
                    needed,
                    "{path}: {object} {what}"
                );
            }
        }
    }
    counts
}

fn print(counts: &BTreeMap<(&str, &str), Counts>) {
    let mut total = Counts::default();
    for ((part, what), Counts { damages, said, right }) in counts {
        println!("{part:<16} {what:<24} {damages:>6} damages {said:>8} paths said so {right:>8} had a right answer");
        total = Counts { damages: total.damages + damages, said: total.said + said, right: total.right + right };
    }
    println!("{total:?} on {} paths", READS.len() + WRITES.len() + 1);
}

#[test]
fn damage_is_named_on_every_path_or_does_not_matter_there() {
    let counts = matrix(41);
    print(&counts);
    let parts: std::collections::BTreeSet<&str> = counts.keys().map(|(part, _)| *part).collect();
    let expected =
        ["catalog.json", "ends of a pack", "hint", "inner node", "latest record", "leaf", "older record", "payload"];
    assert_eq!(parts.into_iter().collect::<Vec<_>>(), expected);
    for ((part, what), count) in &counts {
        assert!(
            count.said > 0 || *part == "hint" || *what == "removed" || *what == "a diverged copy's",
            "{part} {what}"
        );
    }
}

/// `cargo test --release -p deltic-store --test store -- --ignored damage:: --nocapture`
#[test]
#[ignore = "minutes: every byte of every object"]
fn every_byte_of_every_object() {
    print(&matrix(1));
}

/// A sweep that believed the latest record, whichever it is, would find that nothing here is needed.
#[test]
fn a_sweep_stands_on_a_record_of_this_catalog() {
    let all = history(0xcafe, 0);
    for uuid in [5, 0xcafe] {
        let (other, others) = tampered();
        let new = NewCatalog { uuid: CatalogUuid(uuid), ..identity() };
        let catalog = Catalog::create(&others, URL, Vec::new(), new).unwrap();
        for number in 0..LATEST {
            let draft = Draft::begin(&catalog.latest().unwrap(), RunId(70 + number), DraftOptions::default());
            let layer = deltic_core::Layer::generic(&format!("layer-{number}")).unwrap();
            let layers = vec![(layer, draft.empty_tree())];
            assert!(matches!(
                draft.commit(NextVersion { layers, ..NextVersion::default() }).unwrap(),
                Committed::New(_)
            ));
        }
        catalog.retain(&Retention { last: Some(1), ..Retention::default() }, RunId(80), Timestamp(0), false).unwrap();
        let (store, stores) = store_of(&all);
        // Two records of a copy that follow each other are a line of their own: those of another catalog are not.
        for number in if uuid == 5 { LATEST..LATEST + 2 } else { LATEST..LATEST + 1 } {
            let record = ObjectName::Version(version(number)).to_string();
            write(&store, &record, objects(&other)[&record].clone());
        }
        let before = objects(&store);
        let error = open(&stores).unwrap().gc(false).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
        assert_eq!(objects(&store), before);
        assert!(all.keys().all(|object| objects(&store).contains_key(object)));
    }
}

/// What is left where a latest version was taken away is a catalog that there once was. Who knows of the version is told.
#[test]
fn going_back_is_noticed_by_those_who_remember() {
    let (store, stores) = store_of(&history(0xcafe, 0));
    let open_one = open(&stores).unwrap();
    let remembered = open_one.latest().unwrap();
    remove(&store, "versions/00000000000000000003");
    let error = open(&stores).unwrap().latest().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt { object: "versions/latest".to_owned() });
    remove(&store, "versions/latest");
    assert_eq!(open(&stores).unwrap().latest().unwrap().version(), version(2));
    assert_eq!(*open(&stores).unwrap().snapshot(version(3)).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(open_one.latest().unwrap().version(), remembered.version(), "it has seen a later one");
    assert_eq!(content(&names(&remembered)).len(), model(0).len());
    let _: Arc<dyn ObjectStore> = store;
}
