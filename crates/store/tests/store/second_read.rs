//! What a remote store, or the way to it, answers wrongly once is read a second time before it is called damage; a folder is
//! not asked twice. Where all is well there is no request more.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use deltic_core::{RunId, Timestamp};
use deltic_store::testing::{Fault, Operation, RequestLog, answers, faults};
use deltic_store::{
    Catalog, Committed, Draft, DraftOptions, Entry, Error, ErrorKind, KeyRange, RepackOptions, Result, Stores, Tree,
};
use futures::StreamExt;
use object_store::memory::InMemory;
use object_store::{GetResult, GetResultPayload, ObjectStore};

use crate::support::{
    Ops, advance, begin, commit, content, create, edit, names, next, numbered, objects, puts, remove, version, write,
};

/// Requests to such a URL are driven as those to a remote store are.
const REMOTE: &str = "s3://bucket/";
const LOCAL: &str = "memory:x";
/// Longer than the pieces that a payload is streamed by.
const LONG: usize = (4 << 20) + 7;

/// A store in memory in the place of any other.
fn stores_of(store: &Arc<InMemory>) -> Stores {
    let store = Arc::clone(store);
    Stores::new().with_wrapper(move |_| Arc::clone(&store) as Arc<dyn ObjectStore>)
}

pub(crate) fn garbled(answer: GetResult) -> GetResult {
    let (meta, range, attributes) = (answer.meta.clone(), answer.range.clone(), answer.attributes.clone());
    let other = answer.into_stream().map(|bytes| bytes.map(|bytes| bytes.iter().map(|byte| !byte).collect::<Bytes>()));
    let extensions = Default::default();
    GetResult { payload: GetResultPayload::Stream(other.boxed()), meta, range, attributes, extensions }
}

/// The same, each byte of each object garbled when it is read for the first time.
fn flaky(store: &Arc<InMemory>) -> Stores {
    let seen: Mutex<HashMap<String, Vec<Range<u64>>>> = Mutex::default();
    stores_of(store).with_wrapper({
        let store = Arc::clone(store);
        let garble = answers(move |object, answer| {
            let (mut seen, range) = (seen.lock().unwrap(), answer.range.clone());
            let seen = seen.entry(object.to_owned()).or_default();
            if seen.iter().any(|seen| seen.start <= range.start && range.end <= seen.end) {
                return answer;
            }
            seen.push(range);
            garbled(answer)
        });
        move |_| garble(Arc::clone(&store) as Arc<dyn ObjectStore>)
    })
}

/// Versions 1 and 2, with payloads in leaves and in packs, one of them long.
fn fill(stores: &Stores, url: &str) {
    let catalog = create(stores, url);
    let mut model = numbered(0..300, 0);
    model.extend((0..5).map(|n| (format!("in a pack {n}").into_bytes(), vec![n; 500])));
    model.insert(b"long".to_vec(), vec![7; LONG]);
    advance(&catalog, 7, &puts(&model));
    advance(&catalog, 8, &Ops::from([(b"000007".to_vec(), Some(vec![8; 150]))]));
}

fn tree(stores: &Stores, url: &str) -> Result<Tree> {
    Ok(names(&Catalog::open(stores, url)?.latest()?))
}

fn entries(tree: &Tree) -> Result<Vec<Entry>> {
    tree.scan(KeyRange::prefix(b"in")).map(|item| Ok(item?.1)).collect()
}

fn streamed(tree: &Tree, key: &[u8]) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let entry = tree.get(key)?.unwrap();
    tree.open(&entry)?.read_to_end(&mut all).map_err(|error| error.downcast::<Error>().unwrap())?;
    Ok(all)
}

