//! Two drivers that start from one base: one wins, the other gets an error, and nothing is lost.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use deltic::core::{CatalogId, CatalogUuid, LayerId, RunId, Timestamp, Version};
use deltic::driver::{
    Error, ErrorKind as RunErrorKind, Event, Import, Job, LocalEngine, Observer, Options, Report, Silent,
};
use deltic::prelude::*;
use deltic::store::testing::Operation;
use deltic::store::{Catalog, ErrorKind, NewCatalog, Stores};
use deltic_testkit::{Faults, When};

use crate::patterns::{Groups, Shape};

struct Site {
    input: Catalog,
    output: Catalog,
    tasks: Vec<Task>,
}

impl Site {
    fn new() -> Site {
        Site::on(&Stores::new())
    }

    fn on(stores: &Stores) -> Site {
        let identity = |n| NewCatalog { uuid: CatalogUuid(n), run: RunId(n as u64), created: Timestamp(0) };
        let layers = vec![Layer::generic("a").unwrap()];
        let input = Catalog::create(stores, "memory:in", layers, identity(1)).unwrap();
        let output = Catalog::create(stores, "memory:out", Vec::new(), identity(2)).unwrap();
        let shape = Shape { salt: 7, inputs: vec!["in/a"], references: Vec::new(), output: "x" };
        Site { input, output, tasks: vec![Task::new("one", MapGroup(Groups(shape))).unwrap().version("1")] }
    }

    fn put(&self, run: u64, names: &[&str]) {
        let import = Import::begin(&self.input.latest().unwrap(), RunId(run)).unwrap();
        for name in names {
            import.put(&LayerId::new("a").unwrap(), &Name::generic(name).unwrap(), &Payload::from(*name)).unwrap();
        }
        import.commit(Timestamp(0), "").unwrap();
    }

    fn run(&self, id: u64, observer: &dyn Observer, expect_base: Option<Version>) -> Result<Report, Error> {
        let engine = LocalEngine::new(1);
        Job::new(
            &self.output,
            &self.tasks,
            Options { expect_base, ..Options::new(RunId(id), Timestamp(0), LayerId::new("state").unwrap()) },
        )
        .input(CatalogId::new("in").unwrap(), self.input.clone())
        .watched_by(observer)
        .run(&engine)
    }
}

/// Lets another driver do a whole run at the first thing that happens in this one.
struct Overtaken<'a> {
    site: &'a Site,
    done: AtomicBool,
    other: Mutex<Option<Report>>,
}

impl Observer for Overtaken<'_> {
    fn event(&self, _: &Event<'_>) {
        if !self.done.swap(true, Ordering::SeqCst) {
            *self.other.lock().unwrap() = Some(self.site.run(200, &Silent, None).unwrap());
        }
    }
}

#[test]
fn of_two_runs_from_one_base_one_wins_and_the_other_learns_which() {
    let site = Site::new();
    site.put(10, &["00", "01", "02", "10"]);
    site.run(100, &Silent, None).unwrap();
    site.put(11, &["11", "12", "13"]);
    let overtaken = Overtaken { site: &site, done: AtomicBool::new(false), other: Mutex::new(None) };
    let error = site.run(201, &overtaken, None).unwrap_err();
    let RunErrorKind::Store(error) = error.into_kind() else { panic!("not an error of the store") };
    assert_eq!(*error.kind(), ErrorKind::Conflict { version: Version(2), winner: RunId(200) });
    let winner = overtaken.other.into_inner().unwrap().unwrap();
    assert_eq!(winner.version, Some(Version(2)));
    assert_eq!(site.output.latest().unwrap().record().run, RunId(200));
    // The loser starts again from what is there, and finds that all is done.
    assert_eq!(site.run(202, &Silent, None).unwrap().version, None);
    assert_eq!(site.output.latest().unwrap().version(), Version(2));
}

#[test]
fn a_base_that_is_not_as_expected_is_refused_before_anything_runs() {
    let site = Site::new();
    site.put(10, &["00", "01"]);
    site.run(100, &Silent, Some(Version(0))).unwrap();
    site.put(11, &["11"]);
    let error = site.run(101, &Silent, Some(Version(0))).unwrap_err();
    assert!(matches!(error.kind(), RunErrorKind::BaseMoved { expected: Version(0), found: Version(1) }), "{error}");
    site.run(102, &Silent, Some(Version(1))).unwrap();
}

/// A site of which one version is made, and the next one can be, with the store's faults.
fn unreliable() -> (Faults, Site) {
    let faults = Faults::new();
    let site = Site::on(&Stores::new().with_wrapper(faults.wrapper()));
    site.put(10, &["00", "01", "02", "10"]);
    site.run(100, &Silent, None).unwrap();
    site.put(11, &["11", "12", "13"]);
    faults.calm();
    (faults, site)
}

/// A run stalls where it creates its version, for as long as another one takes from beginning to end.
#[test]
fn of_a_run_that_stalls_in_its_commit_and_one_that_does_not_one_wins() {
    let (faults, clean) = unreliable();
    clean.run(201, &Silent, None).unwrap();
    let operations = faults.calm().operations;
    let creates = operations.iter().rposition(|operation| *operation == Operation::Create).unwrap() as u64;
    for when in [When::BeforeEffect, When::AfterEffect] {
        let (faults, site) = unreliable();
        let stalled = faults.stall(creates, when);
        let (slow, fast) = std::thread::scope(|scope| {
            let slow = scope.spawn(|| site.run(201, &Silent, None));
            assert!(stalled.reached());
            let fast = site.run(202, &Silent, None);
            drop(stalled);
            (slow.join().unwrap(), fast)
        });
        if when == When::BeforeEffect {
            let Err(RunErrorKind::Store(error)) = slow.map_err(Error::into_kind) else { panic!("it should have lost") };
            assert_eq!(*error.kind(), ErrorKind::Conflict { version: Version(2), winner: RunId(202) });
            assert_eq!(fast.unwrap().version, Some(Version(2)));
        } else {
            // Its version is there, whether it knows or not, and the other one finds nothing left to do.
            assert_eq!((slow.unwrap().version, fast.unwrap().version), (Some(Version(2)), None));
            assert_eq!(site.output.latest().unwrap().record().run, RunId(201));
        }
        assert_eq!(site.output.latest().unwrap().digest(), clean.output.latest().unwrap().digest());
    }
}
