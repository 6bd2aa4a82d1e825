//! Compilers that are no functions of their inputs, and how running them twice reveals it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use deltic::driver::{Error, ErrorKind, Sampling, Verify};
use deltic::prelude::*;
use deltic_testkit::{Lab, RandomHistory, check_incremental};
use expect_test::expect;

use crate::patterns::{TILES, random_tasks};

/// How a compiler goes wrong, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leak {
    /// It does not.
    None,
    /// A list in the order of a hash map.
    HashOrder,
    /// A number that counts up.
    Counter,
    /// What the first of all partitions was, by thread.
    FirstOfThread,
    /// Whether a partition was seen before.
    SeenBefore,
    /// The id of the thread.
    Thread,
}

const LEAKS: [Leak; 5] = [Leak::HashOrder, Leak::Counter, Leak::FirstOfThread, Leak::SeenBefore, Leak::Thread];

static COUNTER: AtomicU64 = AtomicU64::new(0);
static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
thread_local! {
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

impl Leak {
    /// A text of some words that should follow from them alone.
    fn text(self, key: &str, words: &str) -> String {
        match self {
            Leak::None => {
                let set: HashSet<&str> = words.split_whitespace().collect();
                let mut sorted: Vec<&str> = set.into_iter().collect();
                sorted.sort_unstable();
                sorted.join(" ")
            }
            Leak::HashOrder => {
                let counts: HashMap<&str, usize> = words.split_whitespace().map(|word| (word, word.len())).collect();
                counts.keys().copied().collect::<Vec<_>>().join(" ")
            }
            Leak::Counter => format!("{words} {}", COUNTER.fetch_add(1, Ordering::Relaxed)),
            Leak::FirstOfThread => FIRST.with_borrow_mut(|first| first.get_or_insert_with(|| key.to_owned()).clone()),
            Leak::SeenBefore => {
                let mut seen = SEEN.lock().unwrap();
                format!("{words} {}", seen.get_or_insert_default().insert(key.to_owned()))
            }
            Leak::Thread => format!("{words} {:?}", std::thread::current().id()),
        }
    }
}

/// Where a compiler goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Front,
    Back,
    Reads,
    BackReads,
    Edges,
}

/// A map-group that goes wrong in one place.
struct Leaks(Leak, Place);

impl HasLayers for Leaks {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("texts")?]))
    }
}

impl Leaks {
    fn text(&self, place: Place, key: &str, words: &str) -> String {
        if self.1 == place { self.0.text(key, words) } else { words.to_owned() }
    }
}

impl MapGroupCompiler for Leaks {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, context: &Context<'_>) -> Result<()> {
        let key = input.key.to_string();
        let read = self.text(Place::Reads, &key, "fixed");
        context.exists("in/texts", read.replace(' ', "-"))?;
        let name = input.name().to_string();
        let name = if name.starts_with("big") { "big" } else { &name };
        let name = self.text(Place::Edges, &key, name).replace(' ', "-");
        out.emit("texts", name, self.text(Place::Front, &key, input.text()?));
        Ok(())
    }

    fn compile_out(&self, out: &OutKey, texts: Values<'_, String>, context: &Context<'_>) -> Result<Option<Payload>> {
        let texts: Vec<String> = texts.collect();
        let read = self.text(Place::BackReads, &out.to_string(), "fixed");
        context.exists("in/texts", read.replace(' ', "-"))?;
        Ok(Some(self.text(Place::Back, &out.to_string(), &texts.join(" ")).into()))
    }
}

const WORDS: &str = "one two three four five six seven eight nine ten eleven twelve";

fn lab(leak: Leak, place: Place) -> Lab {
    let mut lab = Lab::new(vec![Task::new("leaks", MapGroup(Leaks(leak, place))).unwrap().version("1")]);
    for name in ["a", "b", "c"] {
        lab.put("in/texts", name, WORDS);
    }
    lab.check_determinism(true);
    lab
}

