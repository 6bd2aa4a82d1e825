//! Creating, opening, finding the latest version, the log, dependencies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use deltic_core::{CatalogId, CatalogUuid, Layer, RunId, Version};
use deltic_store::testing::{Fault, Operation, faults};
use deltic_store::{Catalog, Committed, ErrorKind, NewCatalog, NextVersion, Result, Stores, transitive_dependencies};
use object_store::ObjectStore;

use crate::support::{
    Ops, advance, begin, build, commit, content, create, identity, layer, names, next, numbered, objects, puts, remove,
    tampered, version, write,
};

const RECORD_2: &str = "versions/00000000000000000002";

fn versions(stores: &Stores, count: u64) -> Catalog {
    let catalog = create(stores, "memory:x");
    for number in 1..=count {
        let key = format!("{number:06}").into_bytes();
        advance(&catalog, 100 + number, &Ops::from([(key, Some(b"value".to_vec()))]));
    }
    catalog
}

#[test]
fn a_new_catalog_has_version_0_with_empty_layers() {
    let stores = Stores::new();
    let layers = vec![Layer::generic("z").unwrap(), Layer::generic("a").unwrap().with_content_type("text/plain")];
    let catalog = Catalog::create(&stores, "memory:new", layers.clone(), identity()).unwrap();
    let snapshot = Catalog::open(&stores, "memory:new").unwrap().latest().unwrap();
    assert_eq!(snapshot.version(), version(0));
    assert_eq!(snapshot.uuid(), identity().uuid);
    assert_eq!(snapshot.layers().collect::<Vec<_>>(), [&layers[1], &layers[0]], "sorted by id");
    assert!(snapshot.tree(&layers[0].id).unwrap().is_empty());
    assert!(snapshot.layer_settings(&layer().id).is_none() && snapshot.tree(&layer().id).is_none());
    assert_eq!(catalog.latest().unwrap().digest(), snapshot.digest());
}

#[test]
fn creating_twice_or_opening_nothing_says_so() {
    let stores = Stores::new();
    create(&stores, "memory:x");
    let other = NewCatalog { run: RunId(2), ..identity() };
    let error = Catalog::create(&stores, "memory:x", vec![layer()], other).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists);
    let error = Catalog::create(&stores, "memory:y", vec![layer(), layer()], identity()).unwrap_err();
    assert!(error.to_string().contains("layer `names` is given twice"), "{error}");
    let error = Catalog::open(&stores, "memory:none").unwrap().latest().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("deltic init memory:none --layer"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file:{}/none", folder.path().display());
    let error = Catalog::open(&stores, &url).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&format!("deltic init {url} --layer")), "{error}");
    let error = create(&stores, "memory:z").snapshot(version(3)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
}

