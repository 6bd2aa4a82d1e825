//! Copies of a catalog that go on by themselves: what they still have in common, and versions known by their digest.

use std::sync::Arc;

use deltic_core::{CatalogUuid, RunId, Version};
use deltic_store::testing::RequestLog;
use deltic_store::{Catalog, ErrorKind, NewCatalog, Relation, Retention, Stores};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::support::{
    CREATED, Ops, advance, create, identity, in_memory, layer, objects, remove, tampered, version, write,
};

/// Sets one partition.
fn set(catalog: &Catalog, run: u64, value: &str) {
    advance(catalog, run, &Ops::from([(b"a".to_vec(), Some(value.as_bytes().to_vec()))]));
}

/// A catalog with versions up to `count`, each of a content of its own, and a copy of it.
fn copied(count: u64) -> ((Arc<InMemory>, Stores), (Arc<InMemory>, Stores)) {
    let (one, other) = (tampered(), tampered());
    let catalog = create(&one.1, "memory:x");
    for number in 1..=count {
        set(&catalog, 10 + number, &number.to_string());
    }
    for (name, bytes) in objects(&one.0) {
        write(&other.0, &name, bytes);
    }
    (one, other)
}

fn open(stores: &Stores) -> Catalog {
    Catalog::open(stores, "memory:x").unwrap()
}

fn relation(one: &Stores, other: &Stores) -> Relation {
    open(one).lineage(&open(other)).unwrap().relation
}

#[test]
fn a_copy_is_the_same_then_behind_then_another_history() {
    for common in 0..12 {
        let ((_, one), (_, other)) = copied(common);
        assert_eq!(relation(&one, &other), Relation::Same);
        for ahead in 1..4 {
            set(&open(&one), 100 + ahead, &format!("here {ahead}"));
            assert_eq!(relation(&one, &other), Relation::Ahead(ahead));
            assert_eq!(relation(&other, &one), Relation::Behind(ahead));
        }
        for there in 1..6 {
            set(&open(&other), 200 + there, &format!("there {there}"));
            let digest = |stores: &Stores| open(stores).snapshot(Version(common).next()).unwrap().digest();
            let (ours, theirs) = (digest(&one), digest(&other));
            assert_ne!(ours, theirs);
            let expected = Relation::Diverged { after: Some(Version(common)), ours, theirs };
            assert_eq!(relation(&one, &other), expected, "{common} in common, then 3 and {there}");
        }
    }
}

#[test]
fn what_was_done_twice_has_two_histories_of_one_content() {
    let ((_, one), (_, other)) = copied(2);
    set(&open(&one), 100, "same");
    set(&open(&other), 200, "same");
    let Relation::Diverged { after, ours, theirs } = relation(&one, &other) else { panic!("two runs made version 3") };
    assert_eq!((after, ours == theirs), (Some(version(2)), true));
}

#[test]
fn catalogs_that_were_never_one() {
    let ((_, one), _) = copied(2);
    let (_, other) = tampered();
    let identity = |uuid, run| NewCatalog { uuid: CatalogUuid(uuid), run: RunId(run), created: CREATED };
    Catalog::create(&other, "memory:x", vec![layer()], identity(0xf00, 1)).unwrap();
    assert_eq!(relation(&one, &other), Relation::Unrelated);
    // A uuid that was given twice.
    let (_, other) = tampered();
    Catalog::create(&other, "memory:x", vec![layer()], identity(0xcafe, 2)).unwrap();
    assert!(matches!(relation(&one, &other), Relation::Diverged { after: None, .. }));
}

#[test]
fn two_histories_are_compared_by_records_and_few_of_them() {
    let log = RequestLog::new();
    let ((store, _), (_, other)) = copied(40);
    let one = Stores::new().with_wrapper({
        let wrap = log.wrapper();
        move |_| wrap(Arc::clone(&store) as Arc<dyn ObjectStore>)
    });
    set(&open(&one), 100, "here");
    set(&open(&other), 200, "there");
    log.take();
    assert!(matches!(relation(&one, &other), Relation::Diverged { after: Some(Version(40)), .. }));
    let requests = log.take();
    assert!(requests.len() <= 3 + 6, "{requests:#?}");
    assert!(requests.iter().all(|request| request.object.starts_with("versions/")), "{requests:#?}");
}