#[test]
fn every_leak_is_caught_at_either_end() {
    for leak in LEAKS {
        for place in [Place::Front, Place::Back] {
            *SEEN.lock().unwrap() = None;
            FIRST.with_borrow_mut(|first| *first = None);
            let mut lab = lab(leak, place);
            let Err(ErrorKind::NotDeterministic { offenders, .. }) = lab.try_run().map_err(Error::into_kind) else {
                panic!("{leak:?} in {place:?} went unnoticed")
            };
            let phase = if place == Place::Front { "front-end of in/texts/" } else { "back-end of texts/" };
            let offender = offenders[0].to_string();
            assert!(
                offender.starts_with(&format!("leaks: {phase}")) && offenders[0].first.is_some(),
                "{leak:?}: {offender}"
            );
            assert_eq!(lab.output().version().0, 0, "nothing is published");
        }
    }
}

#[test]
fn what_is_sorted_is_no_leak() {
    for place in [Place::Front, Place::Back, Place::Reads, Place::BackReads, Place::Edges] {
        let mut lab = lab(Leak::None, place);
        lab.run();
        lab.put("in/texts", "b", "other words");
        lab.run();
        lab.assert_equals_scratch();
        lab.assert_verified();
    }
}

#[test]
fn other_reads_and_other_outputs() {
    let found = |place| match lab(Leak::Counter, place).try_run().map_err(Error::into_kind) {
        Err(ErrorKind::NotDeterministic { offenders, .. }) => offenders[0].clone(),
        other => panic!("{other:?}"),
    };
    let reads = found(Place::Reads);
    assert_eq!((reads.key.as_str(), reads.first), ("in/texts/a", None));
    let what = reads.what.trim_end_matches(" the first time only");
    assert!(what.starts_with("reads in/texts/fixed-") && what != reads.what, "{what}");
    let reads = found(Place::BackReads);
    assert_eq!((reads.key.as_str(), reads.first), ("texts/a", None));
    assert!(reads.what.starts_with("reads in/texts/fixed-"), "{}", reads.what);
    let edges = found(Place::Edges);
    assert!(edges.what.starts_with("emits something else to texts/a-"), "{}", edges.what);
}

#[test]
fn all_offenders_are_listed_as_far_as_that_helps() {
    let mut lab = lab(Leak::Thread, Place::Front);
    for name in 0..150 {
        lab.put("in/texts", name.to_string(), "x");
    }
    lab.threads(2);
    let Err(ErrorKind::NotDeterministic { offenders, more }) = lab.try_run().map_err(Error::into_kind) else {
        panic!("it went unnoticed")
    };
    // Each input, and no back-end: that made the same of the same.
    assert_eq!((offenders.len(), more), (100, 53));
    assert!(offenders.is_sorted_by(|a, b| a.key < b.key));
}

#[test]
fn hot_groups_and_rows_in_files_are_compared_too() {
    for leak in [Leak::None, Leak::Counter] {
        let mut lab = lab(leak, Place::Back);
        lab.row_memory(0);
        for name in 0..40 {
            lab.put("in/texts", format!("big{name}"), "x".repeat(300_000));
        }
        match lab.try_run().map_err(Error::into_kind) {
            Ok(_) => assert_eq!(leak, Leak::None),
            Err(ErrorKind::NotDeterministic { offenders, .. }) => {
                assert!(leak != Leak::None && offenders.iter().any(|one| one.key == "texts/big"), "{offenders:?}");
            }
            Err(kind) => panic!("{kind:?}"),
        }
    }
}

/// A compiler over the whole input that goes wrong, or not.
struct Numbers(bool);

impl HasLayers for Numbers {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("texts")?]))
    }
}

impl Numbers {
    fn leak(&self) -> u64 {
        if self.0 { COUNTER.fetch_add(1, Ordering::Relaxed) } else { 0 }
    }
}

impl DepCompiler for Numbers {
    type Value = u64;

    fn compile_in(&self, input: &Whole<'_>, out: &mut Emit<'_, u64>, _: &Context<'_>) -> Result<()> {
        for found in input.partitions("in/texts")? {
            out.emit("texts", &found?.key.name, self.leak());
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<'_, u64>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(values.sum::<u64>().to_string().into()))
    }
}

impl GlobalCompiler for Numbers {
    fn compile(&self, input: &Whole<'_>, out: &mut Publish<'_>, _: &Context<'_>) -> Result<()> {
        for found in input.partitions("in/texts")? {
            out.put("texts", &found?.key.name, format!("number {}", self.leak()));
        }
        Ok(())
    }
}

impl IncrementalDepCompiler for Numbers {
    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()> {
        for found in input.partitions("in/texts")? {
            out.set(&found?.key, |to| to.add("texts", format!("to-{}", self.leak())))?;
        }
        Ok(())
    }

