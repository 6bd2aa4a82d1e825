//! The commit: races, lost acknowledgements, failures at every request, nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deltic_core::{Digest, NameBytes, Payload, RunId, TaskId};
use deltic_store::testing::{Fault, Operation, Rounds, faults};
use deltic_store::{Catalog, Committed, Draft, DraftOptions, Error, ErrorKind, NextVersion, Owner, Stores, TaskRecord};

use crate::support::{
    Model, Ops, advance, begin, build, commit, content, create, edit, in_memory, names, next, numbered, puts, version,
};

const RECORD_1: &str = "versions/00000000000000000001";

#[test]
fn of_two_drafts_one_wins_and_the_other_is_told_who() {
    let stores = Stores::new();
    let catalog = create(&stores, "memory:x");
    let base = catalog.latest().unwrap();
    let (one, two) = (begin(&base, 10), begin(&base, 11));
    let (left, right) = (build(&one, &numbered(0..10, 0)), build(&two, &numbered(0..10, 1)));
    let won = commit(two, &right);
    let error = one.commit(next(&left)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Conflict { version: version(1), winner: RunId(11) });
    assert!(error.to_string().contains("000000000000000b"), "{error}");
    let latest = Catalog::open(&stores, "memory:x").unwrap().latest().unwrap();
    assert_eq!(latest.record(), won.record());
    assert_eq!(content(&names(&latest)), numbered(0..10, 1));
}

#[test]
fn of_many_writers_each_version_has_one() {
    let stores = Stores::new();
    create(&stores, "memory:x");
    let wins: Vec<usize> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8u64)
            .map(|writer| {
                let stores = stores.clone();
                scope.spawn(move || {
                    let catalog = Catalog::open(&stores, "memory:x").unwrap();
                    let mut wins = 0;
                    for attempt in 0..20 {
                        let base = catalog.latest().unwrap();
                        let draft = begin(&base, 1000 + writer * 100 + attempt);
                        let key = format!("writer {writer} attempt {attempt}").into_bytes();
                        let tree = edit(&draft, &names(&base), &Ops::from([(key, Some(vec![1; 200]))])).unwrap();
                        match draft.commit(next(&tree)) {
                            Ok(Committed::New(_)) => wins += 1,
                            Ok(Committed::Unchanged) => panic!("a new key is a change"),
                            Err(error) => assert!(matches!(error.kind(), ErrorKind::Conflict { .. }), "{error}"),
                        }
                    }
                    wins
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let latest = Catalog::open(&stores, "memory:x").unwrap().latest().unwrap();
    let total: usize = wins.iter().sum();
    assert_eq!(latest.version().0 as usize, total, "an acknowledged commit was lost, or one counted twice");
    assert_eq!(names(&latest).count() as usize, total);
    assert_eq!(content(&names(&latest)).len(), total);
}

/// Fails the `nth` request of a kind on objects that begin with `prefix`, and those after it `times - 1` times.
fn fail(operation: Operation, prefix: &'static str, times: usize, fault: Fault) -> (Stores, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let stores = Stores::new().with_wrapper(faults(move |asked, object| {
        let hit = asked == operation && object.starts_with(prefix);
        if hit && counter.fetch_add(1, Ordering::Relaxed) < times { fault } else { Fault::None }
    }));
    (stores, seen)
}

#[test]
fn a_lost_acknowledgement_is_a_success() {
    let (stores, seen) = fail(Operation::Create, RECORD_1, 1, Fault::After);
    let catalog = create(&stores, "memory:x");
    advance(&catalog, 7, &puts(&numbered(0..100, 0)));
    assert_eq!(seen.load(Ordering::Relaxed), 1, "reading back is enough");
    assert_eq!(Catalog::open(&stores, "memory:x").unwrap().latest().unwrap().record().run, RunId(7));
}

