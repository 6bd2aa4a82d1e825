//! Drafts: reading before the commit, packs, streams, workers.

use std::io::Read;

use deltic_core::{Digest, Fields, Meta, NameBytes, Payload, RunId};
use deltic_store::testing::{Operation, RequestLog};
use deltic_store::{
    BlobKind, Catalog, Codec, Draft, DraftOptions, Entry, Error, ErrorKind, KeyRange, PackName, Place, Stores,
};

use crate::support::{
    Ops, begin, build, changes, commit, content, create, edit, in_memory, names, next, numbered, puts, version,
};

#[test]
fn everything_is_readable_before_the_commit_and_after() {
    let catalog = in_memory();
    let base = catalog.latest().unwrap();
    // Packs so small that some are uploaded while others are open.
    let options = DraftOptions { pack_bytes: 20_000, inline_bytes: 10, big_bytes: 5_000 };
    let draft = Draft::begin(&base, RunId(7), options);
    let mut model = numbered(0..3000, 0);
    model.insert(b"big".to_vec(), vec![7; 6_000]);
    model.insert(b"empty".to_vec(), Vec::new());
    let tree = build(&draft, &model);
    assert!(draft.written().packs > 5);
    assert_eq!(content(&tree), model);
    let ops = Ops::from([(b"000100".to_vec(), None), (b"000200".to_vec(), Some(vec![9; 300]))]);
    let second = edit(&draft, &tree, &ops).unwrap();
    assert_eq!(changes(&tree, &second).len(), 2);
    assert_eq!(changes(&names(&base), &second).len(), model.len() - 1);
    let written = draft.written();
    let snapshot = commit(draft, &second);
    assert_eq!(snapshot.record().packs.count, written.packs);
    assert_eq!(snapshot.record().packs.bytes, written.bytes);
    model.remove(b"000100".as_slice());
    model.insert(b"000200".to_vec(), vec![9; 300]);
    assert_eq!(content(&second), model, "through the draft's tree");
    assert_eq!(content(&names(&snapshot)), model, "through the snapshot");
}

#[test]
fn a_small_run_writes_one_pack_of_payloads_and_nodes() {
    let catalog = in_memory();
    let draft = begin(&catalog.latest().unwrap(), 7);
    let mut model = numbered(0..1000, 0);
    model.extend((0..10u8).map(|n| (vec![b'p', n], vec![n; 500])));
    let tree = build(&draft, &model);
    let snapshot = commit(draft, &tree);
    let [pack] = snapshot.listed_packs().unwrap()[..] else { panic!("more than one pack") };
    let index = catalog.pack(pack.name).unwrap();
    let count = |kind| index.blobs.iter().filter(|blob| blob.kind == kind).count();
    assert_eq!(count(BlobKind::Payload), 10, "the others are inline");
    assert!(count(BlobKind::Node) > 5);
    assert_eq!(pack.name, PackName { base: version(0), run: RunId(7), seq: 0 });
}

#[test]
fn many_nodes_get_packs_of_their_own_and_big_payloads_too() {
    let catalog = in_memory();
    let options = DraftOptions { big_bytes: 100_000, ..DraftOptions::default() };
    let draft = Draft::begin(&catalog.latest().unwrap(), RunId(7), options);
    let mut model: crate::support::Model =
        (0..40_000u32).map(|n| (format!("{n:06}").into_bytes(), n.to_be_bytes().repeat(40))).collect();
    model.insert(b"big".to_vec(), vec![1; 100_000]);
    let tree = build(&draft, &model);
    let snapshot = commit(draft, &tree);
    let packs: Vec<_> = snapshot.listed_packs().unwrap().iter().map(|pack| catalog.pack(pack.name).unwrap()).collect();
    assert_eq!(packs.len(), 3);
    let kinds = |index: usize, kind| packs[index].blobs.iter().filter(|blob| blob.kind == kind).count();
    assert!((0..3).any(|pack| kinds(pack, BlobKind::Payload) == 1 && packs[pack].blobs.len() == 1));
    assert!((0..3).any(|pack| kinds(pack, BlobKind::Payload) == 0 && kinds(pack, BlobKind::Node) > 50));
}

