//! What is longer than it can be: files with holes in a folder, servers that announce any length and never come to an end.
//! Nothing is read of it, no memory is taken for it, and what must not be written longer is not.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use deltic_core::{Digest, Payload, RunId};
use deltic_store::testing::answers;
use deltic_store::{Catalog, Committed, Draft, DraftOptions, Error, ErrorKind, KeyRange, NextVersion, Result, Stores};
use futures::StreamExt;
use object_store::{GetResult, GetResultPayload};
use serde_json::Value;

use crate::support::{
    Model, advance, build, commit, create, names, next, numbered, objects, puts, tampered, version, write,
};

const HUGE: u64 = 20 << 30;

/// What a closure gives, and that it held little memory at any time.
fn within_bounds<T>(what: &str, read: impl FnOnce() -> T) -> T {
    let mut answer = None;
    let held = allocation_counter::measure(|| answer = Some(read())).bytes_max;
    assert!(held < 100 << 20, "{what}: {held} bytes");
    answer.unwrap()
}

/// A folder in which an object is changed into a file of 20 GiB, almost all of it a hole.
fn lengthened(folder: &Path, object: &str, len: u64) {
    let file = OpenOptions::new().write(true).open(folder.join(object)).unwrap();
    file.set_len(len).unwrap();
}

fn corrupt<T: std::fmt::Debug>(result: Result<T>, object: &str) {
    let error = result.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt { object: object.to_owned() }, "{error}");
}

/// It is read ahead with others, and is none of theirs: it has its own turn.
#[test]
fn a_record_that_is_too_long_is_one_error_in_a_list_from_afar() {
    let (store, stores) = tampered();
    let url = "s3://bucket/x";
    let catalog = create(&stores, url);
    (1..=9).for_each(|number| drop(advance(&catalog, number, &puts(&numbered(0..1, number as u32)))));
    for number in [3, 7, 8] {
        write(&store, &format!("versions/{number:020}"), vec![b' '; (64 << 20) + 1]);
    }
    let found = Catalog::open(&stores, url).unwrap().log().take(20);
    let found: Vec<_> = found.map(|found| found.map_or(-1, |snapshot| snapshot.version().0 as i64)).collect();
    assert_eq!(found, [9, -1, -1, 6, 5, 4, -1, 2, 1, 0]);
}

/// What can not be read for another reason ends the list in its turn, and no other record is asked for again and again.
#[test]
fn a_record_that_is_refused_costs_few_requests_in_a_list_from_afar() {
    const LATEST: u64 = 60;
    let (store, stores) = tampered();
    let url = "s3://bucket/x";
    let catalog = create(&stores, url);
    (1..=LATEST).for_each(|number| drop(advance(&catalog, number, &puts(&numbered(0..1, number as u32)))));
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let refuse = move |object: &str, found: GetResult| {
        if object.starts_with("versions/0") {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        if !object.ends_with("020") {
            return found;
        }
        let refused = object_store::Error::Generic { store: "s3", source: "no".into() };
        GetResult { payload: GetResultPayload::Stream(futures::stream::iter([Err(refused)]).boxed()), ..found }
    };
    let wrap = answers(refuse);
    let stores = Stores::new().with_wrapper(move |_| wrap(Arc::clone(&store) as Arc<dyn object_store::ObjectStore>));
    let found: Vec<_> =
        Catalog::open(&stores, url).unwrap().log().map(|found| found.map(|one| one.version().0)).collect();
    assert_eq!(found.iter().flatten().copied().collect::<Vec<_>>(), (21..=LATEST).rev().collect::<Vec<_>>());
    assert!(found.last().unwrap().is_err() && found.len() as u64 == LATEST - 19);
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked < 2 * LATEST + 20, "{asked} requests for records");
}