#[test]
fn a_write_that_did_not_happen_is_tried_again() {
    let (stores, seen) = fail(Operation::Create, RECORD_1, 2, Fault::Before);
    let catalog = create(&stores, "memory:x");
    advance(&catalog, 7, &puts(&numbered(0..100, 0)));
    assert_eq!(seen.load(Ordering::Relaxed), 3);
}

#[test]
fn a_store_that_never_answers_is_given_up() {
    let (stores, _) = fail(Operation::Create, RECORD_1, usize::MAX, Fault::Before);
    let catalog = create(&stores, "memory:x");
    let base = catalog.latest().unwrap();
    let draft = begin(&base, 7);
    let tree = build(&draft, &numbered(0..10, 0));
    assert_eq!(*draft.commit(next(&tree)).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(Catalog::open(&stores, "memory:x").unwrap().latest().unwrap().version(), version(0));
}

/// A refusal is certain, and is not tried again; after a try of which nobody knows what became of it, it is not.
#[test]
fn a_write_that_is_refused_was_not_made() {
    for (first, tries, certain) in [(Fault::Refused, 1, true), (Fault::Before, 5, false)] {
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&seen);
        let stores = Stores::new().with_wrapper(faults(move |asked, object| match asked {
            Operation::Create if object == RECORD_1 && counter.fetch_add(1, Ordering::Relaxed) == 0 => first,
            Operation::Create if object == RECORD_1 => Fault::Refused,
            _ => Fault::None,
        }));
        let catalog = create(&stores, "memory:x");
        let draft = begin(&catalog.latest().unwrap(), 7);
        let tree = build(&draft, &numbered(0..10, 0));
        let error = draft.commit(next(&tree)).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable);
        assert_eq!(seen.load(Ordering::Relaxed), tries, "{first:?}");
        assert_eq!(error.to_string().contains("could not be created, and no version was made"), certain, "{error}");
        assert_eq!(error.to_string().contains("it is unknown whether"), !certain, "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("one may not write"), "{cause}");
        assert_eq!(Catalog::open(&stores, "memory:x").unwrap().latest().unwrap().version(), version(0));
    }
}

#[test]
fn a_hint_that_can_not_be_written_does_no_harm() {
    let (stores, seen) = fail(Operation::Put, "versions/latest", usize::MAX, Fault::Before);
    let catalog = create(&stores, "memory:x");
    advance(&catalog, 7, &puts(&numbered(0..10, 0)));
    assert!(seen.load(Ordering::Relaxed) > 0);
    assert_eq!(Catalog::open(&stores, "memory:x").unwrap().latest().unwrap().version(), version(1));
}

/// Every request of a commit fails in turn, before or after its effect: afterwards the catalog is at its base or at
/// the new version, and doing it again ends in the same digest.
#[test]
fn whatever_request_fails_the_catalog_is_whole() {
    for fault in [Fault::Before, Fault::After] {
        for broken in 0.. {
            let plain = Stores::new();
            let base = create(&plain, "memory:x").latest().unwrap();
            let seen = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&seen);
            // One request and all its repetitions: the store is gone for a while.
            let stores = plain.clone().with_wrapper(faults(move |_, _| {
                let at = counter.fetch_add(1, Ordering::Relaxed);
                if (broken..broken + 3).contains(&at) { fault } else { Fault::None }
            }));
            let model = numbered(0..2000, 0);
            let run = |stores: &Stores, run: u64| -> deltic_store::Result<Committed> {
                let latest = Catalog::open(stores, "memory:x")?.latest()?;
                let draft = begin(&latest, run);
                let tree = edit(&draft, &names(&latest), &puts(&model))?;
                draft.commit(next(&tree))
            };
            let first = run(&stores, 50);
            let after = Catalog::open(&plain, "memory:x").unwrap().latest().unwrap();
            match &first {
                Ok(Committed::New(snapshot)) => assert_eq!(snapshot.record(), after.record()),
                Ok(Committed::Unchanged) => panic!("there was something to commit"),
                Err(_) => assert!(after.record() == base.record() || after.record().run == RunId(50)),
            }
            let again = run(&plain, 51).unwrap();
            let settled = Catalog::open(&plain, "memory:x").unwrap().latest().unwrap();
            assert_eq!(matches!(again, Committed::Unchanged), after.version() == version(1));
            assert_eq!(settled.version(), version(1));
            assert_eq!(content(&names(&settled)), model);
            if seen.load(Ordering::Relaxed) <= broken {
                assert!(broken > 4 && first.is_ok(), "nothing was broken at all");
                break;
            }
        }
    }
}