type Path = (&'static str, fn(&Stores, &str) -> Result<String>);

/// The ways to read, each with a catalog that is opened anew.
const READS: &[Path] = &[
    ("the latest record", |stores, url| Ok(Catalog::open(stores, url)?.latest()?.digest().to_string())),
    ("an older record", |stores, url| {
        Ok(Catalog::open(stores, url)?.snapshot(version(1))?.record_digest().to_string())
    }),
    ("all records", |stores, url| {
        let log = Catalog::open(stores, url)?.log();
        log.map(|found| Ok(found?.record_digest().to_string())).collect::<Result<Vec<_>>>().map(|all| all.join(" "))
    }),
    ("nodes, one by one", |stores, url| Ok(format!("{:?}", tree(stores, url)?.get(b"in a pack 3")?))),
    ("nodes, many", |stores, url| {
        let tree = tree(stores, url)?;
        Ok(format!("{:?}", tree.scan(KeyRange::all()).map(|item| Ok(item?.0)).collect::<Result<Vec<_>>>()?))
    }),
    ("differences", |stores, url| {
        let catalog = Catalog::open(stores, url)?;
        let (old, new) = (names(&catalog.snapshot(version(1))?), names(&catalog.latest()?));
        Ok(format!("{:?}", old.diff(&new).collect::<Result<Vec<_>>>()?))
    }),
    ("a payload", |stores, url| {
        let tree = tree(stores, url)?;
        Ok(format!("{:?}", tree.read(&entries(&tree)?[2])?))
    }),
    ("many payloads", |stores, url| {
        let tree = tree(stores, url)?;
        Ok(format!("{:?}", tree.read_all(&entries(&tree)?)?))
    }),
    ("payloads beside other work", |stores, url| {
        let tree = tree(stores, url)?;
        Ok(format!("{:?}", tree.begin_read_all(entries(&tree)?)?.wait()?))
    }),
    ("a payload by pieces", |stores, url| Ok(format!("{:?}", streamed(&tree(stores, url)?, b"in a pack 3")?))),
    ("the index of a pack", |stores, url| {
        let catalog = Catalog::open(stores, url)?;
        let pack = catalog.latest()?.listed_packs()?[0].name;
        Ok(format!("{:?}", catalog.pack(pack)?))
    }),
    ("the check", |stores, url| Ok(format!("{:?}", Catalog::open(stores, url)?.fsck(true)?))),
    ("a sweep", |stores, url| Ok(format!("{:?}", Catalog::open(stores, url)?.gc(true)?))),
    ("looking for sparse packs", |stores, url| {
        let options = RepackOptions { below_percent: 100, ..RepackOptions::default() };
        Ok(format!("{:?}", Catalog::open(stores, url)?.repack(&options, RunId(9), Timestamp(0), true)?))
    }),
];

#[test]
fn what_is_wrong_once_is_right_on_every_path() {
    let store = Arc::new(InMemory::new());
    fill(&stores_of(&store), REMOTE);
    for (path, read) in READS {
        let right = read(&stores_of(&store), REMOTE).unwrap();
        let found = read(&flaky(&store), REMOTE).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(found, right, "{path}");
    }
    assert!(Catalog::open(&flaky(&store), REMOTE).unwrap().fsck(true).unwrap().damage.is_empty());
}

#[test]
fn catalog_json_that_is_wrong_once_is_read_again() {
    let store = Arc::new(InMemory::new());
    fill(&stores_of(&store), REMOTE);
    for object in objects(&store).keys().filter(|object| *object != "catalog.json") {
        remove(&store, object);
    }
    let error = Catalog::open(&flaky(&store), REMOTE).unwrap().latest().unwrap_err();
    assert!(error.to_string().contains("creation was interrupted"), "{error}");
}

/// What was handed out of a long payload can not be taken back; but it is not called damage of the store.
#[test]
fn a_long_payload_that_is_wrong_once_is_said_to_be_whole_in_the_store() {
    let store = Arc::new(InMemory::new());
    fill(&stores_of(&store), REMOTE);
    let stores = flaky(&store);
    let tree = tree(&stores, REMOTE).unwrap();
    let error = streamed(&tree, b"long").unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("damaged in transit") && error.to_string().contains("try again"), "{error}");
    assert_eq!(streamed(&tree, b"long").unwrap(), vec![7; LONG]);
    // Read whole it is checked before anybody sees it.
    let stores = flaky(&store);
    let tree = self::tree(&stores, REMOTE).unwrap();
    let entry = tree.get(b"long").unwrap().unwrap();
    assert_eq!(tree.read(&entry).unwrap().bytes(), &vec![7; LONG]);
}

/// A commit whose answer is lost reads its record back, and that answer may be wrong too.
#[test]
fn a_record_that_is_read_back_wrongly_is_not_taken_for_anothers() {
    let store = Arc::new(InMemory::new());
    fill(&stores_of(&store), REMOTE);
    let (inner, seen) = (Arc::clone(&store), Mutex::new(HashSet::new()));
    let garble = answers(move |object, answer| {
        let is_first = object.ends_with("00003") && seen.lock().unwrap().insert(object.to_owned());
        if is_first { garbled(answer) } else { answer }
    });
    let lose = faults(|operation, _| if operation == Operation::Create { Fault::After } else { Fault::None });
    let stores = Stores::new().with_wrapper(move |_| lose(garble(Arc::clone(&inner) as Arc<dyn ObjectStore>)));
    let base = Catalog::open(&stores_of(&store), REMOTE).unwrap().latest().unwrap();
    let base = Catalog::open(&stores, REMOTE).unwrap().snapshot(base.version()).unwrap();
    let draft = begin(&base, 9);
    let tree = edit(&draft, &names(&base), &puts(&numbered(3..5, 9))).unwrap();
    assert!(matches!(draft.commit(next(&tree)).unwrap(), Committed::New(_)));
    assert_eq!(content(&names(&Catalog::open(&stores_of(&store), REMOTE).unwrap().latest().unwrap())).len(), 306);
}

/// Of the object that is damaged, how often it was asked for by a read that says so.
fn asked(store: &Arc<InMemory>, url: &str, object: &str, read: fn(&Stores, &str) -> Result<String>) -> usize {
    let log = RequestLog::new();
    let (wrap, inner) = (log.wrapper(), Arc::clone(store));
    let stores = Stores::new().with_wrapper(move |_| wrap(Arc::clone(&inner) as Arc<dyn ObjectStore>));
    let error = read(&stores, url).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt { object: object.to_owned() }, "{error}");
    log.take().iter().filter(|request| request.object == object && request.operation == Operation::Get).count()
}

