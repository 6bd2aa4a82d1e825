//! The real code of commit, retention, repacking and sweeping in histories that seeds decide, with writers that take over
//! what others on the same base had done, and stitch parts of trees that others have handed over.
//!
//! What must hold at every step:
//!
//! * a version that the latest one retains can be read, and holds what its run meant it to hold;
//! * nothing that a retained version refers to is removed;
//! * a reader gets that or is told that the version has expired, when it has;
//! * what was acknowledged stays, each version was acknowledged to one run, and each names the one before as its parent;
//! * afterwards a sweep leaves what is needed and nothing else.
//!
//! And for the simulation to be worth anything it must notice when a rule of the protocol is left out.

mod actors;
mod schedule;
mod truth;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deltic_store::testing::{Mutant, with_mutant, with_shape};
use deltic_store::{Catalog, Shape, Stores};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::support::create;
use actors::Actors;
use schedule::{Random, TurnStore, Turns};
use truth::Truth;

const URL: &str = "memory:x";
const STEPS: u64 = 600;

/// A catalog over `stores` as all take part in it: trees of a few entries are deep, and a rule may be left out.
fn open(stores: &Stores, mutant: Mutant) -> Catalog {
    let catalog = Catalog::open(stores, URL).unwrap();
    with_mutant(&with_shape(&catalog, Shape { leaf_bits: 2, inner_bits: 1 }), mutant)
}

/// What happened in a history.
#[derive(Debug, Default)]
struct Happened {
    versions: u64,
    removed: u64,
    taken_over: u64,
    stitched: u64,
}

/// Plays the history of a seed; says what was broken.
fn history(seed: u64, mutant: Mutant) -> Result<Happened, String> {
    let inner = Arc::new(InMemory::new());
    let turns = Turns::default();
    let plain = {
        let inner = Arc::clone(&inner);
        Stores::new().with_wrapper(move |_| Arc::clone(&inner) as Arc<dyn ObjectStore>)
    };
    let shared = {
        let (inner, turns) = (Arc::clone(&inner), turns.clone());
        Stores::new().with_wrapper(move |_| Arc::new(TurnStore { inner: Arc::clone(&inner), turns: turns.clone() }))
    };
    create(&plain, URL);
    let truth = Truth::new(plain.clone(), Arc::clone(&inner));
    let mut random = Random(seed.wrapping_mul(104_729).wrapping_add(3));
    let played = std::thread::scope(|scope| {
        Actors { stores: &shared, truth: &truth, mutant, turns: &turns }.start(scope, &mut random);
        let played = (0..STEPS).try_for_each(|now| {
            turns.step(now, &mut random);
            truth.check().map_err(|what| format!("step {now}: {what}"))
        });
        turns.end();
        played
    });
    let at_end = played.and_then(|()| truth.check_at_end());
    at_end.map_err(|what| format!("seed {seed}: {what}"))
}

/// Plays many histories on all processors; the first failure, and what happened in all.
fn histories(seeds: std::ops::Range<u64>, mutant: Mutant) -> (Vec<String>, Happened) {
    let next = AtomicU64::new(seeds.start);
    let play = || {
        let (mut failures, mut all) = (Vec::new(), Happened::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return (failures, all);
            }
            match history(seed, mutant) {
                Ok(one) => {
                    all.versions += one.versions;
                    all.removed += one.removed;
                    all.taken_over += one.taken_over;
                    all.stitched += one.stitched;
                }
                Err(failure) => failures.push(failure),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let players: Vec<_> = (0..threads).map(|_| scope.spawn(play)).collect();
        players.into_iter().map(|player| player.join().unwrap()).fold(
            (Vec::new(), Happened::default()),
            |mut sum, one| {
                sum.0.extend(one.0);
                let (all, one) = (sum.1, one.1);
                let versions = all.versions + one.versions;
                let (removed, taken_over) = (all.removed + one.removed, all.taken_over + one.taken_over);
                (sum.0, Happened { versions, removed, taken_over, stitched: all.stitched + one.stitched })
            },
        )
    })
}

fn assert_whole(seeds: std::ops::Range<u64>) {
    let count = seeds.end - seeds.start;
    let (failures, happened) = histories(seeds, Mutant::None);
    assert!(failures.is_empty(), "{} of {count} histories broken, the first: {}", failures.len(), failures[0]);
    // A simulation in which nothing happens proves nothing.
    assert!(happened.versions > 8 * count && happened.removed > 4 * count, "{happened:?} in {count} histories");
    assert!(happened.taken_over > count / 10, "{happened:?} in {count} histories");
    assert!(happened.stitched > count / 2, "{happened:?} in {count} histories");
    println!("{count} histories: {happened:?}");
}

#[test]
fn hundreds_of_histories_break_nothing() {
    assert_whole(0..300);
}

/// `DELTIC_SEEDS=FROM..TO` says which; 10,000 without.
#[test]
#[ignore = "minutes: run it after changes to commit, retention, repacking or sweeping"]
fn many_more_histories_break_nothing() {
    assert_whole(crate::seeds::seeds("0..10000"));
}

#[test]
fn a_seed_gives_one_history() {
    for seed in 0..5 {
        let one = history(seed, Mutant::None).map(|happened| (happened.versions, happened.removed));
        assert_eq!(one, history(seed, Mutant::None).map(|happened| (happened.versions, happened.removed)));
    }
}

/// A rule that is left out must be noticed soon.
#[test]
fn every_mutant_is_caught() {
    let mutants = [
        Mutant::LoserRebases,
        Mutant::RevivesExpired,
        Mutant::MarksLatestOnly,
        Mutant::MarksByDigest,
        Mutant::SweepsRunning,
        Mutant::ResumesAnyBase,
    ];
    for mutant in mutants {
        // One that needs a rare order of events is looked for longer.
        let (mut caught, mut played) = (0, 0);
        while caught < 5 && played < 900 {
            caught += histories(played..played + 150, mutant).0.len();
            played += 150;
        }
        println!("{mutant:?}: {caught} of {played} histories broken");
        assert!(caught >= 5, "{mutant:?} is noticed in {caught} of {played} histories");
    }
}