/// To a remote store packs are uploaded beside the work. One that fails for long stays in memory, whoever hears of it.
#[test]
fn a_pack_whose_upload_failed_beside_the_work_is_uploaded_by_the_commit() {
    for failing in [1, 6] {
        let (rounds, seen) = (Rounds::new(), Arc::new(AtomicUsize::new(0)));
        let (wrapper, counter) = (rounds.wrapper(), Arc::clone(&seen));
        // Every try of the first packs.
        let fail = faults(move |asked, object| {
            let hit = asked == Operation::Put && object.starts_with("packs/");
            let hit = hit && (0..failing).any(|seq| object.ends_with(&format!("-{seq:04}")));
            let hit = hit && counter.fetch_add(1, Ordering::Relaxed) < 3 * failing;
            if hit { Fault::Before } else { Fault::None }
        });
        let catalog = create(&Stores::new().with_wrapper(move |remote| fail(wrapper(remote))), "s3://x");
        let base = catalog.latest().unwrap();
        let options = DraftOptions { pack_bytes: 4096, ..DraftOptions::default() };
        let draft = Draft::begin(&base, RunId(7), options);
        let model: Model = (0..40u8).map(|n| (vec![n + 1], vec![n; 1024])).collect();
        // A worker may be told of a failure; what it had put is not lost.
        let put = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            let payload = Payload::new(value.clone());
            let entry = draft.put(&payload).or_else(|_| draft.put(&payload)).unwrap();
            (NameBytes::from(&key[..]), entry)
        };
        let entries: Vec<_> = model.iter().map(put).collect();
        let ops = entries.into_iter().map(|(key, entry)| Ok::<_, Error>((key, Some(entry))));
        let tree = draft.edit(&draft.empty_tree(), ops).unwrap();
        assert_eq!(content(&tree), model, "readable before all is uploaded");
        let snapshot = commit(draft, &tree);
        assert_eq!(content(&names(&snapshot)), model);
        assert_eq!(seen.load(Ordering::Relaxed), 4 * failing, "three tries, and one that succeeds");
    }
}

#[test]
fn nothing_changed_writes_nothing() {
    let stores = Stores::new();
    let catalog = create(&stores, "memory:x");
    let base = advance(&catalog, 7, &puts(&numbered(0..500, 0)));
    let before = catalog.requests();
    let draft = begin(&base, 8);
    let tree = edit(&draft, &names(&base), &puts(&numbered(0..500, 0))).unwrap();
    let other = NextVersion {
        note: "notes and figures make no version".to_owned(),
        statistics: serde_json::json!({ "seconds": 1 }),
        ..next(&tree)
    };
    assert!(matches!(draft.commit(other).unwrap(), Committed::Unchanged));
    assert_eq!((catalog.requests() - before).puts, 0);
    assert_eq!(catalog.latest().unwrap().version(), version(1));
}

