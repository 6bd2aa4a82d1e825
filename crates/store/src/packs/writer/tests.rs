//! What a thread that is putting holds while others upload.

use std::sync::mpsc;

use super::*;
use crate::backend::stores::Stores;
use crate::testing::{Fault, Operation, faults};

fn put(writer: &PackWriter) -> PackName {
    writer.payload(&Bytes::from_static(&[7; 300]), &Digest::of(&[7; 300])).unwrap().0
}

/// A pack that a thread appends to is waited for: with it goes what was put before.
#[test]
fn a_pack_that_a_thread_appends_to_is_waited_for() {
    let (begun, upload_begins) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let goes_on = Mutex::new(goes_on);
    let stores = Stores::new().with_wrapper(faults(move |operation, _| {
        if operation == Operation::Put && begun.send(()).is_ok() {
            let _ = goes_on.lock().unwrap().recv();
        }
        Fault::None
    }));
    let client = stores.open("memory:").unwrap();
    let writer = PackWriter::new(client, Version(0), RunId(7), Version(0)..=Version(0), DraftOptions::default());
    let one = put(&writer);
    let held = writer.take(false);
    let two = put(&writer);
    let flushed = std::thread::scope(|scope| {
        let flushing = scope.spawn(|| writer.flush().unwrap());
        upload_begins.recv().unwrap();
        drop(held);
        drop(go_on);
        flushing.join().unwrap()
    });
    assert_eq!(flushed.iter().map(|pack| pack.name).collect::<Vec<_>>(), [one, two]);
}

#[test]
fn a_flush_does_not_end_while_a_thread_holds_a_pack() {
    let client = Stores::new().open("memory:").unwrap();
    let writer = PackWriter::new(client, Version(0), RunId(7), Version(0)..=Version(0), DraftOptions::default());
    let one = put(&writer);
    let held = writer.take(false);
    let flushed = std::thread::scope(|scope| {
        let flushing = scope.spawn(|| writer.flush().unwrap());
        // Long enough for one that does not wait.
        for _ in 0..100_000 {
            assert!(!flushing.is_finished());
            std::thread::yield_now();
        }
        drop(held);
        flushing.join().unwrap()
    });
    assert_eq!(flushed.iter().map(|pack| pack.name).collect::<Vec<_>>(), [one]);
}