    fn update(
        &self,
        _: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        _: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()> {
        for change in changes {
            out.set(&change?.key, |to| to.add("texts", format!("to-{}", self.leak())))?;
        }
        Ok(())
    }

    fn compile(&self, _: &OutKey, _: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some("x".into()))
    }
}

#[test]
fn front_ends_over_the_whole_input_run_twice_as_well() {
    for leaks in [true, false] {
        let tasks = [
            Task::new("dep", Dep(Numbers(leaks))),
            Task::new("global", Global(Numbers(leaks))),
            Task::new("graph", IncrementalDep(Numbers(leaks))),
        ];
        let expected =
            ["dep: front-end of the whole input: emits something else to texts/", "global: back-end of", "graph: "];
        for (task, expected) in tasks.into_iter().zip(expected) {
            let mut lab = Lab::new(vec![task.unwrap().version("1")]);
            for name in ["a", "b"] {
                lab.put("in/texts", name, WORDS);
            }
            lab.check_determinism(true);
            match lab.try_run().map_err(Error::into_kind) {
                Ok(_) => {
                    assert!(!leaks, "{expected} went unnoticed");
                    lab.put("in/texts", "c", WORDS);
                    lab.run();
                    lab.assert_equals_scratch();
                    lab.assert_verified();
                }
                Err(ErrorKind::NotDeterministic { offenders, .. }) => {
                    assert!(leaks && offenders[0].to_string().starts_with(expected), "{}", offenders[0]);
                }
                Err(kind) => panic!("{kind:?}"),
            }
        }
    }
}

#[test]
fn random_tasks_are_functions_of_their_inputs() {
    for seed in 0..4 {
        let layers = vec![
            ("in/a".to_owned(), RandomHistory::generic_names(4)),
            (TILES.to_owned(), RandomHistory::tile_names(3)),
        ];
        check_incremental(&random_tasks(seed), &RandomHistory { layers, steps: 6, contents: 5 }.make(seed));
    }
}

/// Remembers for good which partition was the first that it ever saw.
struct FirstEver;

static FIRST_EVER: Mutex<Option<String>> = Mutex::new(None);

impl HasLayers for FirstEver {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("texts")?]))
    }
}

impl DirectCompiler for FirstEver {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("texts", &key.name);
    }

    fn compile(&self, out: &OutKey, _: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let mut first = FIRST_EVER.lock().unwrap();
        Ok(Some(first.get_or_insert_with(|| out.to_string()).as_str().into()))
    }
}

#[test]
fn what_a_process_remembers_for_good_is_found_by_another_one_in_another_order() {
    let mut lab = Lab::new(vec![Task::new("first", Direct(FirstEver)).unwrap().version("1")]);
    for name in ["a", "b", "c", "d"] {
        lab.put("in/texts", name, WORDS);
    }
    lab.check_determinism(true);
    // Within one process it is always the same.
    lab.run();
    let another_process = || *FIRST_EVER.lock().unwrap() = None;
    another_process();
    assert!(!lab.verify(&Verify::default()).unwrap().is_clean());
    another_process();
    let everything = Sampling { millionths: 1_000_000, seed: 0 };
    assert!(!lab.verify(&Verify { sample: Some(everything), ..Verify::default() }).unwrap().is_clean());
    // In the usual order it does not show.
    another_process();
    lab.check_determinism(false);
    assert!(lab.verify(&Verify::default()).unwrap().is_clean());
}

#[test]
fn a_failure_the_second_time_is_an_offence() {
    struct Once;
    static RAN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    impl HasLayers for Once {
        fn layers(&self) -> Result<Layers> {
            Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("texts")?]))
        }
    }
    impl DirectCompiler for Once {
        fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
            out.add("texts", &key.name);
        }
        fn compile(&self, out: &OutKey, _: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
            ensure!(RAN.lock().unwrap().get_or_insert_default().insert(out.to_string()), "once only");
            Ok(None)
        }
    }
    let mut lab = Lab::new(vec![Task::new("once", Direct(Once)).unwrap().version("1")]);
    lab.put("in/texts", "a", "x");
    lab.check_determinism(true);
    let error = lab.try_run().unwrap_err().to_string();
    expect!["1 partition gives different results when compiled twice: once: back-end of texts/a: succeeds the first time and fails the second: once only"]
    .assert_eq(&error);
}