#[test]
fn state_dependencies_and_tasks_make_a_version_that_shares_all_nodes() {
    let stores = Stores::new();
    let catalog = create(&stores, "memory:x");
    let base = advance(&catalog, 7, &puts(&numbered(0..500, 0)));
    let task = TaskRecord {
        id: TaskId::new("copy").unwrap(),
        fingerprint: Digest::of(b"1"),
        parts: [("code".to_owned(), "1".to_owned())].into(),
        configuration: serde_json::json!({ "level": 8 }),
    };
    let before = catalog.requests();
    let Committed::New(second) =
        begin(&base, 8).commit(NextVersion { tasks: vec![task.clone()], ..next(&names(&base)) }).unwrap()
    else {
        panic!("a task record is a change")
    };
    let requests = catalog.requests() - before;
    assert_eq!((requests.puts, second.record().packs.count), (2, 0), "a record and a hint, no pack");
    assert_eq!(names(&second).root(), names(&base).root());
    assert_eq!((second.digest(), second.state_digest()), (base.digest(), base.state_digest()));
    let draft = begin(&second, 9);
    let state = [("edges".to_owned(), build(&draft, &numbered(0..10, 0)))].into();
    let layers = next(&names(&second)).layers;
    let Committed::New(third) =
        draft.commit(NextVersion { tasks: vec![task], state, layers, ..NextVersion::default() }).unwrap()
    else {
        panic!("state is a change")
    };
    assert_eq!(third.digest(), second.digest());
    assert_ne!(third.state_digest(), second.state_digest());
    let reopened = Catalog::open(&stores, "memory:x").unwrap().latest().unwrap();
    assert_eq!(reopened.record(), third.record());
    assert_eq!(reopened.state_tables().collect::<Vec<_>>(), ["edges"]);
    assert_eq!(content(&reopened.state_table("edges").unwrap()), numbered(0..10, 0));
    assert_eq!(reopened.record().retained, [(version(0), version(3))]);
    assert_eq!(reopened.record().parent, Some(second.record_digest()));
}

#[test]
fn what_a_version_can_not_hold_is_refused() {
    let stores = Stores::new();
    let catalog = create(&stores, "memory:x");
    let base = advance(&catalog, 7, &puts(&numbered(0..500, 0)));
    let foreign = deltic_store::NewCatalog { uuid: deltic_core::CatalogUuid(5), ..crate::support::identity() };
    let foreign = Catalog::create(&stores, "memory:y", vec![crate::support::layer()], foreign).unwrap();
    let refused = |result: deltic_store::Result<Committed>, what: &str| {
        let error = result.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains(what), "{error}");
    };
    let tree = names(&foreign.latest().unwrap());
    refused(begin(&base, 8).commit(next(&tree)), "layer `names`: a tree of catalog memory:y");
    let abandoned = begin(&base, 9);
    let tree = build(&abandoned, &numbered(0..20, 0));
    drop(abandoned);
    refused(begin(&base, 10).commit(next(&tree)), "not committed");
    let twice = NextVersion {
        layers: [next(&names(&base)).layers, next(&names(&base)).layers].concat(),
        ..NextVersion::default()
    };
    refused(begin(&base, 11).commit(twice), "layer `names` is given twice");
    let late = NextVersion { created: deltic_core::Timestamp(u64::MAX), ..next(&names(&base)) };
    refused(begin(&base, 12).commit(late), "after the year 9999");
}

/// Who writes stays as it was where nobody says who does, and to be the first is no news by itself.
#[test]
fn the_owner_stays_until_another_is_named() {
    let catalog = in_memory();
    let commit_as = |run: u64, owner: Option<Owner>, content: u32| {
        let base = catalog.latest().unwrap();
        let draft = begin(&base, run);
        let tree = edit(&draft, &names(&base), &puts(&numbered(0..u32::from(content > 0), content))).unwrap();
        matches!(draft.commit(NextVersion { owner, ..next(&tree) }).unwrap(), Committed::New(_))
    };
    let owner = || catalog.latest().unwrap().record().owner.clone();
    assert_eq!((commit_as(1, Some(Owner::Imports), 0), owner()), (false, None), "nothing but a first owner");
    assert_eq!((commit_as(2, Some(Owner::Imports), 1), owner()), (true, Some(Owner::Imports)));
    assert_eq!((commit_as(3, None, 2), owner()), (true, Some(Owner::Imports)));
    assert_eq!((commit_as(4, None, 2), owner()), (false, Some(Owner::Imports)));
    assert_eq!((commit_as(5, Some(Owner::Sources), 2), owner()), (true, Some(Owner::Sources)), "another one is news");
}
