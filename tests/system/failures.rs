//! Invariants 2 and 3: whichever operation of a store fails, in whichever way, a version exists completely or not at all, every
//! acknowledged version exists, and a new attempt ends in the same state as an undisturbed history.
//!
//! A history is a list of acts, each done like a separate process: nothing is cached from one to the next. For each kind of act,
//! each of its operations fails in turn: before its effect; after it, so that the answer is lost; with its effect twice; with a
//! short read; and as the last operation before the process dies.

use std::cell::Cell;
use std::collections::BTreeMap;

use deltic::core::{CatalogId, CatalogUuid, Digest, Grid, LayerId, RunId, Timestamp, Version};
use deltic::driver::{Import, Job, LocalEngine, Mode, Options};
use deltic::prelude::*;
use deltic::store::{
    Catalog, ErrorKind, KeyRange, NewCatalog, RepackOptions, Retention, Shape as StoreShape, Stores, Tree,
};
use deltic_testkit::store::{Operation, with_shape};
use deltic_testkit::{Edit, Fault, Faults, Happened, Random, RandomHistory};

use crate::patterns::{Groups, Pairs, Shape, random_tasks};

const INPUT: &str = "in";
const OUTPUT: &str = "out";

/// Few entries make a deep tree, so that a run has many operations.
const SHAPE: StoreShape = StoreShape { leaf_bits: 2, inner_bits: 1 };

/// How operations are driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// One after another, always in the same order.
    Local,
    /// Many at once, as those of a remote store.
    Remote,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    InitInput,
    InitOutput,
    /// Imports the edits of this number.
    Import(usize),
    Run,
    /// Keeps the latest version of the output only.
    Retain,
    Gc,
    Repack,
}

/// A history and what it works on.
struct Site {
    place: Place,
    tasks: Vec<Task>,
    edits: Vec<Vec<Edit>>,
    stores: Stores,
    faults: Faults,
    /// Numbers for runs and catalogs, never used twice.
    drawn: Cell<u64>,
}

/// A catalog as it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// The digest of each version's record.
    records: Vec<Digest>,
    content: Content,
}

/// The digests of a version's layers and state.
type Content = (Digest, Digest);

impl Site {
    fn new(place: Place, tasks: &[Task], edits: &[Vec<Edit>]) -> Site {
        let faults = Faults::new();
        let stores = match place {
            Place::Local => Stores::new().with_wrapper(faults.wrapper()),
            Place::Remote => Stores::new().with_wrapper(faults.wrapper_in_memory()),
        };
        Site { place, tasks: tasks.to_vec(), edits: edits.to_vec(), stores, faults, drawn: Cell::new(1) }
    }

    fn url(&self, name: &str) -> String {
        match self.place {
            Place::Local => format!("memory:{name}"),
            Place::Remote => format!("s3://site/{name}"),
        }
    }

    fn open(&self, name: &str) -> Catalog {
        with_shape(&Catalog::open(&self.stores, &self.url(name)).unwrap(), SHAPE)
    }

    fn draw(&self) -> u64 {
        self.drawn.replace(self.drawn.get() + 1)
    }

    /// Does an act as a new process would; returns the version that was made.
    fn act(&self, act: Act) -> Result<Option<Version>, deltic::driver::Error> {
        let id = RunId(self.draw());
        match act {
            Act::InitInput => {
                let tiles = Layer::tiles("t", Grid::Here, 0..=31).unwrap();
                self.init(INPUT, vec![Layer::generic("a").unwrap(), tiles])
            }
            Act::InitOutput => self.init(OUTPUT, Vec::new()),
            Act::Import(number) => {
                let import = Import::begin(&self.open(INPUT).latest()?, id)?;
                // Of several edits of a partition the last one counts.
                let edits: BTreeMap<_, _> =
                    self.edits[number].iter().map(|edit| ((&edit.layer, &edit.name), &edit.payload)).collect();
                for ((layer, name), payload) in edits {
                    let layer = LayerRef::parse(layer).unwrap().layer;
                    match payload {
                        Some(payload) => import.put(&layer, name, payload)?,
                        None => drop(import.delete(&layer, name)?),
                    }
                }
                Ok(import.commit(Timestamp(0), "")?.version)
            }
            Act::Run => Ok(self.run(id)?.version),
            Act::Retain => {
                let rules = Retention { last: Some(1), ..Retention::default() };
                Ok(self.open(OUTPUT).retain(&rules, id, Timestamp(0), false)?.version)
            }
            Act::Gc => {
                self.open(OUTPUT).gc(false)?;
                Ok(None)
            }
            Act::Repack => {
                let options = RepackOptions { below_percent: 100, ..RepackOptions::default() };
                Ok(self.open(OUTPUT).repack(&options, id, Timestamp(0), false)?.version)
            }
        }
    }

