//! The format, frozen: objects written once and kept under `tests/golden`, a folder for each format of records, must be read
//! for good, and what is written today must have the digests they have.
//!
//! `DELTIC_WRITE_GOLDEN=1 cargo test -p deltic-store golden` writes them anew: for a new format only.

use std::path::PathBuf;

use deltic_core::{
    CatalogId, CatalogUuid, Digest, Grid, Layer, LayerId, NameBytes, Payload, RunId, TaskId, Timestamp, Version,
};
use deltic_store::{
    Catalog, Codec, Committed, Dependency, Draft, DraftOptions, Entry, Error, KeyRange, NewCatalog, NextVersion, Owner,
    Place, Snapshot, Stores, TaskRecord, Tree,
};

use crate::support::{CREATED, numbered, objects, tampered};

fn folder(format: u32) -> PathBuf {
    PathBuf::from(format!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/format-{}"), format))
}

fn layers() -> Vec<Layer> {
    vec![
        Layer::generic("names").unwrap().with_content_type("text/plain"),
        Layer::tiles("tiles", Grid::Here, [3, 4]).unwrap(),
    ]
}

/// Payloads of every kind: inline, empty, with fields, in a pack, compressed in a pack; enough for two levels.
fn payloads() -> Vec<(NameBytes, Payload)> {
    let mut all: Vec<(NameBytes, Payload)> =
        numbered(0..400, 0).into_iter().map(|(key, value)| (key.into_boxed_slice(), Payload::new(value))).collect();
    all.push((b"empty"[..].into(), Payload::default()));
    all.push((
        b"fields"[..].into(),
        Payload::new("inline").with_field("lang", "de").unwrap().with_field("a", "b").unwrap(),
    ));
    all.push((b"pack"[..].into(), Payload::new("a payload in a pack ".repeat(10))));
    all
}

fn compressed() -> Payload {
    Payload::new("a payload that compresses ".repeat(40))
}

/// The zstd frame of [`compressed`] is written by hand: no encoder's choices are part of the golden objects.
fn frame(payload: &Payload) -> Vec<u8> {
    // Magic, a header that says "single segment, two bytes of content size", one raw block marked as the last.
    let len = payload.len() as u32;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x60];
    frame.extend_from_slice(&((len - 256) as u16).to_le_bytes());
    frame.extend_from_slice(&(len << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(payload.bytes());
    frame
}

fn make(stores: &Stores) -> Snapshot {
    let identity = NewCatalog { uuid: CatalogUuid(0x0123_4567_89ab_cdef), run: RunId(1), created: CREATED };
    let catalog = Catalog::create(stores, "memory:golden", layers(), identity).unwrap();
    let draft = Draft::begin(&catalog.latest().unwrap(), RunId(0xa1), DraftOptions::default());
    let put = |(key, payload): (NameBytes, Payload)| Ok::<_, Error>((key, Some(draft.put(&payload)?)));
    let names = draft.edit(&draft.empty_tree(), payloads().into_iter().map(put)).unwrap();
    let stored = draft.put(&Payload::new(frame(&compressed()))).unwrap();
    let Place::Pack { pack, offset, stored, .. } = stored.place else { panic!("not in a pack") };
    let place = Place::Pack { pack, offset, stored, codec: Codec::Zstd };
    let zstd = Entry { meta: compressed().meta(), place };
    let names = draft.edit(&names, [Ok::<_, Error>((b"zstd"[..].into(), Some(zstd)))].into_iter()).unwrap();
    let tile = |digits: &str| put((digits.as_bytes().into(), Payload::new(digits.to_owned())));
    let tiles = draft.edit(&draft.empty_tree(), ["012", "0123", "333"].map(tile).into_iter()).unwrap();
    let edges = draft.edit(&draft.empty_tree(), [tile("edge")].into_iter()).unwrap();
    let none = draft.empty_tree();
    let dependency = Dependency {
        catalog: Some(CatalogId::new("in").unwrap()),
        uuid: CatalogUuid(7),
        url: "memory:in".to_owned(),
        version: Version(3),
        digest: Digest::of(b"in"),
        direct: true,
    };
    let task = TaskRecord {
        id: TaskId::new("copy").unwrap(),
        fingerprint: Digest::of(b"task"),
        parts: [("code".to_owned(), "1".to_owned())].into(),
        configuration: serde_json::json!({ "level": 8, "names": ["a", "b"] }),
    };
    let [names_layer, tiles_layer] = layers().try_into().unwrap();
    let next = NextVersion {
        layers: vec![(tiles_layer.clone(), tiles.clone()), (names_layer.clone(), names)],
        state: [("edges".to_owned(), edges), ("none".to_owned(), none)].into(),
        dependencies: vec![dependency],
        tasks: vec![task],
        owner: Some(Owner::Tasks(vec![TaskId::new("copy").unwrap()])),
        created: Timestamp(CREATED.0 + 1500),
        note: "the first \"golden\" version".to_owned(),
        statistics: serde_json::json!({ "put": 407 }),
    };
    let Committed::New(first) = draft.commit(next).unwrap() else { panic!("nothing to commit") };
    let draft = Draft::begin(&first, RunId(0xa2), DraftOptions::default());
    let base = first.tree(&LayerId::new("names").unwrap()).unwrap();
    let changed = draft.put(&Payload::new("changed")).unwrap();
    let ops = [(b"000100"[..].into(), None), (b"000200"[..].into(), Some(changed))].map(Ok::<_, Error>);
    let names = draft.edit(&base, ops.into_iter()).unwrap();
    let next = NextVersion {
        layers: vec![(names_layer, names), (tiles_layer, tiles)],
        created: Timestamp(CREATED.0 + 86_400_000),
        ..NextVersion::default()
    };
    match draft.commit(next).unwrap() {
        Committed::New(second) => second,
        Committed::Unchanged => panic!("nothing to commit"),
    }
}

fn check(snapshot: &Snapshot) {
    let first = snapshot.catalog().snapshot(Version(1)).unwrap();
    let mut expected = payloads();
    expected.push((b"zstd"[..].into(), compressed()));
    let names = |snapshot: &Snapshot| snapshot.tree(&LayerId::new("names").unwrap()).unwrap();
    let read = |tree: &Tree| -> Vec<(NameBytes, Payload)> {
        tree.scan(KeyRange::all())
            .map(|item| item.map(|(key, entry)| (key, tree.read(&entry).unwrap())).unwrap())
            .collect()
    };
    assert_eq!(read(&names(&first)), expected);
    expected.retain(|(key, _)| **key != *b"000100");
    expected.iter_mut().find(|(key, _)| **key == *b"000200").unwrap().1 = Payload::new("changed");
    assert_eq!(read(&names(snapshot)), expected);
    assert_eq!(first.state_tables().collect::<Vec<_>>(), ["edges", "none"]);
    assert_eq!(first.record().note, "the first \"golden\" version");
    assert_eq!(first.record().created, Timestamp(CREATED.0 + 1500));
    assert_eq!(first.record().dependencies[0].version, Version(3));
    assert_eq!(first.record().tasks[0].configuration["level"], 8);
    assert_eq!(first.record().owner, Some(Owner::Tasks(vec![TaskId::new("copy").unwrap()])));
    assert_eq!(snapshot.layers().cloned().collect::<Vec<_>>(), layers());
    for record in snapshot.catalog().log() {
        for pack in record.unwrap().listed_packs().unwrap() {
            assert!(!snapshot.catalog().pack(pack.name).unwrap().blobs.is_empty());
        }
    }
    let digests =
        [first.digest(), first.state_digest(), names(&first).digest(), snapshot.digest(), names(snapshot).digest()];
    assert_eq!(digests.map(|digest| digest.to_string()), GOLDEN_DIGESTS);
}

const GOLDEN_DIGESTS: [&str; 5] = [
    "7e6824242fda4be81bbc2cb3961dd39433ed969861b36ee078e814a868947d38",
    "8b7591f8ed159af8eadf4ca490547fdec4e5e3196fe8cecde9124e74b46018bb",
    "bda22b56a2eb0a67289ab2c6cc023f143c3d8024227c20af1b04754bfd1f5523",
    "7c70581a1537bd906e0f9406f27ddfeaf9a0403225e880d442015f1d338a8f11",
    "05cb87818aaf63458a7597271e7776ce7cf0c3a1e6bec7b77a7385522fb78402",
];

#[test]
fn what_is_written_today_has_the_golden_digests() {
    let (store, stores) = tampered();
    let snapshot = make(&stores);
    if std::env::var_os("DELTIC_WRITE_GOLDEN").is_some() {
        for (object, bytes) in objects(&store) {
            let path = folder(2).join(object);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    check(&snapshot);
    let written = objects(&store);
    // Nothing in these depends on how well a compressor did; packs may come out otherwise with another zstd.
    for object in ["catalog.json", "versions/00000000000000000000", "versions/latest"] {
        let golden = std::fs::read(folder(2).join(object)).unwrap();
        assert_eq!(String::from_utf8_lossy(&written[object]), String::from_utf8_lossy(&golden), "{object}");
    }
}

#[test]
fn the_golden_objects_are_read() {
    for format in [1, 2] {
        let url = format!("file:{}", folder(format).display());
        check(&Catalog::open(&Stores::new(), &url).unwrap().latest().unwrap());
    }
}

/// The pack that `docs/format.md` takes apart byte by byte.
#[test]
fn the_worked_example_in_the_documentation_is_true() {
    let (store, stores) = tampered();
    let catalog = crate::support::create(&stores, "memory:x");
    let options = DraftOptions { inline_bytes: 3, ..DraftOptions::default() };
    let draft = Draft::begin(&catalog.latest().unwrap(), RunId(0x0102_0304_0506_0708), options);
    let put = |key: &[u8], text: &str| Ok::<_, Error>((key.into(), Some(draft.put(&Payload::from(text))?)));
    let tree = draft.edit(&draft.empty_tree(), [put(b"one", "abc"), put(b"only", "payload")].into_iter()).unwrap();
    crate::support::commit(draft, &tree);
    let pack = &objects(&store)["packs/0000000000000000-0102030405060708-0000"];
    let hex = |line: &[u8]| line.iter().map(|byte| format!(" {byte:02x}")).collect::<String>();
    let dump: Vec<String> =
        pack.chunks(16).enumerate().map(|(row, line)| format!("{:04x} {}", 16 * row, hex(line))).collect();
    let documented = include_str!("../../../../docs/format.md");
    assert!(documented.contains(&dump.join("\n")), "it should hold:\n{}", dump.join("\n"));
    assert!(documented.contains(&tree.digest().to_string()), "it should hold the root's digest {}", tree.digest());
}

#[test]
fn digests_of_nothing_are_frozen() {
    let (_, stores) = tampered();
    let catalog = crate::support::create(&stores, "memory:x");
    let snapshot = catalog.latest().unwrap();
    let empty = crate::support::names(&snapshot);
    assert_eq!([empty.digest(), snapshot.digest(), snapshot.state_digest()].map(|d| d.to_string()), EMPTY_DIGESTS);
}

const EMPTY_DIGESTS: [&str; 3] = [
    "e1b24ae4abab8e7f25eee9125ccff611652e4077c29beac1c9aa968c51de2818",
    "01f8dbb79b4cc05ba85515e7fd902041dac5918de5513c8548e414eab7784321",
    "14f97266db7b47507e4c4cd3f97e6c7c663e73b33ad8b60906e0ab909f58d5d3",
];
