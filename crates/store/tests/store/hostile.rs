//! Places, lengths and version numbers that no writer writes: errors, and neither panics nor searches without end.

use std::io::Read;

use deltic_store::{Catalog, Codec, Entry, Error, ErrorKind, Place, Result, Stores, Tree};

use crate::support::{advance, begin, create, names, numbered, objects, puts, tampered, write};

const URL: &str = "memory:x";

/// A version with one payload in a pack, and its entry.
fn fill(stores: &Stores, url: &str) -> (Catalog, Tree, Entry) {
    let catalog = create(stores, url);
    let tree = names(&advance(&catalog, 7, &[(b"long".to_vec(), Some(vec![7; 5000]))].into()));
    let entry = tree.get(b"long").unwrap().unwrap();
    (catalog, tree, entry)
}

fn every_way(tree: &Tree, entry: &Entry) -> [Result<()>; 4] {
    let stream = |entry: &Entry| {
        let mut all = Vec::new();
        tree.open(entry)?.read_to_end(&mut all).map(|_| ()).map_err(|error| error.downcast::<Error>().unwrap())
    };
    [
        tree.read(entry).map(|_| ()),
        tree.read_all(&[entry.clone(), entry.clone()]).map(|_| ()),
        tree.begin_read_all(vec![entry.clone()]).and_then(deltic_store::Payloads::wait).map(|_| ()),
        stream(entry),
    ]
}

#[test]
fn entries_that_lie_are_errors_whatever_they_say() {
    let folder = tempfile::tempdir().unwrap();
    for url in [URL.to_owned(), format!("file://{}", folder.path().display())] {
        let (_, tree, entry) = fill(&Stores::new(), &url);
        assert!(every_way(&tree, &entry).iter().all(Result::is_ok));
        let Place::Pack { pack, offset, stored, .. } = entry.place else { panic!("inline") };
        for number in [0, 1, stored - 1, stored + 1, 1 << 20, 1 << 40, 1 << 62, u64::MAX - 1, u64::MAX] {
            for codec in [Codec::Raw, Codec::Zstd] {
                for (offset, stored, len) in
                    [(number, stored, entry.meta.len), (offset, number, entry.meta.len), (offset, stored, number)]
                {
                    let place = Place::Pack { pack, offset, stored, codec };
                    let mut lie = Entry { place, ..entry.clone() };
                    lie.meta.len = len;
                    for (way, read) in every_way(&tree, &lie).into_iter().enumerate() {
                        if number == 0 && len == 0 && way == 3 {
                            continue; // Of nothing nothing is read.
                        }
                        let error = read.expect_err(&format!("{lie:?} was read, way {way}"));
                        let object = format!("packs/{pack}");
                        assert_eq!(*error.kind(), ErrorKind::Corrupt { object }, "{lie:?}, way {way}: {error}");
                    }
                }
            }
        }
    }
}

/// Within a draft, too, where packs may still be in memory.
#[test]
fn entries_of_a_draft_that_lie_are_errors() {
    let (catalog, ..) = fill(&Stores::new(), URL);
    let draft = begin(&catalog.latest().unwrap(), 9);
    let entry = draft.put(&deltic_core::Payload::new(vec![9; 5000])).unwrap();
    let tree = draft.empty_tree();
    let Place::Pack { pack, offset, stored, codec } = entry.place else { panic!("inline") };
    assert!(tree.read(&entry).is_ok());
    for number in [1, 1 << 40, 1 << 62, u64::MAX - 1, u64::MAX] {
        for (offset, stored) in [(offset + number.min(u64::MAX - offset), stored), (offset, number)] {
            let lie = Entry { place: Place::Pack { pack, offset, stored, codec }, ..entry.clone() };
            assert!(tree.read(&lie).is_err(), "{lie:?}");
        }
    }
}

/// The search for the latest version comes to an end where numbers do.
#[test]
fn versions_at_the_end_of_numbers_are_errors() {
    let (store, stores) = tampered();
    fill(&stores, URL);
    let record = objects(&store)["versions/00000000000000000001"].clone();
    for number in [u64::MAX - 1, u64::MAX] {
        write(&store, &format!("versions/{number:020}"), record.clone());
    }
    for hint in [u64::MAX - 1, u64::MAX - 2] {
        write(&store, "versions/latest", format!("{hint}\n"));
        let error = Catalog::open(&stores, URL).unwrap().latest().unwrap_err();
        let object = format!("versions/{}", u64::MAX);
        assert_eq!(*error.kind(), ErrorKind::Corrupt { object }, "{hint}: {error}");
    }
    write(&store, "versions/latest", format!("{}\n", u64::MAX));
    let catalog = Catalog::open(&stores, URL).unwrap();
    assert_eq!(catalog.latest().unwrap().version(), crate::support::version(1), "that is no hint");
    for number in [u64::MAX - 1, u64::MAX] {
        let error = catalog.snapshot(crate::support::version(number)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
    }
    let found = catalog.fsck(true).unwrap().damage;
    assert_eq!(found.iter().map(|damage| &damage.object[..]).collect::<Vec<_>>(), ["versions/18446744073709551614"]);
    assert!(found[0].what.contains("versions 18446744073709551614 to 18446744073709551615 are"), "{found:?}");
    advance(&catalog, 9, &puts(&numbered(0..3, 0)));
}
