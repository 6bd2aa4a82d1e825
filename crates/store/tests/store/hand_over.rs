//! What a draft hands over to one that stitches: all that was put before, each pack once; and what becomes of a part whose packs
//! are not there.

use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use deltic_core::{Digest, Payload, RunId};
use deltic_store::testing::{Fault, Mutant, Operation, RequestLog, faults, with_mutant};
use deltic_store::{
    Catalog, Committed, Draft, DraftOptions, Entry, ErrorKind, PackName, Place, Stores, Tree, TreePart,
};
use object_store::memory::InMemory;

use crate::support::{
    Model, Ops, advance, begin, content, create, names, next, numbered, objects, remove, tampered, version, write,
};

/// A few payloads fill a pack.
const OPTIONS: DraftOptions = DraftOptions { pack_bytes: 1000, inline_bytes: 0, big_bytes: 10_000 };

fn put(draft: &Draft, len: usize) -> PackName {
    match draft.put(&Payload::new(vec![7; len])).unwrap() {
        Entry { place: Place::Pack { pack, .. }, .. } => pack,
        Entry { place: Place::Inline(_), .. } => panic!("it is inline"),
    }
}

/// The pack with the first payload is full, and another thread uploads it while this one hands over.
#[test]
fn a_pack_that_another_thread_uploads_is_waited_for() {
    let (begun, first_begins) = mpsc::channel();
    let (second, second_begins) = mpsc::channel();
    let second_begins = Mutex::new(second_begins);
    let uploads = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&uploads);
    // The first upload of a pack goes on when the next one begins.
    let stores = Stores::new().with_wrapper(faults(move |operation, object| {
        if operation == Operation::Put && object.starts_with("packs/") {
            let is_first = {
                let mut asked = asked.lock().unwrap();
                asked.push(object.to_owned());
                asked.len() == 1
            };
            if is_first {
                begun.send(()).unwrap();
                second_begins.lock().unwrap().recv().unwrap();
            } else {
                let _ = second.send(());
            }
        }
        Fault::None
    }));
    let draft = Draft::begin(&create(&stores, "memory:x").latest().unwrap(), RunId(7), OPTIONS);
    let one = put(&draft, 300);
    let two = std::thread::scope(|scope| {
        let other = scope.spawn(|| put(&draft, 900));
        first_begins.recv().unwrap();
        let two = put(&draft, 300);
        draft.hand_over(&mut []).unwrap();
        assert_eq!(other.join().unwrap(), one);
        two
    });
    assert_eq!(draft.written().packs, 2);
    draft.hand_over(&mut []).unwrap();
    assert_eq!(draft.written().packs, 2, "each pack once");
    let mut uploads = uploads.lock().unwrap().clone();
    uploads.sort_unstable();
    assert_eq!(uploads, [one, two].map(|pack| format!("packs/{pack}")));
}

/// A part of an edit of an empty tree, which is not handed over.
fn made(worker: &Draft, model: &Model) -> TreePart {
    let mut editor = worker.part_editor(&worker.empty_tree()).unwrap();
    for (key, value) in model {
        editor.apply(key, Some(&worker.put(&Payload::new(value.clone())).unwrap())).unwrap();
    }
    editor.finish().unwrap()
}

/// The same, handed over to another process.
fn handed_over(worker: &Draft, model: &Model) -> TreePart {
    let mut parts = [made(worker, model)];
    worker.hand_over(&mut parts).unwrap();
    TreePart::from_bytes(&parts[0].to_bytes()).unwrap()
}

fn stitched(draft: &Draft, parts: &[TreePart]) -> deltic_store::Result<Tree> {
    let mut editor = draft.editor(&draft.empty_tree())?;
    parts.iter().try_for_each(|part| editor.stitch(part))?;
    editor.finish()
}

