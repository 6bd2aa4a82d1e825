//! Races of real processes on real stores: folders always, S3 and Azure where the environment names them.
//!
//! `.ci/servers cargo test -p deltic-tests --test races -- --nocapture` starts servers and names them in
//! `DELTIC_TEST_S3` and `DELTIC_TEST_AZURE`: URLs of catalogs, below which each test makes a folder of its own.
//! `DELTIC_ROUNDS` sets how many versions each of the processes makes.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

#[path = "../support/listed.rs"]
mod listed;
mod proxy;
mod racer;
mod store;
mod truth;
mod whole;

use racer::{Kind, Mishap, Race};
use store::Store;

/// Processes that race.
const WRITERS: u64 = 8;

/// Versions that each of them makes, unless `DELTIC_ROUNDS` sets another number.
fn rounds(short: u64) -> u64 {
    std::env::var("DELTIC_ROUNDS").map_or(short, |rounds| rounds.parse().unwrap())
}

/// Lets imports race, then runs, and compares their acknowledgements with the catalog.
fn race(store: &Store, mishap: Mishap, rounds: u64) {
    for kind in [Kind::Import, Kind::Run] {
        let race = Race::prepare(store, kind, mishap);
        let (acks, conflicts) = race.start(WRITERS, rounds);
        assert_eq!(acks.len() as u64, WRITERS * rounds, "{kind:?} on {store}: every process makes all its versions");
        let problems = truth::problems(&race, &acks);
        assert!(problems.is_empty(), "{kind:?} on {store}: {problems:#?}");
        let lost = race.lost();
        assert!(lost != Some(0), "{kind:?} on {store}: no answer was lost");
        let lost = lost.map_or(String::new(), |lost| format!(", {lost} answers lost"));
        println!(
            "{kind:?} on {store}, {mishap:?}: {} commits acknowledged, {conflicts} conflicts told{lost}",
            acks.len()
        );
    }
}

#[test]
fn on_a_folder() {
    race(&Store::folder(), Mishap::None, rounds(12));
}

#[test]
fn on_a_folder_that_loses_answers() {
    race(&Store::folder(), Mishap::LosesAnswers, rounds(6));
}

#[test]
fn on_s3() {
    let Some(store) = Store::s3() else { return };
    race(&store, Mishap::None, rounds(4));
}

#[test]
fn on_azure() {
    let Some(store) = Store::azure() else { return };
    race(&store, Mishap::None, rounds(4));
}

/// The connection breaks after a record was created and before that is answered.
#[test]
fn on_s3_over_a_line_that_loses_answers() {
    let Some(store) = Store::s3() else { return };
    race(&store, Mishap::LosesAnswers, rounds(2));
}

#[test]
fn on_azure_over_a_line_that_loses_answers() {
    let Some(store) = Store::azure() else { return };
    race(&store, Mishap::LosesAnswers, rounds(2));
}

/// The test of the tests: when a creation overwrites an existing object, versions are lost, and the test must notice.
#[test]
fn a_store_that_overwrites_is_noticed() {
    let store = Store::folder();
    for kind in [Kind::Import, Kind::Run] {
        let race = Race::prepare(&store, kind, Mishap::Overwrites);
        let (acks, _) = race.start(WRITERS, 4);
        let problems = truth::problems(&race, &acks);
        assert!(problems.iter().any(|problem| problem.contains("acknowledged twice")), "{kind:?}: {problems:#?}");
    }
}

/// A file of tests that nobody lists would never run.
#[test]
fn every_file_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/races");
    assert_eq!(listed::unlisted(folder.as_ref()), Vec::<String>::new());
}