#[test]
fn objects_of_any_length_are_not_read() {
    let new = || {
        let folder = tempfile::tempdir().unwrap();
        let (stores, url) = (Stores::new(), format!("file://{}", folder.path().display()));
        let catalog = create(&stores, &url);
        advance(&catalog, 7, &puts(&numbered(0..300, 0)));
        advance(&catalog, 8, &puts(&numbered(0..3, 1)));
        (folder, url)
    };
    let open = |url: &str| Catalog::open(&Stores::new(), url).unwrap();

    let (folder, url) = new();
    let hint = "versions/latest";
    for len in [65, HUGE] {
        lengthened(folder.path(), hint, len);
        let latest = within_bounds(hint, || open(&url).latest().unwrap());
        assert_eq!(latest.version(), version(2), "a hint that can not be one is none");
    }

    let (folder, url) = new();
    let older = "versions/00000000000000000001";
    lengthened(folder.path(), older, HUGE);
    corrupt(within_bounds(older, || open(&url).snapshot(version(1))), older);
    assert_eq!(within_bounds(older, || open(&url).log().count()), 3, "the latest, an error, and the first");
    let found = within_bounds(older, || open(&url).fsck(true).unwrap());
    assert_eq!(found.damage.iter().map(|damage| &damage.object[..]).collect::<Vec<_>>(), [older]);
    let record = "versions/00000000000000000002";
    lengthened(folder.path(), record, HUGE);
    corrupt(within_bounds(record, || open(&url).latest()), record);

    let (folder, url) = new();
    lengthened(folder.path(), "catalog.json", HUGE);
    corrupt(within_bounds("catalog.json", || open(&url).gc(false)), "catalog.json");
    let found = within_bounds("catalog.json", || open(&url).fsck(true).unwrap());
    assert_eq!(found.damage[0].object, "catalog.json");

    // A pack whose end says that nearly all of it is the index.
    let (folder, url) = new();
    let pack = format!("packs/{}", open(&url).snapshot(version(1)).unwrap().listed_packs().unwrap()[0].name);
    lengthened(folder.path(), &pack, HUGE);
    let check = |what: &str| {
        let found = within_bounds(&pack, || open(&url).fsck(true).unwrap());
        assert!(found.damage.iter().any(|damage| damage.object == pack && damage.what.contains(what)), "{found:?}");
    };
    check("does not end as a pack");
    let footer = [&(HUGE - 1000).to_le_bytes()[..], &[7; 32], b"\x01KCAPTLD"].concat();
    let mut whole = OpenOptions::new().append(true).open(folder.path().join(&pack)).unwrap();
    std::io::Write::write_all(&mut whole, &footer).unwrap();
    check("its index is longer than that of any pack");

    // What an earlier run has left: passed over.
    let (folder, url) = new();
    let catalog = open(&url);
    let draft = |run| Draft::begin(&catalog.latest().unwrap(), RunId(run), DraftOptions::default());
    draft(70).checkpoints().write(&[(Digest::of(b"key"), Bytes::from_static(b"result"))], &[]).unwrap();
    assert!(draft(71).checkpoints().find(&Digest::of(b"key")).is_some());
    let progress = std::fs::read_dir(folder.path().join("progress")).unwrap().next().unwrap().unwrap().file_name();
    lengthened(folder.path(), &format!("progress/{}", progress.to_str().unwrap()), HUGE);
    assert!(within_bounds("progress", || draft(72).checkpoints().find(&Digest::of(b"key"))).is_none());
}