/// The only pack that there is.
fn only_pack(store: &InMemory) -> (String, Bytes) {
    let mut packs = objects(store).into_iter().filter(|(object, _)| object.starts_with("packs/"));
    let pack = packs.next().unwrap();
    assert!(packs.next().is_none());
    pack
}

#[test]
fn a_part_whose_pack_is_missing_or_cut_short_is_not_committed() {
    type Spoil = fn(&InMemory, &str, Bytes);
    let cases: [(&str, Spoil); 3] = [
        ("is not there, and a part of a tree", |store, pack, _| remove(store, pack)),
        ("bytes instead of", |store, pack, bytes| write(store, pack, bytes.slice(1..))),
        ("bytes instead of", |store, pack, bytes| write(store, pack, [&bytes[..], b"x"].concat())),
    ];
    for (what, spoil) in cases {
        let (store, stores) = tampered();
        let catalog = create(&stores, "memory:x");
        let base = catalog.latest().unwrap();
        let part = handed_over(&begin(&base, 11), &numbered(0..3000, 1));
        let (pack, bytes) = only_pack(&store);
        let stitcher = begin(&base, 10);
        let tree = stitched(&stitcher, &[part]).unwrap();
        spoil(&store, &pack, bytes);
        let error = stitcher.commit(next(&tree)).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Corrupt { object: pack });
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(Catalog::open(&stores, "memory:x").unwrap().latest().unwrap().version(), version(0));
    }
}

/// One listing for all parts, and none without parts. The packs of parts are not those of the run that commits.
#[test]
fn the_packs_of_all_parts_are_looked_for_once() {
    let log = RequestLog::new();
    let stores = Stores::new().with_wrapper(log.wrapper());
    let catalog = create(&stores, "memory:x");
    let base = catalog.latest().unwrap();
    let parts = [(0..3000, 11), (3000..6000, 12), (6000..6500, 13)]
        .map(|(range, run)| handed_over(&begin(&base, run), &numbered(range, 1)));
    let commit = |run, parts: &[TreePart]| {
        let draft = begin(&catalog.latest().unwrap(), run);
        let tree = stitched(&draft, parts).unwrap();
        log.take();
        let Committed::New(made) = draft.commit(next(&tree)).unwrap() else { panic!("nothing to commit") };
        (made, log.count(Operation::List))
    };
    let (made, lists) = commit(10, &parts);
    assert_eq!(lists, 1);
    let listed = made.listed_packs().unwrap();
    assert_eq!(listed.len() as u64, made.record().packs.count);
    assert!(listed.iter().all(|pack| pack.name.run == RunId(10)), "{listed:?}");
    assert_eq!(content(&names(&made)), numbered(0..6500, 1));
    assert_eq!(commit(14, &[]).1, 0);
}

/// What a worker has from a checkpoint goes with its part: whoever stitches has not seen the checkpoint.
#[test]
fn packs_of_a_checkpoint_are_handed_over_too() {
    for is_there in [true, false] {
        let (store, stores) = tampered();
        let catalog = create(&stores, "memory:x");
        let base = catalog.latest().unwrap();
        let (key, payload) = (Digest::of(b"done"), Payload::new(vec![1; 300]));
        let left = begin(&base, 70);
        let entry = left.put(&payload).unwrap();
        let progress = left.checkpoints();
        progress.flush().unwrap();
        progress.write(&[(key, Bytes::new())], &progress.stored().into_iter().collect::<Vec<_>>()).unwrap();
        let (pack, _) = only_pack(&store);

        let worker = begin(&base, 71);
        assert!(worker.checkpoints().find(&key).is_some());
        let mut editor = worker.part_editor(&worker.empty_tree()).unwrap();
        editor.apply(b"a", Some(&entry)).unwrap();
        let mut parts = [editor.finish().unwrap()];
        worker.hand_over(&mut parts).unwrap();
        let stitcher = begin(&base, 72);
        let tree = stitched(&stitcher, &parts).unwrap();
        if !is_there {
            remove(&store, &pack);
        }
        let committed = stitcher.commit(next(&tree));
        assert_eq!(committed.is_ok(), is_there, "{committed:?}");
        if is_there {
            let catalog = Catalog::open(&stores, "memory:x").unwrap();
            assert_eq!(catalog.gc(false).unwrap().removed.count, 0);
            assert_eq!(content(&names(&catalog.latest().unwrap())), Model::from([(b"a".to_vec(), vec![1; 300])]));
        }
    }
}

