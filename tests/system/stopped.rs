//! A run that is asked to stop, at any moment: it has published nothing, or everything; and the next run resumes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deltic::core::{CatalogId, LayerId, RunId, Timestamp, Version};
use deltic::driver::{Checkpoint, Error, ErrorKind, Event, Job, LocalEngine, Observer, Options, Report, Stop};
use deltic::prelude::*;
use deltic::store::Catalog;
use deltic_testkit::Lab;

use crate::patterns::three_tasks;

/// Asks for the end at an event.
struct AtEvent {
    stop: Stop,
    left: AtomicU64,
    /// Calls of user code that were about to begin since.
    begun: AtomicU64,
    /// Whether the version was about to be committed then.
    committing: std::sync::Mutex<bool>,
}

impl Observer for AtEvent {
    fn event(&self, event: &Event<'_>) {
        let begins = matches!(event, Event::Front { .. } | Event::Back { .. } | Event::Whole { .. });
        self.begun.fetch_add(u64::from(begins && self.stop.is_requested()), Ordering::Relaxed);
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.committing.lock().unwrap() = matches!(event, Event::Committing { .. });
            self.stop.request();
        }
    }
}

fn stopped_at(
    input: &Catalog,
    output: &Catalog,
    event: u64,
    checkpoint: Option<Checkpoint>,
) -> (Result<Report, Error>, bool, bool) {
    stopped_on(&LocalEngine::new(1), true, input, output, event, checkpoint)
}

fn stopped_on(
    engine: &LocalEngine,
    incremental: bool,
    input: &Catalog,
    output: &Catalog,
    event: u64,
    checkpoint: Option<Checkpoint>,
) -> (Result<Report, Error>, bool, bool) {
    let (tasks, stop) = (three_tasks(), Stop::new());
    let watching = AtEvent {
        stop: stop.clone(),
        left: AtomicU64::new(event),
        begun: AtomicU64::new(0),
        committing: Default::default(),
    };
    let report = Job::new(
        output,
        &tasks,
        Options {
            checkpoint,
            incremental,
            ..Options::new(RunId(1000 + event), Timestamp(0), LayerId::new("state").unwrap())
        },
    )
    .input(CatalogId::new("in").unwrap(), input.clone())
    .watched_by(&watching)
    .stopped_by(&stop)
    .run(engine);
    assert!(watching.begun.into_inner() <= 1, "event {event}: it goes on");
    (report, stop.is_requested(), *watching.committing.lock().unwrap())
}

#[test]
fn at_any_moment() {
    at_every_event(&LocalEngine::new(1), true);
}

#[test]
fn at_any_moment_of_a_full_run_over_ranges() {
    at_every_event(&LocalEngine::new(1).with_ranges(4), false);
}

fn at_every_event(engine: &LocalEngine, incremental: bool) {
    let mut lab = Lab::new(three_tasks());
    for number in 0..30 {
        lab.put("in/a", format!("{number:03}"), format!("{number:>200}"));
    }
    lab.run();
    for number in 0..20 {
        lab.put("in/a", format!("{:03}", number * 2), format!("{number:>300}"));
    }
    lab.commit_inputs();
    let (input, output) = (lab.input_catalog("in"), lab.output_catalog().unwrap().clone());
    let base = output.latest().unwrap();
    let mut event = 1;
    loop {
        let (report, asked, committing) = stopped_on(engine, incremental, &input, &output, event, None);
        match report {
            Ok(report) => {
                // Too late, so it is all there.
                assert!(committing && asked, "event {event}");
                assert_eq!(report.version, Some(base.version().next()));
                break;
            }
            Err(error) => {
                assert!(!committing, "event {event}");
                assert!(matches!(error.kind(), ErrorKind::Stopped { base: of } if *of == base.version()), "{error}");
                assert_eq!(
                    error.to_string(),
                    format!("stopped: nothing was published; the latest version is {}", Version(1))
                );
                assert_eq!(output.latest().unwrap().version(), base.version());
            }
        }
        event += 1;
    }
    assert!(event > 100, "stopped at {event} events");
    lab.assert_equals_scratch();
}

/// Long before the next checkpoint: a run that stops makes one.
#[test]
fn what_was_done_is_kept() {
    let mut lab = Lab::new(three_tasks());
    for number in 0..100 {
        lab.put("in/a", format!("{number:03}"), format!("{number:>200}"));
    }
    lab.run();
    for number in 0..100 {
        lab.put("in/a", format!("{number:03}"), format!("{number:>300}"));
    }
    lab.commit_inputs();
    let (input, output) = (lab.input_catalog("in"), lab.output_catalog().unwrap().clone());
    let every = |every| Some(Checkpoint { every, clock: Arc::new(|| Duration::ZERO) });
    let (stopped, ..) = stopped_at(&input, &output, 400, every(Duration::from_secs(3600)));
    assert!(matches!(stopped.as_ref().map_err(Error::kind), Err(ErrorKind::Stopped { .. })), "{stopped:?}");
    // Nobody asks for the end of this one.
    let (report, asked, _) = stopped_at(&input, &output, 1_000_000, every(Duration::ZERO));
    let counts: Vec<_> = report.unwrap().tasks.iter().map(|task| task.counts).collect();
    assert!(!asked && counts.iter().any(|counts| counts.fronts_resumed + counts.resumed > 0), "{counts:?}");
    lab.assert_equals_scratch();
}

/// Asks for the end when the first partition is deleted.
#[derive(Default)]
struct AtDelete {
    stop: Stop,
    deleted: AtomicU64,
}

impl Observer for AtDelete {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Deleted { .. }) {
            self.deleted.fetch_add(1, Ordering::Relaxed);
            self.stop.request();
        }
    }
}

/// What nothing is made of any more is found by a scan of all that is published, which may be long.
#[test]
fn between_deletions() {
    let mut lab = Lab::new(three_tasks());
    for number in 0..100 {
        lab.put("in/a", format!("{number:03}"), format!("{number:>200}"));
    }
    lab.run();
    (1..100).for_each(|number| lab.delete("in/a", format!("{number:03}")));
    lab.commit_inputs();
    let (input, output) = (lab.input_catalog("in"), lab.output_catalog().unwrap().clone());
    for ranges in [1, 7] {
        let (tasks, watching) = (three_tasks(), AtDelete::default());
        let options = Options::new(RunId(9000 + ranges as u64), Timestamp(0), LayerId::new("state").unwrap());
        let stopped = Job::new(&output, &tasks, Options { incremental: false, ..options })
            .input(CatalogId::new("in").unwrap(), input.clone())
            .watched_by(&watching)
            .stopped_by(&watching.stop)
            .run(&LocalEngine::new(1).with_ranges(ranges));
        assert!(matches!(stopped.as_ref().map_err(Error::kind), Err(ErrorKind::Stopped { .. })), "{stopped:?}");
        assert_eq!(watching.deleted.into_inner(), 1, "{ranges} ranges");
    }
}