#[test]
fn an_interrupted_creation_is_completed_under_the_first_uuid() {
    let stores = Stores::new();
    let fail = stores.clone().with_wrapper(faults(|operation, object| {
        if operation == Operation::Create && object.starts_with("versions/") { Fault::Before } else { Fault::None }
    }));
    let error = Catalog::create(&fail, "memory:x", vec![layer()], identity()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    let error = Catalog::open(&stores, "memory:x").unwrap().latest().unwrap_err();
    assert!(error.to_string().contains("creation was interrupted"), "{error}");
    let second = NewCatalog { uuid: CatalogUuid(0xbeef), run: RunId(2), ..identity() };
    let catalog = Catalog::create(&stores, "memory:x", vec![layer()], second).unwrap();
    assert_eq!(catalog.latest().unwrap().uuid(), identity().uuid, "the uuid that was written first");
}

#[test]
fn a_store_that_ignores_put_if_absent_is_refused() {
    let careless = |operation, _: &str| match operation {
        Operation::Create => Fault::IgnoreCondition,
        _ => Fault::None,
    };
    let stores = Stores::new().with_wrapper(faults(careless));
    let error = Catalog::create(&stores, "memory:x", vec![layer()], identity()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("honours conditional writes"), "{error}");
    assert_eq!(*Catalog::open(&stores, "memory:x").unwrap().latest().unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn memory_and_file_catalogs_are_equal() {
    let folder = tempfile::tempdir().unwrap();
    let urls = ["memory:x".to_owned(), format!("file:{}/a/b", folder.path().display())];
    let stores = Stores::new();
    let digests = urls.map(|url| {
        let catalog = create(&stores, &url);
        let model = numbered(0..3000, 1);
        advance(&catalog, 2, &puts(&model));
        let reopened = Catalog::open(&stores, &url).unwrap().latest().unwrap();
        assert_eq!(content(&names(&reopened)), model);
        (reopened.digest(), reopened.record_digest(), reopened.record().clone())
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn the_latest_version_is_found_whatever_the_hint_says() {
    for count in [0, 1, 2, 3, 4, 5, 6, 9, 14] {
        let (store, stores) = tampered();
        versions(&stores, count);
        let find = || Catalog::open(&stores, "memory:x").unwrap().latest().map(|snapshot| snapshot.version().0);
        for hint in
            [count, 0, count / 2, count.saturating_sub(1), count + 1, count + 3, 1_000_000, u64::MAX - 1, u64::MAX]
        {
            write(&store, "versions/latest", format!("{hint}\n"));
            // The greatest number is no hint. One that is ahead names a version that is lost.
            if hint > count && hint < u64::MAX {
                let kind = find().unwrap_err().kind().clone();
                assert_eq!(kind, ErrorKind::Corrupt { object: "versions/latest".to_owned() }, "hint {hint}");
                continue;
            }
            assert_eq!(find().unwrap(), count, "hint {hint}");
        }
        for junk in ["", "junk", "-1", "99999999999999999999999", "\u{0}"] {
            write(&store, "versions/latest", junk);
            assert_eq!(find().unwrap(), count, "hint {junk:?}");
        }
        remove(&store, "versions/latest");
        assert_eq!(find().unwrap(), count, "no hint");
        write(&store, "versions/junk", "x");
        write(&store, "other/junk", "x");
        assert_eq!(find().unwrap(), count, "junk beside");
    }
}

/// One that is ahead costs a logarithm; one that is behind a record for each version that was passed over, too.
#[test]
fn what_a_wrong_hint_costs() {
    let (store, plain) = tampered();
    versions(&plain, 20);
    for (hint, most) in [("20", 3), ("19", 4), ("16", 8), ("0", 32), ("21", 4), ("1000000", 25), ("junk", 32)] {
        write(&store, "versions/latest", hint);
        let catalog = Catalog::open(&plain, "memory:x").unwrap();
        let found = catalog.latest().map(|latest| latest.version());
        // One that is ahead in a folder is an error, at the same cost.
        assert!(matches!((hint, found), ("21" | "1000000", Err(_)) | (_, Ok(Version(20)))), "hint {hint}");
        let requests = catalog.requests();
        assert!(requests.gets <= most && requests.puts + requests.lists == 0, "hint {hint}: {requests:?}");
        let before = catalog.requests();
        if catalog.latest().is_err() {
            continue;
        }
        assert_eq!((catalog.requests() - before).total(), 1, "the second time only the next version is asked for");
    }
}

#[test]
fn the_log_goes_back_to_version_0_and_checks_parents() {
    let (store, stores) = tampered();
    let catalog = versions(&stores, 5);
    let numbers: Vec<u64> = catalog.log().map(|snapshot| snapshot.unwrap().version().0).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1, 0]);
    // A record that is whole, but is not the one that the next version was made on.
    let (other_store, other) = tampered();
    let replaced = create(&other, "memory:x");
    for number in 1..=3 {
        advance(&replaced, 900 + number, &Ops::from([(vec![b'x'; number as usize], Some(b"y".to_vec()))]));
    }
    let object = "versions/00000000000000000003";
    write(&store, object, objects(&other_store)[object].clone());
    for url in ["memory:x", "s3://bucket/x"] {
        let errors: Vec<_> = Catalog::open(&stores, url).unwrap().log().filter_map(Result::err).collect();
        assert_eq!(errors.len(), 1, "{url}");
        assert_eq!(*errors[0].kind(), ErrorKind::Corrupt { object: object.to_owned() }, "{url}");
    }
}

#[test]
fn another_catalogs_record_is_not_this_ones() {
    let (store, stores) = tampered();
    let catalog = versions(&stores, 1);
    let (foreign_store, other) = tampered();
    let foreign = NewCatalog { uuid: CatalogUuid(0xf00), ..identity() };
    let foreign = Catalog::create(&other, "memory:x", vec![layer()], foreign).unwrap();
    advance(&foreign, 100, &Ops::from([(b"a".to_vec(), Some(b"b".to_vec()))]));
    advance(&foreign, 101, &Ops::from([(b"c".to_vec(), Some(b"d".to_vec()))]));
    // The foreign version 2, where this catalog's would be.
    write(&store, RECORD_2, objects(&foreign_store)[RECORD_2].clone());
    let error = catalog.latest().unwrap_err();
    assert!(error.to_string().contains("it belongs to catalog"), "{error}");
}

#[test]
fn dependencies_of_dependencies_are_listed_once_a_version() {
    let stores = Stores::new();
    let id = |text: &str| CatalogId::new(text).unwrap();
    let make = |name: &str, uuid: u128, inputs: &[(CatalogId, &deltic_store::Snapshot)]| {
        let identity = NewCatalog { uuid: CatalogUuid(uuid), ..identity() };
        let url = format!("memory:{name}");
        let catalog = Catalog::create(&stores, &url, vec![layer()], identity).unwrap();
        let base = catalog.latest().unwrap();
        let draft = begin(&base, 2);
        let tree = build(&draft, &numbered(0..3, 0));
        let dependencies = transitive_dependencies(inputs).unwrap();
        match draft.commit(NextVersion { dependencies, ..next(&tree) }).unwrap() {
            Committed::New(snapshot) => snapshot,
            Committed::Unchanged => panic!("nothing to commit"),
        }
    };
    let source = make("source", 1, &[]);
    let older = source.catalog().snapshot(Version(0)).unwrap();
    let left = make("left", 2, &[(id("in"), &source)]);
    let right = make("right", 3, &[(id("in"), &older)]);
    let list = transitive_dependencies(&[(id("r"), &right), (id("l"), &left)]).unwrap();
    let brief: Vec<_> =
        list.iter().map(|d| (d.catalog.as_ref().map(ToString::to_string), d.uuid.0, d.version.0, d.direct)).collect();
    let (l, r) = (Some("l".to_owned()), Some("r".to_owned()));
    assert_eq!(brief, [(l, 2, 1, true), (r, 3, 1, true), (None, 1, 0, false), (None, 1, 1, false)]);
    let list = transitive_dependencies(&[(id("l"), &left), (id("s"), &source)]).unwrap();
    assert_eq!(list.len(), 2, "what is read directly is not listed as indirect too");
    assert_eq!(list[1].digest, source.digest());
    assert!(transitive_dependencies(&[(id("l"), &left), (id("l"), &right)]).is_err());
}

/// A record that another program wrote may name a catalog by a URL that holds more than a place.
#[test]
fn urls_of_dependencies_are_read_without_what_may_be_secret() {
    let (store, stores) = tampered();
    let catalog = create(&stores, "memory:x");
    let source = create(&Stores::new(), "memory:source").latest().unwrap();
    let mut dependencies = transitive_dependencies(&[(CatalogId::new("in").unwrap(), &source)]).unwrap();
    dependencies[0].url = "s3://bucket/folder?code=hidden".to_owned();
    let draft = begin(&catalog.latest().unwrap(), 2);
    let tree = build(&draft, &numbered(0..3, 0));
    assert!(matches!(draft.commit(NextVersion { dependencies, ..next(&tree) }).unwrap(), Committed::New(_)));
    assert!(String::from_utf8_lossy(&objects(&store)["versions/00000000000000000001"]).contains("hidden"));
    let read = Catalog::open(&stores, "memory:x").unwrap().latest().unwrap();
    assert_eq!(read.record().dependencies[0].url, "s3://bucket/folder?***");
}

#[test]
fn commits_through_two_openings_see_each_other() {
    let stores = Stores::new();
    let one = create(&stores, "memory:x");
    let two = Catalog::open(&stores, "memory:x").unwrap();
    let first = advance(&one, 2, &puts(&numbered(0..10, 0)));
    assert_eq!(two.latest().unwrap().record(), first.record());
    let draft = begin(&two.latest().unwrap(), 3);
    let tree = build(&draft, &numbered(0..20, 0));
    commit(draft, &tree);
    assert_eq!(one.latest().unwrap().version(), version(2));
}

/// A remote URL whose store is one in memory: what is special about remote stores is how requests are driven.
#[test]
fn remote_stores_are_driven_from_any_thread() {
    let (_, stores) = tampered();
    let catalog = create(&stores, "s3://bucket/folder");
    advance(&catalog, 7, &puts(&numbered(0..5000, 0)));
    std::thread::scope(|scope| {
        for part in 0..4u32 {
            let stores = &stores;
            scope.spawn(move || {
                let tree = names(&Catalog::open(stores, "s3://bucket/folder").unwrap().latest().unwrap());
                let prefix = format!("00{part}");
                assert_eq!(tree.scan(deltic_store::KeyRange::prefix(prefix.as_bytes())).count(), 1000);
            });
        }
    });
    assert_eq!(content(&names(&catalog.latest().unwrap())), numbered(0..5000, 0));
}

/// Does something to a catalog where somebody else creates it and commits twice, before the operation of this number.
fn beside_somebody(number: usize, work: impl Fn(&Stores) -> Result<Catalog>) -> (usize, Catalog) {
    let (store, plain) = tampered();
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    let hook = faults(move |_, _| {
        if asked.fetch_add(1, Ordering::SeqCst) == number {
            let other = plain.clone();
            let somebody = move || {
                let new = NewCatalog { uuid: CatalogUuid(0xbeef), run: RunId(2), ..identity() };
                let catalog = Catalog::open_or_create(&other, "memory:x", vec![layer()], new).unwrap();
                advance(&catalog, 5, &puts(&numbered(0..300, 1)));
                advance(&catalog, 6, &puts(&numbered(0..300, 2)));
            };
            std::thread::spawn(somebody).join().unwrap();
        }
        Fault::None
    });
    let stores = Stores::new().with_wrapper(move |_| hook(Arc::clone(&store) as Arc<dyn ObjectStore>));
    let catalog = work(&stores).unwrap();
    (count.load(Ordering::SeqCst), catalog)
}

#[test]
fn a_catalog_is_opened_or_created_however_far_somebody_else_has_come() {
    let open_or_create = |stores: &Stores| Catalog::open_or_create(stores, "memory:x", vec![layer()], identity());
    let (operations, created) = beside_somebody(usize::MAX, open_or_create);
    assert!(operations >= 8, "{operations}");
    assert_eq!((created.latest().unwrap().uuid(), created.latest().unwrap().version()), (identity().uuid, version(0)));
    let mut made_by_somebody = 0;
    for number in 0..operations {
        let (_, catalog) = beside_somebody(number, open_or_create);
        let latest = catalog.latest().unwrap();
        assert_eq!(latest.version(), version(2), "before operation {number}");
        assert_eq!(content(&names(&latest)), numbered(0..300, 2));
        assert!(catalog.fsck(true).unwrap().damage.is_empty(), "before operation {number}");
        made_by_somebody += usize::from(latest.uuid() != identity().uuid);
    }
    assert!(0 < made_by_somebody && made_by_somebody < operations, "{made_by_somebody} of {operations}");
}

#[test]
fn of_many_who_open_or_create_a_catalog_all_have_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for url in ["memory:x".to_owned(), format!("file:{}/new/x", folder.path().display())] {
        let stores = Stores::new();
        let open_or_create = |number: u64| {
            let new = NewCatalog { uuid: CatalogUuid(number.into()), run: RunId(number), ..identity() };
            Catalog::open_or_create(&stores, &url, vec![layer()], new).unwrap().latest().unwrap().uuid()
        };
        let uuids: Vec<CatalogUuid> = std::thread::scope(|scope| {
            let open_or_create = &open_or_create;
            let users: Vec<_> = (1..=8).map(|number| scope.spawn(move || open_or_create(number))).collect();
            users.into_iter().map(|user| user.join().unwrap()).collect()
        });
        assert!(uuids.iter().all(|uuid| *uuid == uuids[0]), "{url}: {uuids:?}");
        assert_eq!(open_or_create(99), uuids[0]);
    }
}

/// Two that create a catalog at once: who is second finds it there, however far the first has come.
#[test]
fn who_creates_a_catalog_that_somebody_creates_at_the_moment_is_told_that_it_is_there() {
    let (store, plain) = tampered();
    let other = plain.clone();
    let began = AtomicBool::new(false);
    let hook = faults(move |operation, _| {
        // It has seen that there is no version, and looks now for what runs have left.
        if operation == Operation::List && !began.swap(true, Ordering::SeqCst) {
            let other = other.clone();
            let create_and_fill = move || {
                let catalog = create(&other, "memory:x");
                advance(&catalog, 5, &puts(&numbered(0..300, 1)));
                assert!(!catalog.latest().unwrap().listed_packs().unwrap().is_empty());
            };
            std::thread::spawn(create_and_fill).join().unwrap();
        }
        Fault::None
    });
    let stores = Stores::new().with_wrapper(move |_| hook(Arc::clone(&store) as Arc<dyn ObjectStore>));
    let second = NewCatalog { uuid: CatalogUuid(0xbeef), run: RunId(2), ..identity() };
    let error = Catalog::create(&stores, "memory:x", vec![layer()], second).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(Catalog::open(&plain, "memory:x").unwrap().latest().unwrap().version(), version(1));
}