#[test]
fn what_was_not_handed_over_is_not_stitched_by_others() {
    let base = create(&Stores::new(), "memory:x").latest().unwrap();
    let (worker, stitcher) = (begin(&base, 11), begin(&base, 10));
    let refused = |error: deltic_store::Error, what: &str| {
        assert_eq!(*error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(what), "{error}");
    };
    let mut parts = [made(&worker, &numbered(0..3000, 1))];
    refused(stitched(&stitcher, &parts).unwrap_err(), "was not handed over: the draft that made it");
    refused(stitcher.hand_over(&mut parts).unwrap_err(), "can not be handed over by run 000000000000000a on version 0");
    refused(
        TreePart::from_bytes(&parts[0].to_bytes()).unwrap_err(),
        "it was not handed over by the draft that made it",
    );
    stitched(&worker, &parts).unwrap();
    worker.hand_over(&mut parts).unwrap();
    let twice = [parts[0].clone(), parts[0].clone()];
    refused(stitched(&stitcher, &twice).unwrap_err(), "ascending, unique keys");
    stitched(&stitcher, &parts).unwrap();
    stitched(&worker, &parts).unwrap();
}

/// The catalog asks its rules: a simulation that leaves this one out is to reach the stitching too.
#[test]
fn a_part_that_was_made_on_another_version_is_refused_by_a_rule() {
    let catalog = create(&Stores::new(), "memory:x");
    let part = handed_over(&begin(&catalog.latest().unwrap(), 11), &numbered(0..3000, 1));
    let later = advance(&catalog, 12, &Ops::from([(b"a".to_vec(), Some(vec![1]))]));
    let error = stitched(&begin(&later, 13), std::slice::from_ref(&part)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("made on version 0 can not be stitched by a run on version 1"), "{error}");
    let careless = with_mutant(&catalog, Mutant::ResumesAnyBase).latest().unwrap();
    stitched(&begin(&careless, 14), &[part]).unwrap();
}

/// The pack is gone since another run was faster, and that is what is reported.
#[test]
fn whoever_lost_the_race_is_told_so_and_not_of_damage() {
    let (store, stores) = tampered();
    let catalog = create(&stores, "memory:x");
    let base = catalog.latest().unwrap();
    let part = handed_over(&begin(&base, 11), &numbered(0..3000, 1));
    let stitcher = begin(&base, 10);
    let tree = stitched(&stitcher, &[part]).unwrap();
    advance(&catalog, 12, &Ops::from([(b"a".to_vec(), Some(vec![1]))]));
    assert_eq!(catalog.gc(false).unwrap().removed.count, 1);
    assert!(objects(&store).keys().all(|object| !object.contains("-000000000000000b-")));
    let error = stitcher.commit(next(&tree)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Conflict { version: version(1), winner: RunId(12) });
}

/// A coordinator that begins again under the run id of its job is another draft, whose packs have the same names.
#[test]
fn a_part_of_another_draft_under_the_same_run_id_is_not_taken_for_its_own() {
    let (store, stores) = tampered();
    let base = create(&stores, "memory:x").latest().unwrap();
    let part = handed_over(&begin(&base, 11), &numbered(0..3000, 1));
    let (pack, _) = only_pack(&store);
    let again = begin(&base, 11);
    let tree = stitched(&again, &[part]).unwrap();
    let error = again.commit(next(&tree)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt { object: pack });
    assert!(error.to_string().contains("bytes instead of"), "{error}");
}