#[test]
fn a_record_that_is_missing_is_named() {
    let ((_, one), (store, other)) = copied(8);
    set(&open(&one), 100, "here");
    set(&open(&other), 200, "there");
    remove(&store, "versions/00000000000000000004");
    let error = open(&one).lineage(&open(&other)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt { object: "versions/00000000000000000004".to_owned() });
}

#[test]
fn versions_are_found_by_their_digest_within_64() {
    let catalog = in_memory();
    set(&catalog, 10, "lost and found");
    let wanted = catalog.latest().unwrap().digest();
    for number in 2..=70 {
        set(&catalog, 10 + number, &number.to_string());
    }
    let found = |near| catalog.with_digest(&wanted, Version(near)).unwrap().map(|snapshot| snapshot.version().0);
    assert_eq!((found(1), found(3), found(33)), (Some(1), Some(1), Some(1)));
    // Around 34 there are 31 to each side, and the 32nd below it: down to 2. From the latest, 70, there are 64 down to 7.
    assert_eq!((found(34), found(70), found(1000)), (None, None, None));
    // Of several the nearest.
    set(&catalog, 100, "lost and found");
    assert_eq!((found(70), found(30), found(99)), (Some(71), Some(1), Some(71)));
    let digest = catalog.snapshot(version(5)).unwrap().digest();
    assert_eq!(catalog.with_digest(&digest, version(4)).unwrap().unwrap().version(), version(5));
}

#[test]
fn what_can_not_be_read_is_not_found_by_its_digest() {
    let (store, stores) = tampered();
    let catalog = create(&stores, "memory:x");
    for (number, value) in ["one", "two", "one", "three"].iter().enumerate() {
        set(&catalog, 10 + number as u64, value);
    }
    let digest = catalog.snapshot(version(1)).unwrap().digest();
    let found = || open(&stores).with_digest(&digest, version(1)).unwrap().map(|snapshot| snapshot.version().0);
    assert_eq!(found(), Some(1));
    let rules = Retention { last: Some(2), ..Retention::default() };
    catalog.retain(&rules, RunId(100), CREATED, false).unwrap();
    assert_eq!(found(), Some(3), "version 1 has expired");
    // Its record is there all the same.
    let records = open(&stores).look_up(&[version(1), version(3), version(99)]).unwrap();
    let digests: Vec<_> = records.iter().map(|record| record.as_ref().map(|record| record.digest())).collect();
    assert_eq!(digests, [Some(digest), Some(digest), None]);
    write(&store, "versions/00000000000000000003", "not a record");
    assert_eq!(found(), None, "a damaged record is no version");
    assert!(open(&stores).look_up(&[version(3)]).unwrap()[0].is_none());
}

/// Records in more than one batch.
#[test]
fn many_records_are_looked_up_in_the_order_asked() {
    let catalog = in_memory();
    for number in 1..=70 {
        set(&catalog, 10 + number, &number.to_string());
    }
    let asked: Vec<Version> = (0..=70).rev().map(Version).collect();
    let found = catalog.look_up(&asked).unwrap();
    assert!(found.iter().zip(&asked).all(|(found, asked)| found.as_ref().unwrap().version() == *asked));
}

#[test]
fn the_parent_is_the_one_that_is_named() {
    let ((store, stores), _) = copied(3);
    let latest = open(&stores).latest().unwrap();
    let parent = latest.parent().unwrap().unwrap();
    assert_eq!(parent.version(), version(2));
    assert!(open(&stores).snapshot(version(0)).unwrap().parent().unwrap().is_none());
    // A record of another history in its place.
    let (other_store, other) = tampered();
    let catalog = Catalog::create(&other, "memory:x", vec![layer()], identity()).unwrap();
    set(&catalog, 20, "x");
    set(&catalog, 21, "y");
    let object = "versions/00000000000000000002";
    write(&store, object, objects(&other_store)[object].clone());
    let error = open(&stores).latest().unwrap().parent().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt { object: object.to_owned() });
}