#[test]
fn many_workers_share_a_draft() {
    let catalog = in_memory();
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(7), DraftOptions { pack_bytes: 50_000, ..DraftOptions::default() });
    let model: crate::support::Model =
        (0..400u32).map(|n| (format!("{n:06}").into_bytes(), vec![n as u8; 200 + n as usize])).collect();
    let mut entries: Vec<(NameBytes, Entry)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (draft, model) = (&draft, &model);
                scope.spawn(move || {
                    let mine = model.iter().skip(worker).step_by(4);
                    mine.map(|(k, v)| (k[..].into(), draft.put(&Payload::new(v.clone())).unwrap())).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let ops = entries.iter().map(|(key, entry)| Ok::<_, Error>((key.clone(), Some(entry.clone()))));
    let tree = draft.edit(&draft.empty_tree(), ops).unwrap();
    let all: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
    let read = |payloads: Vec<Payload>| payloads.iter().map(|payload| payload.bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(read(tree.read_all(&all).unwrap()), model.values().cloned().collect::<Vec<_>>());
    let snapshot = commit(draft, &tree);
    assert_eq!(read(names(&snapshot).read_all(&all).unwrap()), model.values().cloned().collect::<Vec<_>>());
    assert_eq!(content(&names(&snapshot)), model);
}

#[test]
fn payloads_keep_their_fields_and_can_be_streamed() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = create(&Stores::new(), &format!("file:{}", folder.path().display()));
    let draft = begin(&catalog.latest().unwrap(), 7);
    let long: Vec<u8> = (0..9_000_000u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    let payloads = [
        Payload::new(&b""[..]).with_field("name", "empty").unwrap(),
        Payload::new(&b"short"[..]),
        Payload::new(vec![5; 1000]).with_field("name", "value").unwrap().with_field("a", "b").unwrap(),
        Payload::new(long),
    ];
    let entries: Vec<Entry> = payloads.iter().map(|payload| draft.put(payload).unwrap()).collect();
    let ops = entries.iter().enumerate().map(|(n, entry)| Ok::<_, Error>(([n as u8][..].into(), Some(entry.clone()))));
    let tree = draft.edit(&draft.empty_tree(), ops).unwrap();
    let tree = names(&commit(draft, &tree));
    for (n, payload) in payloads.iter().enumerate() {
        let entry = tree.get(&[n as u8]).unwrap().unwrap();
        assert_eq!(entry, entries[n]);
        assert_eq!(entry.meta, payload.meta());
        assert_eq!(&tree.read(&entry).unwrap(), payload);
        let mut bytes = Vec::new();
        tree.open(&entry).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(&bytes, payload.bytes());
    }
    assert_eq!(tree.read_all(&entries).unwrap(), payloads);
}

/// Raw is all that is written today; compressed payloads must be readable nevertheless.
#[test]
fn compressed_payloads_are_read() {
    let catalog = in_memory();
    let draft = begin(&catalog.latest().unwrap(), 7);
    let text: String = (0..5000).map(|n| format!("compressible {} ", n * n)).collect();
    let payload = Payload::new(text);
    let packed = zstd::bulk::compress(payload.bytes(), 3).unwrap();
    let stored = draft.put(&Payload::new(packed)).unwrap();
    let Place::Pack { pack, offset, stored, .. } = stored.place else { panic!("too small to be in a pack") };
    let place = Place::Pack { pack, offset, stored, codec: Codec::Zstd };
    let wrong = Entry { meta: Meta { digest: Digest::of(b"other"), ..payload.meta() }, place: place.clone() };
    let entry = Entry { meta: payload.meta(), place };
    let ops = [(NameBytes::from(&b"k"[..]), Some(entry))].into_iter().map(Ok::<_, Error>);
    let tree = draft.edit(&draft.empty_tree(), ops).unwrap();
    let tree = names(&commit(draft, &tree));
    let entry = tree.get(b"k").unwrap().unwrap();
    assert_eq!(tree.read(&entry).unwrap(), payload);
    let mut bytes = Vec::new();
    tree.open(&entry).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(&bytes, payload.bytes());
    assert!(matches!(tree.read(&wrong).unwrap_err().kind(), ErrorKind::Corrupt { .. }));
    assert!(tree.open(&wrong).unwrap().read_to_end(&mut bytes).is_err());
}

#[test]
fn bad_operations_are_refused() {
    let catalog = in_memory();
    let base = catalog.latest().unwrap();
    let draft = begin(&base, 7);
    let entry = draft.put(&Payload::new(vec![1; 200])).unwrap();
    let inline = draft.put(&Payload::new(vec![1; 20])).unwrap();
    let refused = |ops: Vec<(&[u8], Entry)>, what: &str| {
        let ops = ops.into_iter().map(|(key, entry)| Ok::<_, Error>((key.into(), Some(entry))));
        let error = draft.edit(&draft.empty_tree(), ops).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(what), "{error}");
    };
    refused(vec![(b"b", entry.clone()), (b"a", entry.clone())], "`a` came after `b`");
    refused(vec![(b"a", entry.clone()), (b"a", entry.clone())], "unique");
    refused(vec![(&[b'k'; 20_000], entry.clone())], "a key has 20000 bytes, more than the 16384");
    let Place::Pack { pack, offset, stored, codec } = entry.place.clone() else { panic!("not in a pack") };
    let elsewhere = |pack| Entry { place: Place::Pack { pack, offset, stored, codec }, ..entry.clone() };
    refused(vec![(b"a", elsewhere(PackName { run: RunId(6), ..pack }))], "which this run has not written");
    refused(vec![(b"a", elsewhere(PackName { base: version(4), ..pack }))], "which this run has not written");
    let longer = Entry { meta: Meta { len: 21, ..inline.meta.clone() }, ..inline };
    refused(vec![(b"a", longer)], "another length");
    let meta = Meta { digest: Digest::of(b"x"), len: 7, fields: Fields::default() };
    assert!(draft.put_known(meta, &Payload::new(vec![0; 8])).is_err());
}

#[test]
fn the_callers_own_errors_come_back() {
    #[derive(Debug)]
    enum Mine {
        Store,
        Own,
    }
    impl From<Error> for Mine {
        fn from(_: Error) -> Mine {
            Mine::Store
        }
    }
    let catalog = in_memory();
    let draft = begin(&catalog.latest().unwrap(), 7);
    let ops = [Ok((NameBytes::from(&b"a"[..]), None)), Err(Mine::Own)];
    assert!(matches!(draft.edit(&draft.empty_tree(), ops.into_iter()), Err(Mine::Own)));
    let key = NameBytes::from(vec![0; 100_000]);
    assert!(matches!(draft.edit(&draft.empty_tree(), [Ok((key, None))].into_iter()), Err(Mine::Store)));
}

/// What a lost attempt has written must not be found in the place of equal content written by the next.
#[test]
fn a_given_up_draft_leaves_nothing_in_the_cache_that_is_used() {
    let stores = Stores::new();
    let catalog = create(&stores, "memory:x");
    let base = catalog.latest().unwrap();
    let model = numbered(0..3000, 0);
    let lost = begin(&base, 7);
    let tree = build(&lost, &model);
    assert_eq!(content(&tree), model, "its nodes are in the cache now");
    drop((lost, tree));
    let draft = begin(&base, 8);
    let tree = build(&draft, &model);
    let tree = edit(&draft, &tree, &Ops::from([(b"000100".to_vec(), None)])).unwrap();
    commit(draft, &tree);
    let fresh = Catalog::open(&stores, "memory:x").unwrap().latest().unwrap();
    assert_eq!(content(&names(&fresh)).len(), model.len() - 1);
}

#[test]
fn trees_of_a_committed_draft_can_go_on() {
    let catalog = in_memory();
    let draft = begin(&catalog.latest().unwrap(), 7);
    let tree = build(&draft, &numbered(0..300, 0));
    let first = commit(draft, &tree);
    let draft = begin(&first, 8);
    let adopted = draft.adopt(&tree);
    let second = edit(&draft, &adopted, &puts(&numbered(100..110, 1))).unwrap();
    assert_eq!(second.scan(KeyRange::prefix(b"0001")).count(), 100);
    assert!(matches!(draft.commit(next(&second)).unwrap(), deltic_store::Committed::New(_)));
}

#[test]
fn everything_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<(Stores, Catalog, deltic_store::Snapshot, deltic_store::Tree, Draft, Error)>();
    fn sent<T: Send>() {}
    sent::<(deltic_store::Scan, deltic_store::Diff, deltic_store::PayloadReader, deltic_store::TreeEditor)>();
}