#[test]
fn damage_is_read_twice_on_a_remote_store_and_once_in_a_folder() {
    for (url, times) in [(REMOTE, 2), (LOCAL, 1)] {
        let store = Arc::new(InMemory::new());
        fill(&stores_of(&store), url);
        let all = objects(&store);
        let record = "versions/00000000000000000001";
        let older: fn(&Stores, &str) -> Result<String> =
            |stores, url| Ok(Catalog::open(stores, url)?.snapshot(version(1))?.version().to_string());
        write(&store, record, Bytes::from_static(b"other bytes"));
        assert_eq!(asked(&store, url, record, older), times, "{url}: a record");
        write(&store, record, all[record].clone());

        // All of what was written first: its payloads, and nodes that version 2 shares.
        let latest = Catalog::open(&stores_of(&store), url).unwrap();
        let first = latest.snapshot(version(1)).unwrap().listed_packs().unwrap()[0].name;
        let object = format!("packs/{first}");
        let payload: fn(&Stores, &str) -> Result<String> = |stores, url| {
            let tree = tree(stores, url)?;
            Ok(format!("{:?}", tree.read(&tree.get(b"in a pack 3")?.unwrap())?))
        };
        let at = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what).unwrap();
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = all[&object].to_vec();
            change(&mut bytes);
            write(&store, &object, bytes);
        };
        let healthy = {
            let log = RequestLog::new();
            let (wrap, inner) = (log.wrapper(), Arc::clone(&store));
            let stores = Stores::new().with_wrapper(move |_| wrap(Arc::clone(&inner) as Arc<dyn ObjectStore>));
            payload(&stores, url).unwrap();
            log.take().iter().filter(|request| request.object == object).count()
        };
        with(&|bytes| {
            let at = at(bytes, &[3; 500]);
            bytes[at] ^= 1;
        });
        assert_eq!(asked(&store, url, &object, payload), healthy - 1 + times, "{url}: a payload");
        remove(&store, &object);
        let pack: fn(&Stores, &str) -> Result<String> = |stores, url| {
            let first = Catalog::open(stores, url)?.snapshot(version(1))?;
            Ok(format!("{:?}", names(&first).get(b"000003")?))
        };
        assert_eq!(asked(&store, url, &object, pack), times, "{url}: a pack that is missing");
        let place = names(&latest.snapshot(version(1)).unwrap()).root().place.unwrap();
        write(&store, &object, all[&object].slice(..place.offset as usize + 1));
        assert_eq!(asked(&store, url, &object, pack), times, "{url}: a pack that is too short");
    }
}

/// Where all is well, what is read is read once.
#[test]
fn nothing_is_read_twice_that_is_right() {
    let store = Arc::new(InMemory::new());
    fill(&stores_of(&store), REMOTE);
    let log = RequestLog::new();
    let (wrap, inner) = (log.wrapper(), Arc::clone(&store));
    let stores = Stores::new().with_wrapper(move |_| wrap(Arc::clone(&inner) as Arc<dyn ObjectStore>));
    let catalog = Catalog::open(&stores, REMOTE).unwrap();
    let latest = catalog.latest().unwrap();
    assert_eq!(log.take().len(), 3, "the hint, the version after it, the version");
    let tree = names(&latest);
    let levels = usize::from(tree.root().level) + 1;
    let entry = tree.get(b"in a pack 3").unwrap().unwrap();
    assert_eq!(log.take().len(), levels, "one a level");
    tree.read(&entry).unwrap();
    assert_eq!(log.take().len(), 1, "a payload");
    streamed(&tree, b"in a pack 3").unwrap();
    assert_eq!(log.take().len(), 1, "a payload by pieces, of which it has one");
    streamed(&tree, b"long").unwrap();
    let cold = if levels > 1 { 1 } else { 0 };
    let gets = log.take().len();
    assert!((2..=2 + cold).contains(&gets), "two pieces, and at most a leaf: {gets}");
    let [pack, ..] = latest.listed_packs().unwrap()[..] else { panic!("no pack") };
    assert_eq!(log.take().len(), 1, "a listing");
    catalog.pack(pack.name).unwrap();
    assert_eq!(log.take().len(), 3, "the length of a pack, and its ends");
    assert_eq!(catalog.log().filter(Result::is_ok).count(), 3);
    assert_eq!(log.take().len(), 3, "whether there is a later version, and two more records");
    let draft = Draft::begin(&latest, RunId(9), DraftOptions::default());
    let tree = edit(&draft, &tree, &Ops::from([(b"in a pack 3".to_vec(), Some(vec![1]))])).unwrap();
    log.take();
    commit(draft, &tree);
    assert_eq!(log.take().len(), 3, "a pack, the record and the hint");
}
