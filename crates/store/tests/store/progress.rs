//! What runs leave for later ones on the same base: when it can be found and referred to, and when it is passed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use deltic_core::{Digest, Payload, RunId};
use deltic_store::testing::{Fault, Operation, RequestLog, faults};
use deltic_store::{Catalog, Draft, DraftOptions, Entry, PackName, Place, Stores};

use crate::support::{Ops, advance, commit, content, create, names, objects, tampered, version};

const URL: &str = "memory:x";

fn key(number: u8) -> Digest {
    Digest::of(&[number])
}

fn long(number: u8) -> Payload {
    vec![number; 300].into()
}

fn begin(catalog: &Catalog, run: u64) -> Draft {
    Draft::begin(&catalog.latest().unwrap(), RunId(run), DraftOptions::default())
}

/// A run that has put a payload, has kept so, and ended there.
fn left(catalog: &Catalog, run: u64) -> (Entry, PackName) {
    let draft = begin(catalog, run);
    let entry = draft.put(&long(1)).unwrap();
    let Place::Pack { pack, .. } = entry.place else { panic!("it is inline") };
    let progress = draft.checkpoints();
    assert!(!progress.stored().contains_key(&pack), "it is in memory");
    progress.flush().unwrap();
    let packs = [(pack, progress.stored()[&pack])];
    progress.write(&[(key(1), Bytes::from_static(b"one")), (key(2), Bytes::new())], &packs).unwrap();
    (entry, pack)
}

#[test]
fn a_later_run_on_the_base_finds_it_and_may_refer_to_its_packs() {
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    let (entry, pack) = left(&catalog, 70);

    let draft = begin(&catalog, 71);
    let put = || {
        draft.edit(
            &draft.empty_tree(),
            [Ok::<_, deltic_store::Error>((b"a".as_slice().into(), Some(entry.clone())))].into_iter(),
        )
    };
    let error = put().unwrap_err().to_string();
    assert!(error.contains(&format!("lies in pack {pack}, which this run has not written")), "{error}");
    let progress = draft.checkpoints();
    assert!(!progress.has_result(|| key(1)), "nobody has looked");
    assert_eq!(progress.find(&key(1)).as_deref(), Some(&b"one"[..]));
    assert_eq!(progress.find(&key(2)).as_deref(), Some(&b""[..]));
    assert_eq!(progress.find(&key(3)), None);
    assert!(progress.has_result(|| key(1)) && !progress.has_result(|| key(3)));
    let tree = put().unwrap();
    let made = commit(draft, &tree);
    progress.remove();
    assert!(!objects(&store).keys().any(|object| object.starts_with("progress/")));
    let fresh = Catalog::open(&stores, URL).unwrap();
    assert_eq!(fresh.gc(false).unwrap().removed.count, 0, "the pack is needed now");
    assert_eq!(fresh.fsck(true).unwrap().damage, []);
    let read = content(&names(&fresh.snapshot(made.version()).unwrap()));
    assert_eq!(read.into_values().collect::<Vec<_>>(), [vec![1; 300]]);
}

#[test]
fn a_run_on_another_base_finds_nothing() {
    let (_, stores) = tampered();
    let catalog = create(&stores, URL);
    left(&catalog, 70);
    advance(&catalog, 71, &Ops::from([(b"x".to_vec(), Some(vec![1]))]));
    let draft = begin(&catalog, 72);
    assert_eq!(draft.checkpoints().find(&key(1)), None);
    let swept = catalog.gc(false).unwrap();
    assert_eq!((swept.progress_removed.count, swept.progress_kept.count, swept.version), (1, 0, version(1)));
}

#[test]
fn its_own_is_not_found() {
    let (_, stores) = tampered();
    let catalog = create(&stores, URL);
    left(&catalog, 70);
    let again = begin(&catalog, 70);
    assert_eq!(again.checkpoints().find(&key(1)), None);
}

/// Whatever a store does when it is asked, the answer is that there is nothing, or what there is.
#[test]
fn what_can_not_be_read_is_passed_over() {
    for failing in ["progress", "packs"] {
        let (store, plain) = tampered();
        left(&create(&plain, URL), 70);
        let on = Arc::new(AtomicBool::new(false));
        let inner = Arc::clone(&store);
        let asked = Arc::clone(&on);
        let failed = faults(move |operation, object| {
            let hit = matches!(operation, Operation::Get | Operation::List) && object.starts_with(failing);
            if hit && asked.load(Ordering::Relaxed) { Fault::Before } else { Fault::None }
        });
        let stores = Stores::new().with_wrapper(move |_| failed(Arc::clone(&inner) as _));
        let catalog = Catalog::open(&stores, URL).unwrap();
        let draft = begin(&catalog, 71);
        on.store(true, Ordering::Relaxed);
        assert_eq!(draft.checkpoints().find(&key(1)), None, "{failing}");
        on.store(false, Ordering::Relaxed);
        assert!(draft.checkpoints().find(&key(1)).is_some(), "{failing}");
    }
}