#[test]
fn a_catalog_under_a_folder_is_read_and_never_written() {
    let log = RequestLog::new();
    let stores = Stores::new().with_wrapper(log.wrapper());
    let catalog = create(&stores, "memory:c");
    let options = DraftOptions { inline_bytes: 0, ..DraftOptions::default() };
    let draft = Draft::begin(&catalog.latest().unwrap(), RunId(7), options);
    let tree = build(&draft, &numbered(0..2000, 0));
    commit(draft, &tree);
    log.take();

    let folder = tempfile::tempdir().unwrap();
    let under = catalog.under(folder.path()).unwrap();
    // Packs so small that many are uploaded.
    let options = DraftOptions { pack_bytes: 5_000, ..options };
    let base = under.latest().unwrap();
    let draft = Draft::begin(&base, RunId(8), options);
    let before = names(&base);
    let ops: Ops = (0..500).map(|n| (format!("{n:06}").into_bytes(), Some(vec![n as u8; 300]))).collect();
    let now = edit(&draft, &before, &ops).unwrap();
    let mut model = numbered(0..2000, 0);
    model.extend(ops.into_iter().map(|(name, body)| (name, body.unwrap_or_default())));
    assert_eq!(content(&now), model, "what was written and what was there, together");
    assert_eq!(changes(&before, &now).len(), 500);
    drop(draft);
    assert!(std::fs::read_dir(folder.path().join("packs")).unwrap().count() > 10);
    assert!(log.take().iter().all(|request| matches!(request.operation, Operation::Get | Operation::List)));
    assert_eq!(content(&names(&catalog.latest().unwrap())), numbered(0..2000, 0));
}

