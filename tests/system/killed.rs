//! Invariants 2 and 3 on files: a process that is killed with SIGKILL, at any moment, leaves every version complete, and the next
//! process ends in the same state as an undisturbed history.
//!
//! The process is this test binary again. It prints each operation of its stores before it makes it, and the killer reads these
//! lines: it kills after a random number of them, at once or after a moment. The system's cache keeps what a killed process
//! wrote, so this does not test a machine that loses its power.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use deltic::core::{CatalogId, CatalogUuid, Digest, LayerId, RunId, Timestamp, Version};
use deltic::driver::{Import, Job, LocalEngine, Options};
use deltic::prelude::*;
use deltic::store::{Catalog, ErrorKind, NewCatalog, Stores};
use deltic_testkit::Random;
use deltic_testkit::store::{Fault, faults};

use crate::patterns::three_tasks;

/// The environment variables of the separate process: where its catalogs are, and which process it is.
const FOLDER: &str = "DELTIC_TEST_KILLED_FOLDER";
const ATTEMPT: &str = "DELTIC_TEST_KILLED_ATTEMPT";
/// What each line of progress has in it.
const MARK: &str = "operation:";
/// Versions of the input in a history.
const EDITIONS: u64 = 8;
/// The signal that can not be caught.
const SIGKILL: i32 = 9;

/// One process of a history: numbers for its runs that no other draws.
struct Process {
    folder: PathBuf,
    stores: Stores,
    drawn: u64,
}

impl Process {
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    fn url(&self, name: &str) -> String {
        format!("file:{}", self.folder.join(name).display())
    }

    /// Opens a catalog, or creates it, also where a creation was interrupted.
    fn catalog(&mut self, name: &str, layers: &[&str]) -> Catalog {
        let identity =
            NewCatalog { uuid: CatalogUuid(u128::from(self.draw())), run: RunId(self.draw()), created: Timestamp(0) };
        let layers = layers.iter().map(|layer| Layer::generic(layer).unwrap()).collect();
        Catalog::open_or_create(&self.stores, &self.url(name), layers, identity).unwrap()
    }

    /// Continues the history from its current act to the end.
    fn go_on(&mut self) {
        let input = self.catalog("in", &["a"]);
        let output = self.catalog("out", &[]);
        loop {
            self.run(&input, &output);
            let base = input.latest().unwrap();
            if base.version() == Version(EDITIONS) {
                return;
            }
            import(&input, base.version().0 + 1, RunId(self.draw()));
        }
    }

    fn run(&mut self, input: &Catalog, output: &Catalog) {
        let (engine, tasks) = (LocalEngine::new(2), three_tasks());
        Job::new(output, &tasks, Options::new(RunId(self.draw()), Timestamp(0), LayerId::new("state").unwrap()))
            .input(CatalogId::new("in").unwrap(), input.clone())
            .run(&engine)
            .unwrap();
    }
}

/// Makes a version of the input: some partitions come or change, some go; half of them are too long for a leaf.
fn import(input: &Catalog, edition: u64, run: RunId) {
    let import = Import::begin(&input.latest().unwrap(), run).unwrap();
    let layer = LayerId::new("a").unwrap();
    for number in edition * 20..edition * 20 + 60 {
        let name = Name::generic(&format!("{:03}", number % 150)).unwrap();
        if (number + edition).is_multiple_of(7) {
            import.delete(&layer, &name).unwrap();
        } else {
            let width = 1 + number as usize % 2 * 500;
            import.put(&layer, &name, &format!("{edition:>width$}").into()).unwrap();
        }
    }
    import.commit(Timestamp(0), "").unwrap();
}

/// Runs in the process of its own only.
#[test]
fn go_on_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let attempt: u64 = std::env::var(ATTEMPT).unwrap().parse().unwrap();
    let telling = faults(|operation, object| {
        println!("{MARK} {operation:?} {object}");
        Fault::None
    });
    Process { folder, stores: Stores::new().with_wrapper(telling), drawn: attempt << 32 }.go_on();
}

/// The digests of layers and state.
type Content = (Digest, Digest);

/// The content of the output for each version of the input that it can be made from; checks all versions that are there.
fn contents(folder: &Path) -> BTreeMap<u64, Content> {
    let stores = Stores::new();
    let mut contents = BTreeMap::new();
    for name in ["in", "out"] {
        let Ok(catalog) = Catalog::open(&stores, &format!("file:{}", folder.join(name).display())) else { continue };
        match catalog.latest() {
            Err(error) if *error.kind() == ErrorKind::NotFound => continue,
            latest => drop(latest.unwrap()),
        }
        assert_eq!(catalog.fsck(true).unwrap().damage, []);
        for version in catalog.log() {
            let version = version.unwrap();
            let made_from = version.record().dependencies.first().map(|input| input.version.0);
            contents.extend(made_from.map(|input| (input, (version.digest(), version.state_digest()))));
        }
    }
    contents
}

#[derive(Debug, Default)]
struct Kills {
    hit: u64,
    /// Processes that had ended, or got through, before they were killed.
    missed: u64,
    histories: u64,
}

/// Goes through histories, killing every process that works on them, until the given number of kills have hit.
fn kill(seed: u64, kills: u64) -> Kills {
    let undisturbed = tempfile::tempdir().unwrap();
    Process { folder: undisturbed.path().to_owned(), stores: Stores::new(), drawn: 0 }.go_on();
    let expected = contents(undisturbed.path());
    assert_eq!(expected.len() as u64, EDITIONS + 1, "the run of each edition is a version");

    let (mut random, mut counts, mut attempt) = (Random::new(seed), Kills::default(), 0);
    while counts.hit < kills {
        let folder = tempfile::tempdir().unwrap();
        loop {
            attempt += 1;
            let hit = kill_one(folder.path(), attempt, &mut random);
            *if hit { &mut counts.hit } else { &mut counts.missed } += 1;
            for (input, content) in contents(folder.path()) {
                assert_eq!(content, expected[&input], "seed {seed}, process {attempt}, input version {input}");
            }
            if !hit {
                break;
            }
        }
        assert_eq!(contents(folder.path()), expected, "seed {seed}");
        counts.histories += 1;
    }
    counts
}

/// Starts a process and kills it; returns whether the kill hit it, or it had ended before.
fn kill_one(folder: &Path, attempt: u64, random: &mut Random) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::go_on_in_a_process_of_its_own", "--nocapture"])
        .env(FOLDER, folder)
        .env(ATTEMPT, attempt.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (progress, moment) = (random.below(120), Duration::from_micros(random.below(3) * random.below(2000)));
    let mut lines = lines.map_while(Result::ok).filter(|line| line.contains(MARK));
    if lines.nth(progress as usize).is_some() {
        // Not to wait for anything: so that the kill also hits between two lines.
        std::thread::sleep(moment);
        child.kill().unwrap();
    }
    // The pipe must not be full while the process ends by itself.
    lines.for_each(drop);
    let status = child.wait().unwrap();
    assert!(status.success() || status.signal() == Some(SIGKILL), "process {attempt}: {status}");
    !status.success()
}

#[test]
fn a_history_of_killed_processes() {
    let kills = kill(1, 10);
    println!("{kills:?}");
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-tests --test system -- --ignored killed:: --nocapture`
#[test]
#[ignore = "long: run with --ignored, and DELTIC_SEEDS=FROM..TO for other than one seed of 250 kills"]
fn hundreds_of_killed_processes() {
    for seed in crate::seeds::seeds("0..1") {
        let kills = kill(seed, 250);
        println!("seed {seed}: {kills:?}");
        assert!(kills.hit >= 250);
    }
}
