//! Repacking: digests stay, sparse packs are replaced, and a sweep can free them.

use std::collections::BTreeSet;

use deltic_core::{Layer, RunId, Timestamp};
use deltic_store::{
    Catalog, Committed, Draft, DraftOptions, ErrorKind, NextVersion, ObjectName, RepackOptions, Repacked, Result,
    Retention,
};

use crate::support::{
    CREATED, Model, Ops, advance, begin, build, changes, commit, content, create, edit, layer, names, next, objects,
    puts, tampered, version,
};

const URL: &str = "memory:x";

fn repack(catalog: &Catalog, below_percent: u32, most_bytes: Option<u64>) -> Result<Repacked> {
    let run = RunId(7000 + catalog.latest()?.version().0);
    catalog.repack(&RepackOptions { below_percent, most_bytes, ..RepackOptions::default() }, run, Timestamp(0), false)
}

fn keep_latest(catalog: &Catalog) {
    let latest = catalog.latest().unwrap().version();
    let rules = Retention { keep: [latest].into(), ..Retention::default() };
    // The version that retention itself makes is kept as well; what matters is what else expires.
    catalog.retain(&rules, RunId(8000 + latest.0), Timestamp(0), false).unwrap();
}

fn long(range: std::ops::Range<u32>, edition: u32) -> Model {
    range.map(|n| (format!("{n:06}").into_bytes(), format!("{n:>200} {edition:>200}").into_bytes())).collect()
}

/// Two layers and a table; version 1 is replaced by nine tenths in version 2, and the rest of it is sparse.
fn sparse(catalog: &Catalog) {
    let base = catalog.latest().unwrap();
    let draft = begin(&base, 100);
    let other = Layer::generic("other").unwrap();
    let state = [("table".to_owned(), build(&draft, &long(0..40, 7)))].into();
    let layers = vec![(layer(), build(&draft, &long(0..400, 0))), (other.clone(), build(&draft, &long(0..40, 5)))];
    let next = NextVersion { layers, state, created: CREATED, ..NextVersion::default() };
    let Committed::New(base) = draft.commit(next).unwrap() else { panic!("nothing to commit") };
    let draft = begin(&base, 101);
    let table = edit(&draft, &base.state_table("table").unwrap(), &puts(&long(4..40, 8))).unwrap();
    let names = edit(&draft, &names(&base), &puts(&long(40..400, 1))).unwrap();
    let others = edit(&draft, &base.tree(&other.id).unwrap(), &puts(&long(4..40, 6))).unwrap();
    let layers = vec![(layer(), names), (other, others)];
    let next =
        NextVersion { layers, state: [("table".to_owned(), table)].into(), created: CREATED, ..NextVersion::default() };
    assert!(matches!(draft.commit(next).unwrap(), Committed::New(_)));
}

#[test]
fn sparse_packs_are_replaced_and_digests_stay() {
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    sparse(&catalog);
    let packs = || objects(&store).into_keys().filter(|object| object.starts_with("packs/")).collect::<BTreeSet<_>>();
    assert_eq!(repack(&catalog, 50, None).unwrap().version, None, "version 1 is retained and needs all of its pack");
    keep_latest(&catalog);
    let before = catalog.latest().unwrap();
    let first = ObjectName::Pack(
        catalog.log().map(Result::unwrap).find(|one| one.version() == version(1)).unwrap().listed_packs().unwrap()[0]
            .name,
    );
    let would = catalog.repack(&RepackOptions::default(), RunId(1), Timestamp(0), true).unwrap();
    assert_eq!((would.version, would.replaced.count, catalog.latest().unwrap().version()), (None, 1, before.version()));
    let done = repack(&catalog, 50, None).unwrap();
    let after = catalog.latest().unwrap();
    assert_eq!((done.version, done.replaced), (Some(after.version()), would.replaced));
    assert!(done.live_bytes * 2 < done.replaced.bytes && done.written.bytes < done.replaced.bytes, "{done:?}");
    assert_eq!((after.digest(), after.state_digest()), (before.digest(), before.state_digest()));
    assert_eq!(after.record().tasks, before.record().tasks);
    for (one, two) in after.record().layers.iter().zip(&before.record().layers) {
        assert_eq!(
            (one.root.digest, one.root.count, one.root.bytes),
            (two.root.digest, two.root.count, two.root.bytes)
        );
        assert_ne!(one.root.place, two.root.place);
    }
    assert!(changes(&names(&before), &names(&after)).is_empty());
    assert_eq!(repack(&catalog, 50, None).unwrap().version, None, "nothing is sparse any more");
    // The versions before still need the old pack: nothing is freed until they have expired.
    assert_eq!(catalog.gc(false).unwrap().removed.count, 0);
    keep_latest(&catalog);
    assert!(catalog.gc(false).unwrap().removed.count >= 1 && !packs().contains(&first.to_string()));
    let fresh = Catalog::open(&stores, URL).unwrap().latest().unwrap();
    let mut expected = long(0..40, 0);
    expected.extend(long(40..400, 1));
    assert_eq!(content(&names(&fresh)), expected);
    let mut expected = long(0..4, 7);
    expected.extend(long(4..40, 8));
    assert_eq!(content(&fresh.state_table("table").unwrap()), expected);
    // Life goes on upon it.
    let made = advance_all(&catalog);
    assert_eq!(content(&names(&made))[&b"000001"[..]], b"new");
}

fn advance_all(catalog: &Catalog) -> deltic_store::Snapshot {
    advance(catalog, 900, &Ops::from([(b"000001".to_vec(), Some(b"new".to_vec()))]))
}

#[test]
fn no_more_is_copied_than_was_allowed() {
    let (_, stores) = tampered();
    let catalog = create(&stores, URL);
    // Many packs, each of them half replaced.
    let base = catalog.latest().unwrap();
    let draft = Draft::begin(&base, RunId(50), DraftOptions { pack_bytes: 8000, ..DraftOptions::default() });
    let tree = build(&draft, &long(0..400, 0));
    commit(draft, &tree);
    let ops: Ops =
        long(0..400, 1).into_iter().enumerate().filter(|(n, _)| n % 4 != 0).map(|(_, (k, v))| (k, Some(v))).collect();
    advance(&catalog, 51, &ops);
    keep_latest(&catalog);
    let all = catalog.repack(&RepackOptions::default(), RunId(1), Timestamp(0), true).unwrap();
    assert!(all.replaced.count > 10, "{all:?}");
    let some = repack(&catalog, 50, Some(all.live_bytes / 3)).unwrap();
    assert!(
        some.version.is_some() && some.live_bytes <= all.live_bytes / 3 && some.replaced.count < all.replaced.count / 2
    );
    let rest = repack(&catalog, 50, None).unwrap();
    assert!(rest.replaced.count > 0);
    assert_eq!(repack(&catalog, 10, None).unwrap().version, None);
}

#[test]
fn a_run_that_was_first_wins() {
    let (_, stores) = tampered();
    let catalog = create(&stores, URL);
    sparse(&catalog);
    keep_latest(&catalog);
    let other = Catalog::open(&stores, URL).unwrap();
    let draft = begin(&other.latest().unwrap(), 300);
    let tree = edit(&draft, &names(draft.base()), &Ops::from([(b"x".to_vec(), Some(vec![1]))])).unwrap();
    repack(&catalog, 50, None).unwrap();
    assert!(matches!(draft.commit(next(&tree)).unwrap_err().kind(), ErrorKind::Conflict { .. }));
}