/// Nothing that is read is other than its digest says, however it is read.
#[test]
fn bytes_that_are_not_those_of_their_digest_are_an_error() {
    let catalog = in_memory();
    let draft = begin(&catalog.latest().unwrap(), 7);
    let tree = build(&draft, &[(b"a".to_vec(), b"small".to_vec())].into());
    let mut entry = tree.get(b"a").unwrap().unwrap();
    assert!(matches!(entry.place, Place::Inline(_)));
    entry.place = Place::Inline(b"SMALL".as_slice().into());
    let told = "an entry holds inline bytes that do not match its digest";
    assert!(tree.read(&entry).unwrap_err().to_string().contains(told));
    assert!(tree.open(&entry).unwrap().read_to_end(&mut Vec::new()).unwrap_err().to_string().contains(told));
    // By pieces, of a payload as it is and of one that is compressed: the digest is that of another of this length.
    for byte in [0, 1] {
        let bytes: Vec<u8> = (0..9_000_000u32).map(|n| (byte * (n.wrapping_mul(0x9e37_79b9) >> 24)) as u8).collect();
        let draft = begin(&catalog.latest().unwrap(), 8);
        let tree = edit(&draft, &draft.empty_tree(), &[(b"a".to_vec(), Some(bytes))].into()).unwrap();
        let tree = names(&commit(draft, &tree));
        let entry = tree.get(b"a").unwrap().unwrap();
        let lied = Entry { meta: Meta { digest: Digest::of(b"another"), ..entry.meta.clone() }, ..entry.clone() };
        tree.open(&entry).unwrap().read_to_end(&mut Vec::new()).unwrap();
        let error = tree.open(&lied).unwrap().read_to_end(&mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("its bytes do not match its digest"), "{error}");
    }
}

/// A draft that has handed over goes on in packs of other names.
#[test]
fn a_draft_goes_on_after_it_has_handed_over() {
    let log = RequestLog::new();
    let catalog = create(&Stores::new().with_wrapper(log.wrapper()), "memory:x");
    let draft =
        Draft::begin(&catalog.latest().unwrap(), RunId(7), DraftOptions { inline_bytes: 0, ..DraftOptions::default() });
    let handed_over = || {
        draft.hand_over(&mut []).unwrap();
        let uploads = log.take().into_iter().filter(|request| request.operation == Operation::Put);
        uploads.map(|request| (request.object, request.bytes > 0)).collect::<Vec<_>>()
    };
    let one = edit(&draft, &draft.empty_tree(), &puts(&numbered(0..100, 0))).unwrap();
    log.take();
    let first = handed_over();
    assert_eq!((first.len(), first[0].1), (1, true));
    assert_eq!(handed_over(), [], "nothing is written twice");
    let two = edit(&draft, &one, &puts(&numbered(50..150, 1))).unwrap();
    let second = handed_over();
    assert!(second.len() == 1 && second != first, "{second:?}");
    let snapshot = commit(draft, &two);
    assert_eq!(snapshot.record().packs.count, 2);
    let mut model = numbered(0..50, 0);
    model.extend(numbered(50..150, 1));
    assert_eq!(content(&names(&snapshot)), model);
}