/// Every object that is cut anywhere, or has a bit flipped, gives nothing or what was written.
#[test]
fn what_is_damaged_is_passed_over() {
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    left(&catalog, 70);
    let (object, whole) = objects(&store).into_iter().find(|(object, _)| object.starts_with("progress/")).unwrap();
    let put = |bytes: Vec<u8>| {
        let place = object.as_str().into();
        futures::executor::block_on(object_store::ObjectStoreExt::put(&*store, &place, bytes.into())).unwrap();
    };
    let found = || begin(&catalog, 71).checkpoints().find(&key(1));
    let mut used = 0;
    for at in 0..whole.len() {
        let mut flipped = whole.to_vec();
        flipped[at] ^= 1 << (at % 8);
        put(flipped);
        let found = found();
        assert!(found.as_deref().is_none_or(|found| found == b"one"), "byte {at}");
        used += u64::from(found.is_some());
        put(whole[..at].to_vec());
        assert_eq!(begin(&catalog, 71).checkpoints().find(&key(1)), None, "cut to {at} bytes");
    }
    assert!(used <= 8, "only the mark at the beginning is not looked at: {used}");
    put(whole.to_vec());
    assert!(found().is_some());
}

#[test]
fn what_could_not_be_kept_is_uploaded_by_the_commit() {
    let fails = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&fails);
    let wrapper = faults(move |asked, object| {
        let hit = asked == Operation::Put && object.starts_with("packs/") && now.load(Ordering::SeqCst);
        if hit { Fault::Before } else { Fault::None }
    });
    let stores = Stores::new().with_wrapper(wrapper);
    let catalog = create(&stores, URL);
    let draft = begin(&catalog, 70);
    let entry = draft.put(&long(1)).unwrap();
    let progress = draft.checkpoints();
    progress.flush().unwrap_err();
    assert!(progress.stored().is_empty(), "nothing is uploaded");
    fails.store(false, Ordering::SeqCst);
    let put = [Ok::<_, deltic_store::Error>((b"a".as_slice().into(), Some(entry)))];
    let tree = draft.edit(&draft.empty_tree(), put.into_iter()).unwrap();
    commit(draft, &tree);
    let found = content(&names(&Catalog::open(&stores, URL).unwrap().latest().unwrap()));
    assert_eq!(found.values().collect::<Vec<_>>(), [long(1).bytes()]);
}

/// Workers put while others settle: every payload is there in the end, each pack is listed once.
#[test]
fn settling_beside_work_loses_nothing() {
    let log = RequestLog::new();
    let stores = Stores::new().with_wrapper(log.wrapper());
    let catalog = create(&stores, URL);
    let draft = begin(&catalog, 70);
    let progress = draft.checkpoints();
    let entries: Vec<Vec<Entry>> = std::thread::scope(|scope| {
        let put = |worker: u32| {
            let (draft, progress) = (&draft, &progress);
            scope.spawn(move || {
                let put = |number: u32| {
                    let entry = draft.put(&format!("{worker:>200}{number:>200}").into()).unwrap();
                    if number % 10 == worker {
                        progress.flush().unwrap();
                    }
                    entry
                };
                (0..200).map(put).collect()
            })
        };
        let workers: Vec<_> = (0..4).map(put).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let ops = entries.iter().flatten().enumerate();
    let ops =
        ops.map(|(n, entry)| Ok::<_, deltic_store::Error>((format!("{n:06}").as_bytes().into(), Some(entry.clone()))));
    let tree = draft.edit(&draft.empty_tree(), ops).unwrap();
    let made = commit(draft, &tree);
    let listed = made.listed_packs().unwrap();
    assert_eq!(listed.len() as u64, made.record().packs.count, "each once");
    assert_eq!(listed.iter().map(|pack| pack.bytes).sum::<u64>(), made.record().packs.bytes);
    assert!(listed.len() > 50, "{} packs", listed.len());
    let fresh = Catalog::open(&stores, URL).unwrap();
    assert_eq!(fresh.fsck(true).unwrap().damage, []);
    assert_eq!(content(&names(&fresh.latest().unwrap())).len(), 800);
}

/// More objects than are asked for at once.
#[test]
fn what_many_runs_left_is_found() {
    let (_, stores) = tampered();
    let catalog = create(&stores, URL);
    for run in 0..150u8 {
        begin(&catalog, 100 + u64::from(run)).checkpoints().write(&[(key(run), Bytes::from(vec![run]))], &[]).unwrap();
    }
    let draft = begin(&catalog, 99);
    let progress = draft.checkpoints();
    for run in 0..150u8 {
        assert_eq!(progress.find(&key(run)).as_deref(), Some(&[run][..]));
    }
}

/// What is held of earlier runs has a bound, whatever they left. What is beyond it is removed with the rest.
#[test]
fn more_than_is_held_is_done_again() {
    const EACH: u32 = 100_000;
    let (store, stores) = tampered();
    let catalog = create(&stores, URL);
    let key = |object: u32, number: u32| Digest::of(&[object.to_le_bytes(), number.to_le_bytes()].concat());
    let before = begin(&catalog, 70);
    let progress = before.checkpoints();
    for object in 0..3 {
        let results: Vec<(Digest, Bytes)> = (0..EACH).map(|number| (key(object, number), Bytes::new())).collect();
        progress.write(&results, &[]).unwrap();
    }
    let draft = begin(&catalog, 71);
    let found = draft.checkpoints();
    let is_found = |object| [0, EACH - 1].map(|number| found.find(&key(object, number)).is_some());
    assert_eq!([is_found(0), is_found(1), is_found(2)], [[true; 2], [true; 2], [false; 2]]);
    found.remove();
    assert_eq!(objects(&store).keys().filter(|name| name.contains("progress/")).count(), 0);
}