    fn init(&self, name: &str, layers: Vec<Layer>) -> Result<Option<Version>, deltic::driver::Error> {
        let identity =
            NewCatalog { uuid: CatalogUuid(u128::from(self.draw())), run: RunId(self.draw()), created: Timestamp(0) };
        match Catalog::create(&self.stores, &self.url(name), layers, identity) {
            Ok(_) => Ok(Some(Version(0))),
            // Another try got further than it knew.
            Err(error) if *error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn run(&self, id: RunId) -> Result<deltic::driver::Report, deltic::driver::Error> {
        let input = self.open(INPUT);
        let engine = LocalEngine::new(1);
        Job::new(&self.open(OUTPUT), &self.tasks, Options::new(id, Timestamp(0), LayerId::new("state").unwrap()))
            .input(CatalogId::new("in").unwrap(), input)
            .run(&engine)
    }

    /// Reads all that can be read of both catalogs, with nothing cached, and checks every byte of it.
    fn look(&self) -> [Option<Seen>; 2] {
        [INPUT, OUTPUT].map(|name| {
            let catalog = self.open(name);
            let latest = match catalog.latest() {
                Err(error) if *error.kind() == ErrorKind::NotFound => return None,
                latest => latest.unwrap(),
            };
            for version in latest.record().retained_versions() {
                let snapshot = catalog.snapshot(version).unwrap();
                let layers = snapshot.layers().map(|layer| snapshot.tree(&layer.id).unwrap());
                let tables = snapshot.state_tables().map(|table| snapshot.state_table(table).unwrap());
                layers.chain(tables).for_each(|tree| read(&tree));
            }
            let checked = catalog.fsck(true).unwrap();
            assert_eq!(checked.damage, [], "{name}");
            let mut records: Vec<Digest> = catalog.log().map(|version| version.unwrap().record_digest()).collect();
            records.reverse();
            Some(Seen { records, content: (latest.digest(), latest.state_digest()) })
        })
    }
}

/// Reads a tree to the last payload; each is checked on the way.
fn read(tree: &Tree) {
    let entries = tree.scan(KeyRange::all()).map(|found| tree.read(&found.unwrap().1).unwrap());
    assert_eq!(entries.count() as u64, tree.count());
}

/// A history with nothing in its way: the content of both catalogs after each act.
fn undisturbed(tasks: &[Task], edits: &[Vec<Edit>], acts: &[Act]) -> Vec<[Option<Content>; 2]> {
    let site = Site::new(Place::Local, tasks, edits);
    let after = |act: &Act| {
        site.act(*act).unwrap();
        site.look().map(|seen| seen.map(|seen| seen.content))
    };
    acts.iter().map(after).collect()
}

/// What must hold after an act that was disturbed, whether it failed or not.
fn check(before: &[Option<Seen>; 2], site: &Site, made: Option<Option<Version>>, expected: &[Option<Content>; 2]) {
    let after = site.look();
    for ((before, after), expected) in before.iter().zip(&after).zip(expected) {
        let Some(after) = after else {
            assert!(before.is_none(), "a catalog is gone");
            continue;
        };
        let known = before.as_ref().map_or(&[][..], |before| &before.records);
        assert!(after.records.starts_with(known), "a version has changed");
        assert!(after.records.len() - known.len() <= 1, "there are two new versions");
        match before {
            Some(before) if after.records.len() == known.len() => assert_eq!(before.content, after.content),
            _ => assert_eq!(Some(after.content), *expected, "the new version is not whole"),
        }
    }
    if let Some(made) = made {
        let contents = after.each_ref().map(|seen| seen.as_ref().map(|seen| seen.content));
        assert_eq!(contents, *expected, "it was reported as done");
        let versions = |seen: &[Option<Seen>; 2]| -> Vec<usize> {
            seen.iter().map(|seen| seen.as_ref().map_or(0, |seen| seen.records.len())).collect()
        };
        let new = versions(before).into_iter().zip(versions(&after)).find(|(before, after)| before < after);
        let new = new.map(|(_, after)| Version(after as u64 - 1));
        assert_eq!(made, new, "the version that was reported");
    }
}

/// How often operations were disturbed.
struct Counts {
    operations: usize,
    disturbed: usize,
    /// How many of the disturbed acts ended in an error.
    failed: usize,
}

/// A disturbance of one operation.
#[derive(Debug, Clone, Copy)]
enum How {
    Once(Fault),
    /// It is the last one that the process gets through, or does not.
    Last(Fault),
}

const HOW: [How; 6] = [
    How::Once(Fault::Before),
    How::Once(Fault::After),
    How::Once(Fault::Twice),
    How::Once(Fault::Short),
    How::Last(Fault::Before),
    How::Last(Fault::After),
];

/// Goes through a history up to an act, then through that act with an operation disturbed, once for each operation and
/// each way; then again through the act and those that follow.
fn every_operation(
    place: Place,
    (tasks, edits): (&[Task], &[Vec<Edit>]),
    before: &[Act],
    act: Act,
    after: &[Act],
) -> Counts {
    let acts = [before, &[act], after].concat();
    let expected = undisturbed(tasks, edits, &acts);
    let begin = || {
        let site = Site::new(place, tasks, edits);
        for act in before {
            site.act(*act).unwrap();
        }
        site
    };
    let clean = begin();
    clean.faults.calm();
    clean.act(act).unwrap();
    let operations = clean.faults.calm().operations;
    let disturb = |number: usize, how: How| {
        let site = begin();
        let seen = site.look();
        match how {
            How::Once(fault) => site.faults.once(number as u64, fault),
            How::Last(fault) => site.faults.from(number as u64, fault),
        }
        let made = site.act(act);
        let happened = site.faults.calm();
        // Where many are under way, another may have this number, or none.
        assert!(place == Place::Remote || !happened.faults.is_empty(), "operation {number} was not asked");
        let (disturbed, failed) = (!happened.faults.is_empty(), made.is_err());
        // The probe of an init is not repeated: a store that fails it is not one to begin on.
        let stands = !failed || matches!((how, act), (How::Last(_), _) | (_, Act::InitInput | Act::InitOutput));
        assert!(stands, "one failure ended {act:?}: {:?}: {:?}", made.err(), happened.faults);
        check(&seen, &site, made.ok(), &expected[before.len()]);
        for (act, expected) in acts.iter().zip(&expected).skip(before.len()) {
            site.act(*act).unwrap();
            let contents = site.look().map(|seen| seen.map(|seen| seen.content));
            assert_eq!(contents, *expected, "after {act:?}, begun again");
        }
        (usize::from(disturbed), usize::from(failed))
    };
    let ways = |operation: &Operation| {
        let affects = |how: &How| {
            let (How::Once(fault) | How::Last(fault)) = how;
            fault.affects(*operation)
        };
        HOW.into_iter().filter(affects).collect::<Vec<_>>()
    };
    // Most of the time is spent between one try of a request and the next.
    let counts = std::thread::scope(|scope| {
        let (disturb, ways, operations) = (&disturb, &ways, &operations);
        let share = |first: usize| {
            let mine = operations.iter().enumerate().skip(first).step_by(THREADS);
            let each = mine.flat_map(|(number, operation)| ways(operation).into_iter().map(move |how| (number, how)));
            each.map(|(number, how)| disturb(number, how)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || share(first))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    Counts { operations: operations.len(), disturbed: counts.0, failed: counts.1 }
}

/// How many operations are disturbed at once, each in a history of its own.
const THREADS: usize = 8;

/// All acts, in an order that makes each of them do something.
const ACTS: [Act; 14] = [
    Act::InitInput,
    Act::InitOutput,
    Act::Import(0),
    Act::Run,
    Act::Import(1),
    Act::Run,
    Act::Run,
    Act::Import(2),
    Act::Run,
    Act::Retain,
    Act::Gc,
    Act::Repack,
    Act::Import(3),
    Act::Run,
];

/// Two tasks of which the second reads what the first makes.
fn two_tasks() -> Vec<Task> {
    let shape = |salt, input, output| Shape { salt, inputs: vec![input], references: vec!["in/a"], output };
    vec![
        Task::new("one", MapGroup(Groups(shape(7, "in/a", "x")))).unwrap().version("1"),
        Task::new("two", Direct(Pairs(shape(8, "x", "y")))).unwrap().version("1"),
    ]
}

/// Four sets of edits, some of them too long to lie in a leaf.
fn four_edits() -> Vec<Vec<Edit>> {
    let edit = |set: usize, number: usize| {
        let payload = (set + number) % 5 != 4;
        let payload = payload.then(|| format!("{:>width$}", set * number, width = 1 + number % 2 * 300).into());
        Edit { layer: "in/a".to_owned(), name: Name::generic(&format!("{number:02}")).unwrap(), payload }
    };
    (0..4).map(|set| (set * 3..set * 3 + 8).map(|number| edit(set, number)).collect()).collect()
}

/// Disturbs the act at a place in [`ACTS`], in a history of little.
fn disturb(place: usize, what: &str) {
    let rest = &[Act::Import(3), Act::Run];
    // An init of the input needs one of the output behind it, and so on, before there can be a run.
    let rest: Vec<Act> = ACTS[place + 1..4.max(place + 1)].iter().chain(rest).copied().collect();
    // Maintenance is driven in the same way wherever it is; of the others a remote store is asked several things at once.
    let places = if place < 9 { &[Place::Local, Place::Remote][..] } else { &[Place::Local] };
    for driven in places.iter().copied() {
        let material = (&two_tasks()[..], &four_edits()[..]);
        let Counts { operations, disturbed, failed } =
            every_operation(driven, material, &ACTS[..place], ACTS[place], &rest);
        println!(
            "{what}, {driven:?}: {operations} operations, disturbed {disturbed} times, which ended it {failed} times"
        );
        assert!(disturbed >= 2 * operations && failed > 0);
    }
}

#[test]
fn the_history_is_one_of_all_kinds_of_runs() {
    let site = Site::new(Place::Local, &two_tasks(), &four_edits());
    let mut modes = Vec::new();
    for act in ACTS {
        if act == Act::Run {
            let report = site.run(RunId(site.draw())).unwrap();
            let mode = &report.tasks[0].mode;
            modes.push(match mode {
                Mode::Full { .. } => "full",
                Mode::Incremental { .. } => "incremental",
                _ => "skipped",
            });
            assert_eq!(report.version.is_none(), modes.len() == 3);
        } else {
            let made = site.act(act).unwrap();
            assert_eq!(made.is_some(), act != Act::Gc, "{act:?} made {made:?}");
        }
    }
    assert_eq!(modes, ["full", "incremental", "skipped", "incremental", "incremental"]);
}

#[test]
fn an_init_whose_operations_fail() {
    disturb(0, "init");
}

#[test]
fn an_import_whose_operations_fail() {
    disturb(4, "import");
}

#[test]
fn a_full_run_whose_operations_fail() {
    disturb(3, "full run");
}

#[test]
fn an_incremental_run_whose_operations_fail() {
    disturb(5, "incremental run");
}

#[test]
fn a_run_with_nothing_to_do_whose_operations_fail() {
    disturb(6, "run with nothing to do");
}

#[test]
fn a_retention_whose_operations_fail() {
    disturb(9, "retention");
}

#[test]
fn a_sweep_whose_operations_fail() {
    disturb(10, "sweep");
}

#[test]
fn a_repacking_whose_operations_fail() {
    disturb(11, "repacking");
}

/// Goes through a history in which operations fail at random all the time; each act is done until it is said to be done.
fn random_faults(place: Place, seed: u64, tasks: &[Task], edits: &[Vec<Edit>]) -> Happened {
    let mut random = Random::new(seed);
    let expected = undisturbed(tasks, edits, &ACTS);
    let site = Site::new(place, tasks, edits);
    let mut all = Happened::default();
    for (act, expected) in ACTS.iter().zip(&expected) {
        loop {
            let seen = site.look();
            site.faults.random(random.next_number(), 3 + random.below(30));
            let made = site.act(*act);
            let Happened { operations, faults } = site.faults.calm();
            all.operations.extend(operations);
            all.faults.extend(faults);
            let done = made.is_ok();
            check(&seen, &site, made.ok(), expected);
            if done {
                break;
            }
        }
    }
    all
}

#[test]
fn faults_at_random() {
    let (mut operations, mut faults) = (0, 0);
    for seed in 0..20 {
        let place = if seed % 2 == 0 { Place::Local } else { Place::Remote };
        let all = random_faults(place, seed, &two_tasks(), &four_edits());
        operations += all.operations.len();
        faults += all.faults.len();
    }
    println!("{faults} of {operations} operations disturbed");
    assert!(faults > 100);
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-tests --test system -- --ignored failures:: --nocapture`
///
/// For each seed tasks of every pattern and a history of their own: each operation of an import, a full and an
/// incremental run is disturbed in each way, and then a history goes on with faults at random.
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn many_histories_with_faults() {
    let (mut operations, mut disturbed) = (0, 0);
    for seed in crate::seeds::seeds("0..3") {
        let (names, tiles) = (RandomHistory::generic_names(4), RandomHistory::tile_names(3));
        let layers = vec![("in/a".to_owned(), names), ("in/t".to_owned(), tiles)];
        let mut edits = RandomHistory { layers, steps: 48, contents: 5 }.make(seed);
        edits = edits.chunks(12).map(<[_]>::concat).collect();
        let caught = std::panic::catch_unwind(|| {
            let tasks = random_tasks(seed);
            let all = random_faults(Place::Local, seed, &tasks, &edits);
            let (mut operations, mut disturbed) = (all.operations.len(), all.faults.len());
            for place in [3, 4, 5] {
                let counts = every_operation(Place::Local, (&tasks, &edits), &ACTS[..place], ACTS[place], &[]);
                operations += counts.operations;
                disturbed += counts.disturbed;
            }
            (operations, disturbed)
        });
        assert!(caught.is_ok(), "seed {seed}");
        let counts = caught.unwrap_or_default();
        operations += counts.0;
        disturbed += counts.1;
        println!("seed {seed}: {} disturbed of {} operations", counts.1, counts.0);
    }
    println!("{disturbed} operations disturbed; {operations} were there to disturb");
}
