//! What a draft hands over to one that stitches, while other threads put: whole, and each pack once.

use std::sync::{Arc, Mutex, mpsc};

use deltic_core::{Payload, RunId};
use deltic_store::testing::{Fault, Operation, faults};
use deltic_store::{Draft, DraftOptions, Entry, PackName, Place, Stores};

use crate::support::create;

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
    let handed = std::thread::scope(|scope| {
        let other = scope.spawn(|| put(&draft, 900));
        first_begins.recv().unwrap();
        let two = put(&draft, 300);
        let handed = draft.hand_over().unwrap();
        assert_eq!(other.join().unwrap(), one);
        assert_eq!(handed.iter().map(|pack| pack.name).collect::<Vec<_>>(), [one, two]);
        handed
    });
    assert_eq!(draft.hand_over().unwrap(), handed, "each pack once");
    let mut uploads = uploads.lock().unwrap().clone();
    uploads.sort_unstable();
    assert_eq!(uploads, handed.iter().map(|pack| format!("packs/{}", pack.name)).collect::<Vec<_>>());
}