/// A server that says any length, and sends without end.
#[test]
fn announced_lengths_are_not_believed() {
    const ANNOUNCED: u64 = 1_000_000_000_000_000;
    let plain = Stores::new();
    let catalog = create(&plain, "memory:x");
    advance(&catalog, 7, &puts(&numbered(0..300, 0)));
    for (announces, most_pieces) in [(true, 0), (false, 3)] {
        for object in ["versions/latest", "versions/00000000000000000001", "packs/"] {
            let taken = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&taken);
            let endless = answers(move |name, answer| {
                if !name.starts_with(object) {
                    return answer;
                }
                let (mut meta, mut range) = (answer.meta.clone(), answer.range.clone());
                if announces {
                    meta.size = ANNOUNCED;
                    range.end = ANNOUNCED;
                }
                let counter = Arc::clone(&counter);
                let pieces = futures::stream::repeat_with(move || {
                    counter.fetch_add(1, Ordering::Relaxed);
                    Ok(Bytes::from(vec![b'9'; 1 << 20]))
                });
                let payload = GetResultPayload::Stream(pieces.boxed());
                let (attributes, extensions) = Default::default();
                GetResult { payload, meta, range, attributes, extensions }
            });
            let stores = plain.clone().with_wrapper(endless);
            let read = || {
                let latest = Catalog::open(&stores, "memory:x")?.latest()?;
                names(&latest).scan(KeyRange::all()).try_for_each(|item| item.map(|_| ()))
            };
            let ended: Result<()> = within_bounds(object, read);
            let pieces = taken.swap(0, Ordering::Relaxed);
            assert!(pieces <= 3 * most_pieces, "{object}: {pieces} MiB of an answer were taken");
            match ended.map_err(|error| error.kind().clone()) {
                Ok(()) => assert_eq!((object, announces), ("versions/latest", true), "{object}"),
                Err(ErrorKind::Corrupt { object: named }) => assert!(announces && named == object, "{named}"),
                Err(kind) => assert_eq!(kind, ErrorKind::Unavailable),
            }
        }
    }
}

#[test]
fn a_record_that_would_be_too_long_to_be_read_is_not_written() {
    let (store, stores) = tampered();
    let catalog = create(&stores, "memory:x");
    let draft = Draft::begin(&catalog.latest().unwrap(), RunId(7), DraftOptions::default());
    let tree = build(&draft, &numbered(0..3, 0));
    let statistics = Value::String("x".repeat(64 << 20));
    let error = draft.commit(NextVersion { statistics, ..next(&tree) }).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("67108864"), "{error}");
    assert!(!objects(&store).contains_key("versions/00000000000000000001"));
    let draft = Draft::begin(&catalog.latest().unwrap(), RunId(8), DraftOptions::default());
    let tree = build(&draft, &numbered(0..3, 0));
    let statistics = Value::String("x".repeat((64 << 20) - 4096));
    assert!(matches!(draft.commit(NextVersion { statistics, ..next(&tree) }).unwrap(), Committed::New(_)));
    assert_eq!(Catalog::open(&stores, "memory:x").unwrap().latest().unwrap().version(), version(1));
}

/// Payloads so short that the index would outgrow what is read of one.
#[test]
fn a_pack_is_full_when_its_index_is_long() {
    let catalog = create(&Stores::new(), "memory:x");
    let options = DraftOptions { inline_bytes: 0, ..DraftOptions::default() };
    let draft = Draft::begin(&catalog.latest().unwrap(), RunId(7), options);
    // 35 bytes of index for each.
    let most = (16 << 20) / 35;
    for n in 0..most - 10 {
        draft.put(&Payload::new(vec![n as u8])).unwrap();
    }
    assert_eq!(draft.written().packs, 1);
    for n in 0..20 {
        draft.put(&Payload::new(vec![n])).unwrap();
    }
    assert_eq!(draft.written().packs, 2);
}

/// Leaves that have more than 64 MiB together are read in several goes.
#[test]
fn nodes_of_any_size_are_read() {
    let stores = Stores::new();
    let catalog = create(&stores, "memory:x");
    let mut random = blake3::Hasher::new().finalize_xof();
    let mut model = Model::new();
    for n in 0..5000u32 {
        let mut key = vec![0; 16 << 10];
        random.fill(&mut key);
        key[..4].copy_from_slice(&n.to_be_bytes());
        model.insert(key, vec![n as u8]);
    }
    let draft = Draft::begin(&catalog.latest().unwrap(), RunId(7), DraftOptions::default());
    let tree = build(&draft, &model);
    let made = commit(draft, &tree);
    assert!(made.record().packs.bytes > 70 << 20);
    let tree = names(&Catalog::open(&stores, "memory:x").unwrap().snapshot(made.version()).unwrap());
    let keys: Vec<&[u8]> = model.keys().map(Vec::as_slice).collect();
    tree.read_ahead(&keys).unwrap();
    let listed = tree.scan(KeyRange::all()).map(|item| Ok::<_, Error>(item?.0)).collect::<Result<Vec<_>>>().unwrap();
    assert!(listed.iter().map(|key| &key[..]).eq(keys));
}
