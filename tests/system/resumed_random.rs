//! Random tasks over random histories, with runs that are interrupted anywhere and resumed, also by runs with other inputs,
//! tasks, policies and settings. Every resulting version equals that of undisturbed runs, quarantine and state included.

use std::sync::Arc;
use std::time::Duration;

use deltic::core::{Digest, Version};
use deltic::driver::{Checkpoint, Counts, Report};
use deltic::prelude::*;
use deltic::store::Stores;
use deltic_testkit::{Edit, Fault, Faults, Lab, Random, RandomHistory};

use crate::patterns::{TILES, number, random_tasks};
use crate::quarantine::{Mood, apply, failing};

/// How often something happened.
#[derive(Debug, Default)]
struct Happened {
    /// Runs that were interrupted.
    interrupted: u64,
    /// Runs that failed because compilers did.
    failed: u64,
    /// Runs that took something over.
    went_on: u64,
    /// Outputs and front-ends that were taken over.
    taken_over: u64,
    /// Partitions that were in quarantine after a run that took something over.
    in_quarantine: u64,
}

/// What a run can be given that changes between attempts.
struct Pair {
    /// Whose runs are interrupted.
    lab: Lab,
    faults: Faults,
    /// Whose runs are not, and who keeps nothing of them.
    calm: Lab,
}

impl Pair {
    fn new(tasks: &[Task]) -> Pair {
        let faults = Faults::new();
        let stores = Stores::new().with_wrapper(faults.wrapper());
        let lab = Lab::on(stores, tasks.to_vec()).tiles(TILES, Grid::Here);
        let mut pair = Pair { lab, faults, calm: Lab::new(tasks.to_vec()).tiles(TILES, Grid::Here) };
        pair.lab.checkpoint(Some(Checkpoint { every: Duration::ZERO, clock: Arc::new(|| Duration::ZERO) }));
        // The catalogs are there from now on.
        pair.each(|lab| drop(lab.run()));
        pair
    }

    fn each(&mut self, what: impl Fn(&mut Lab)) {
        what(&mut self.lab);
        what(&mut self.calm);
    }

    fn state(lab: &Lab) -> (Digest, Digest) {
        (lab.output().digest(), lab.output().state_digest())
    }

    fn version(&self) -> Version {
        self.lab.output().version()
    }

    /// The undisturbed run beside one that has made a version, or that got to its end.
    fn follow(&mut self, what: &str) -> Report {
        let report = self.calm.run().report;
        assert_eq!(Pair::state(&self.lab), Pair::state(&self.calm), "{what}");
        report
    }
}

/// All counts except those of resumed work.
fn counts(report: &Report) -> Vec<Counts> {
    let of =
        |counts: Counts| Counts { compiled: counts.compiled + counts.resumed, resumed: 0, fronts_resumed: 0, ..counts };
    report.tasks.iter().map(|task| of(task.counts)).collect()
}

fn check(seed: u64, happened: &mut Happened) {
    let mut random = Random::new(seed);
    let names = RandomHistory::generic_names(4);
    let layers = vec![("in/a".to_owned(), names), (TILES.to_owned(), RandomHistory::tile_names(3))];
    let history = RandomHistory { layers, steps: 5, contents: 5 }.make(seed);
    let mood = Mood::default();
    let of_version = |version: &str, seed: u64, policy: OnError| -> Vec<Task> {
        random_tasks(seed).iter().map(|task| failing(task, mood.clone()).version(version).on_error(policy)).collect()
    };
    let quarantine = || OnError::Quarantine { most: 1000 };
    let tasks = of_version("1", seed, quarantine());
    let mut pair = Pair::new(&tasks);
    let mut old_mood = 0;
    for (number_of, step) in (1u64..).zip(&history) {
        let of_step = number(&[&seed, &number_of]);
        let new_mood = if of_step.is_multiple_of(3) { of_step } else { 0 };
        if new_mood != old_mood {
            // No run knows of moods, and what was kept in another one would be taken over: the base has to move.
            pair.each(|lab| {
                lab.put("in/a", "mood", number_of.to_string());
                lab.set_tasks(tasks.clone());
                drop(lab.run());
            });
            mood.set(new_mood);
            old_mood = new_mood;
        }
        let mut left: &[Edit] = step;
        let full = random.below(2) == 0;
        for attempt in 0..random.below(5) {
            let what = format!("seed {seed} step {number_of} attempt {attempt}");
            // Now and then inputs change between attempts, or whatever else is not the same.
            let (now, later) = left.split_at(random.below(left.len() as u64 + 1) as usize);
            if random.below(3) == 0 {
                pair.each(|lab| apply(lab, now));
                left = later;
            }
            let attempted = match random.below(10) {
                0 => of_version("2", seed + 1000, quarantine()),
                1 => of_version("1", seed, OnError::Abort),
                2 => tasks[..1 + random.below(tasks.len() as u64) as usize].to_vec(),
                _ => tasks.clone(),
            };
            pair.each(|lab| lab.set_tasks(attempted.clone()));
            let full = full != (random.below(8) == 0);
            pair.each(|lab| lab.full(full));
            pair.lab.threads([1, 1, 1, 2][random.below(4) as usize]);
            pair.lab.commit_inputs();
            let before = pair.version();
            pair.faults.from(random.below(100) / (1 + random.below(3)), *random.pick(&[Fault::Before, Fault::After]));
            let ran = pair.lab.try_run();
            let disturbed = !pair.faults.calm().faults.is_empty();
            pair.lab.forget_caches();
            happened.interrupted += u64::from(disturbed);
            happened.failed += u64::from(!disturbed && ran.is_err());
            if ran.is_ok() || pair.version() != before {
                pair.follow(&what);
            }
        }
        let what = format!("seed {seed} step {number_of}");
        pair.each(|lab| {
            apply(lab, left);
            lab.set_tasks(tasks.clone());
            lab.full(full);
        });
        pair.lab.threads([1, 1, 1, 2][random.below(4) as usize]);
        let report = pair.lab.run().report;
        assert_eq!(counts(&report), counts(&pair.follow(&what)), "{what}");
        let taken_over: u64 = report.tasks.iter().map(|task| task.counts.resumed + task.counts.fronts_resumed).sum();
        happened.went_on += u64::from(taken_over > 0);
        happened.taken_over += taken_over;
        let held: u64 = report.tasks.iter().map(|task| task.counts.quarantined).sum();
        happened.in_quarantine += if taken_over > 0 { held } else { 0 };
        for task in &report.tasks {
            let Counts { fronts, fronts_again, fronts_resumed, .. } = task.counts;
            assert!(fronts_resumed <= fronts + fronts_again, "{what}: {:?}", task.counts);
        }
    }
    mood.set(0);
    pair.lab.run();
    pair.follow("in the end");
    pair.each(|lab| lab.full(false));
    pair.lab.assert_equals_scratch();
    assert_eq!(pair.lab.output_catalog().unwrap().fsck(true).unwrap().damage, [], "seed {seed}");
}

#[test]
fn interrupted_runs_end_as_undisturbed_ones() {
    let mut happened = Happened::default();
    (0..40).for_each(|seed| check(seed, &mut happened));
    println!("{happened:?}");
    assert!(happened.interrupted > 20 && happened.failed > 0, "{happened:?}");
    assert!(happened.went_on > 10 && happened.in_quarantine > 0, "{happened:?}");
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-tests --test system -- --ignored resumed_random:: --nocapture`
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn many_interrupted_runs() {
    let mut happened = Happened::default();
    crate::seeds::seeds("0..200").for_each(|seed| check(seed, &mut happened));
    println!("{happened:?}");
}
