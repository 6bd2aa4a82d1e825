//! Blocking calls made from async code: they do what they do elsewhere, and neither panic nor wait for ever.

use std::sync::Arc;

use deltic_store::testing::Rounds;
use deltic_store::{Catalog, Stores};

use object_store::throttle::{ThrottleConfig, ThrottledStore};

use crate::support::{advance, content, create, names, numbered, puts};

/// Each writes three objects: in all more than the 128 answers that tokio lets a task have before it has to yield.
const COMMITS: u64 = 50;

/// Makes catalogs on all kinds of stores, writes, reads and drops them, runtime of the remote store included.
fn use_catalogs() {
    let in_memory = Stores::new().with_wrapper(Rounds::new().wrapper());
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file:{}/x", folder.path().display());
    for url in ["memory:x", url.as_str(), "s3://bucket/x"] {
        let stores = if url.starts_with("s3:") { in_memory.clone() } else { Stores::new() };
        let catalog = create(&stores, url);
        let mut model = numbered(0..2000, 1);
        model.insert(b"long".to_vec(), vec![7; 5000]);
        advance(&catalog, 2, &puts(&model));
        let tree = names(&Catalog::open(&stores, url).unwrap().latest().unwrap());
        let long = tree.get(b"long").unwrap().unwrap();
        assert_eq!(tree.begin_read_all(vec![long]).unwrap().wait().unwrap()[0].len(), 5000);
        assert_eq!(content(&tree), model);
        for run in 0..COMMITS {
            advance(&catalog, 3 + run, &[(b"run".to_vec(), Some(run.to_be_bytes().to_vec()))].into());
        }
        assert_eq!(catalog.latest().unwrap().version().0, 1 + COMMITS);
    }
}

#[test]
fn of_tokio_with_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { tokio::spawn(async { use_catalogs() }).await.unwrap() });
}

#[test]
fn of_tokio_on_one_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { use_catalogs() });
}

#[test]
fn of_another_executor() {
    futures::executor::block_on(async { use_catalogs() });
}

/// Runs it on a thread, and fails where it has not ended after two minutes: it waits for itself.
fn ends(what: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        what();
        let _ = sender.send(());
    });
    match receiver.recv_timeout(std::time::Duration::from_secs(120)) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("it waits for ever"),
        // A panic of the thread is that of the test.
        _ => thread.join().unwrap(),
    }
}

/// The one thread that a runtime has for blocking calls is parked in ours: no I/O may be left to it.
#[test]
fn on_the_last_thread_for_blocking_calls() {
    ends(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
        runtime.block_on(async { tokio::task::spawn_blocking(use_catalogs).await.unwrap() });
    });
}

/// The thread that would drive the timers of the runtime is parked.
#[test]
fn of_a_wrapper_that_waits_by_timers() {
    ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let moment = std::time::Duration::from_millis(1);
            let config = ThrottleConfig { wait_get_per_call: moment, wait_put_per_call: moment, ..Default::default() };
            let stores = Stores::new().with_wrapper(move |store| Arc::new(ThrottledStore::new(store, config)));
            let catalog = create(&stores, "memory:x");
            advance(&catalog, 2, &[(b"a".to_vec(), Some(b"b".to_vec()))].into());
            assert_eq!(names(&catalog.latest().unwrap()).count(), 1);
        });
    });
}
