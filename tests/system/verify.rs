//! Verification: no finding if everything is correct, and the findings if something is not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use deltic::core::{Grid, RunId, Timestamp};
use deltic::driver::{Difference, Sampling, Verification, Verify};
use deltic::prelude::*;
use deltic::store::{Retention, Stores};
use deltic_testkit::store::{Operation, RequestLog};
use deltic_testkit::{Lab, RandomHistory};
use expect_test::expect;
use proptest::prelude::*;

use crate::patterns::{TILES, random_tasks};

fn all() -> Verify {
    Verify::default()
}

fn sample(percent: u32, seed: u64) -> Verify {
    Verify { sample: Some(Sampling { millionths: percent * 10_000, seed }), ..Verify::default() }
}

fn listed(found: &Verification) -> String {
    found.differences.iter().map(|difference| format!("{difference}\n")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn random_tasks_over_random_histories_verify(seed: u64) {
        let layers = vec![
            ("in/a".to_owned(), RandomHistory::generic_names(4)),
            (TILES.to_owned(), RandomHistory::tile_names(3)),
        ];
        let history = RandomHistory { layers, steps: 10, contents: 5 }.make(seed);
        let mut lab = Lab::new(random_tasks(seed)).tiles(TILES, Grid::Here);
        lab.threads(1 + seed as usize % 2);
        if seed.is_multiple_of(3) {
            lab.row_memory(0);
        }
        for (number, step) in history.into_iter().enumerate() {
            for edit in step {
                match edit.payload {
                    Some(payload) => lab.put(&edit.layer, edit.name, payload),
                    None => lab.delete(&edit.layer, edit.name),
                }
            }
            lab.run();
            if number % 3 < 2 {
                continue;
            }
            for what in [sample(100, 0), sample(30, seed), all()] {
                let found = lab.verify(&what).unwrap();
                prop_assert!(found.is_clean(), "step {number}, {:?}: {}", what.sample, listed(&found));
            }
            lab.assert_verified();
        }
    }
}

/// Counts the letters of each word of a text, and adds the number that a test sets.
#[derive(Clone, Default)]
struct Letters {
    added: Arc<AtomicU64>,
    /// A word that it fails at.
    hates: Arc<Mutex<String>>,
}

impl Letters {
    fn add(&self, number: u64) {
        self.added.store(number, Ordering::Relaxed);
    }

    fn tasks(&self) -> Vec<Task> {
        let count = Task::new("count", MapGroup(self.clone())).unwrap().version("1");
        vec![count, Task::new("copy", Direct(Copies)).unwrap().version("1")]
    }
}

impl HasLayers for Letters {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("counts")?]))
    }
}

impl MapGroupCompiler for Letters {
    type Value = u64;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, u64>, _: &Context<'_>) -> Result<()> {
        for word in input.text()?.split_whitespace() {
            ensure!(word != self.hates.lock().unwrap().as_str(), "the word {word}");
            out.emit("counts", word, word.len() as u64);
        }
        Ok(())
    }

    fn compile_out(&self, word: &OutKey, counts: Values<'_, u64>, _: &Context<'_>) -> Result<Option<Payload>> {
        let sum: u64 = counts.sum::<u64>() + self.added.load(Ordering::Relaxed);
        Ok(Some(format!("{}: {sum}", word.name).into()))
    }
}

/// Copies the counts.
struct Copies;

impl HasLayers for Copies {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["counts"]).output_layers([Layer::generic("copies")?]))
    }
}

impl DirectCompiler for Copies {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("copies", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(inputs[0].payload.clone()))
    }
}

fn letters() -> (Letters, Lab) {
    let letters = Letters::default();
    let mut lab = Lab::new(letters.tasks());
    lab.put("in/texts", "a", "one two");
    lab.put("in/texts", "b", "two three");
    lab.run();
    (letters, lab)
}

#[test]
fn a_compiler_that_changes_its_mind_is_caught() {
    let (letters, mut lab) = letters();
    assert!(lab.verify(&all()).unwrap().is_clean());
    letters.add(7);
    let found = lab.verify(&all()).unwrap();
    // The task after it copies what is published, and is right.
    expect![[r#"
        count: counts/one is not what is compiled, from byte 5 of 6 and 7: "3" and "10"
        count: counts/three is not what is compiled, from byte 7 of 8 and 9: "5" and "12"
        count: counts/two is not what is compiled, from byte 5 of 6 and 7: "6" and "13"
    "#]]
    .assert_eq(&listed(&found));
    let tasks: Vec<_> = found.tasks.iter().map(|task| (task.inputs, task.outputs, task.differences)).collect();
    assert_eq!(tasks, [(2, 3, 3), (3, 3, 0)]);
    assert_eq!(listed(&lab.verify(&sample(100, 0)).unwrap()), listed(&found));
}

#[test]
fn a_hidden_influence_is_caught_where_it_went_unnoticed() {
    let (letters, mut lab) = letters();
    // The next run sees the change of the text, and not that of the number.
    letters.add(1);
    lab.put("in/texts", "a", "one");
    lab.run();
    assert!(lab.compare_with_scratch().is_err());
    expect![[r#"
        count: counts/one is not what is compiled, from byte 5 of 6: "3" and "4"
        count: counts/three is not what is compiled, from byte 7 of 8: "5" and "6"
    "#]]
    .assert_eq(&listed(&lab.verify(&all()).unwrap()));
}

#[test]
fn samples_can_be_repeated_and_their_cost_is_their_share() {
    let letters = Letters::default();
    let mut lab = Lab::new(letters.tasks());
    for number in 0..400 {
        lab.put("in/texts", number.to_string(), format!("w{number}"));
    }
    lab.run();
    letters.add(1);
    let found = lab.verify(&sample(5, 1)).unwrap();
    let again = lab.verify(&sample(5, 1)).unwrap();
    assert_eq!(listed(&found), listed(&again));
    let count = &found.tasks[0];
    assert!((5..40).contains(&count.outputs) && count.differences == count.outputs, "{count:?}");
    assert!((10..80).contains(&count.inputs), "{count:?}");
    assert_ne!(listed(&found), listed(&lab.verify(&sample(5, 2)).unwrap()));
    // More than are looked up together.
    for what in [sample(100, 1), all()] {
        let everything = lab.verify(&what).unwrap();
        assert_eq!((everything.differences.len(), everything.more_differences), (100, 300));
    }
    letters.add(0);
    assert!(lab.verify(&sample(5, 1)).unwrap().is_clean());
}

/// However small its share: one output, or one input where there is no output.
#[test]
fn a_sample_takes_something_of_each_task() {
    let (letters, mut lab) = letters();
    let taken = |lab: &mut Lab, seed| {
        let found = lab.verify(&sample(0, seed)).unwrap();
        found.tasks.iter().map(|task| (task.inputs, task.outputs, task.differences)).collect::<Vec<_>>()
    };
    for seed in 0..20 {
        // A word is in one text or in both.
        assert!([(1, 1, 0), (2, 1, 0)].contains(&taken(&mut lab, seed)[0]));
        assert_eq!(taken(&mut lab, seed)[1], (1, 1, 0));
    }
    letters.add(1);
    assert_eq!(taken(&mut lab, 0)[0].2, 1);
    // Of a text without words nothing comes.
    let mut lab = Lab::new(letters.tasks());
    lab.put("in/texts", "a", "");
    lab.put("in/texts", "b", "");
    lab.run();
    assert_eq!(taken(&mut lab, 0), [(1, 0, 0), (0, 0, 0)]);
}

#[test]
fn a_partition_that_fails_now_is_reported_once_with_its_key() {
    let (letters, mut lab) = letters();
    lab.put("in/texts", "c", "four");
    lab.run();
    "three".clone_into(&mut letters.hates.lock().unwrap());
    for what in [all(), sample(100, 0)] {
        let found = lab.verify(&what).unwrap();
        assert_eq!(listed(&found), "count: front-end of in/texts/b: the word three\n");
    }
    // Nor does it hide what else there is.
    letters.add(1);
    let found = lab.verify(&all()).unwrap();
    expect![[r#"
        count: front-end of in/texts/b: the word three
        count: counts/four is not what is compiled, from byte 6 of 7: "4" and "5"
        count: counts/one is not what is compiled, from byte 5 of 6: "3" and "4"
    "#]]
    .assert_eq(&listed(&found));
}

#[test]
fn what_is_in_quarantine_is_passed_over_and_counted() {
    let (letters, mut lab) = letters();
    lab.set_tasks(letters.tasks().into_iter().map(|task| task.on_error(OnError::QUARANTINE)).collect());
    "four".clone_into(&mut letters.hates.lock().unwrap());
    // The values that `b` emitted last are kept, with their outputs; `c` never emitted any.
    lab.put("in/texts", "b", "two four");
    lab.put("in/texts", "c", "four");
    lab.run();
    for what in [all(), sample(100, 0)] {
        let found = lab.verify(&what).unwrap();
        assert_eq!((listed(&found).as_str(), found.tasks[0].in_quarantine), ("", 4));
    }
    lab.assert_verified();
    // All others are compared.
    letters.add(1);
    for what in [all(), sample(100, 0)] {
        let found = lab.verify(&what).unwrap();
        assert_eq!(listed(&found), "count: counts/one is not what is compiled, from byte 5 of 6: \"3\" and \"4\"\n");
    }
    letters.add(0);
    let error = lab.rebuild(2).unwrap_err().to_string();
    expect!["4 partitions of version 2 of memory:out are in quarantine, so that it is not made of its inputs alone: the first is count: front-end of in/texts/b: the word four"]
        .assert_eq(&error);
    // A partition that fails now for the first time is reported, with any policy.
    "one".clone_into(&mut letters.hates.lock().unwrap());
    let found = lab.verify(&all()).unwrap();
    assert_eq!(found.differences[0].to_string(), "count: front-end of in/texts/a: the word one");
}

/// What failed may not fail again; what then comes of it is not what is published, and no finding.
#[test]
fn what_is_in_quarantine_may_come_out_meanwhile() {
    let (letters, mut lab) = letters();
    lab.set_tasks(letters.tasks().into_iter().map(|task| task.on_error(OnError::QUARANTINE)).collect());
    "four".clone_into(&mut letters.hates.lock().unwrap());
    lab.put("in/texts", "b", "one four");
    lab.put("in/texts", "c", "four five");
    lab.run();
    letters.hates.lock().unwrap().clear();
    // `b` goes to `one`, which is made of `a` alone, and with `c` to what is not there.
    for what in [all(), sample(100, 0)] {
        let found = lab.verify(&what).unwrap();
        assert_eq!((listed(&found).as_str(), found.tasks[0].in_quarantine), ("", 4));
    }
    lab.run();
    lab.assert_equals_scratch();
    lab.assert_verified();
}

/// Makes an output from an input unless the test forbids it, and maps it to the output that the test sets.
#[derive(Clone, Default)]
struct Moody(Arc<AtomicU64>);

impl HasLayers for Moody {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("made")?]))
    }
}

impl DirectCompiler for Moody {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        match self.0.load(Ordering::Relaxed) {
            2 => out.add("made", "elsewhere"),
            _ => out.add("made", &key.name),
        }
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let mood = self.0.load(Ordering::Relaxed);
        if mood == 3 {
            context.exists("in/texts", "z")?;
        }
        Ok((mood != 1).then(|| inputs[0].payload.clone()))
    }
}

#[test]
fn partitions_that_are_missing_and_that_nothing_makes() {
    let moody = Moody::default();
    let mut lab = Lab::new(vec![Task::new("moody", Direct(moody.clone())).unwrap().version("1")]);
    lab.put("in/texts", "a", "1");
    lab.run();
    let found = |lab: &mut Lab, mood, what: &Verify| {
        moody.0.store(mood, Ordering::Relaxed);
        listed(&lab.verify(what).unwrap())
    };
    for what in [all(), sample(100, 0)] {
        assert_eq!(found(&mut lab, 0, &what), "");
        let none = "moody: made/a should not exist: no input makes it\n\
                    moody: state: contributors: the contribution of in/texts/a to made/a is missing\n";
        assert_eq!(found(&mut lab, 1, &what), none);
        let elsewhere = "moody: made/a should not exist: no input makes it\nmoody: made/elsewhere is missing\n";
        assert_eq!(found(&mut lab, 2, &what), elsewhere);
        let looks = "moody: state: contributors: the contribution of in/texts/a to made/a is missing\n\
                     moody: state: reads: the read of in/texts/z by the back-end of made/a is missing\n";
        assert_eq!(found(&mut lab, 3, &what), looks);
    }
    // The other way round.
    moody.0.store(1, Ordering::Relaxed);
    lab.put("in/texts", "b", "2");
    lab.full(true);
    lab.run();
    for what in [all(), sample(100, 0)] {
        assert_eq!(found(&mut lab, 1, &what), "");
        let missing = found(&mut lab, 0, &what);
        assert!(missing.starts_with("moody: made/a is missing\nmoody: made/b is missing\n"), "{missing}");
    }
}

#[test]
fn other_code_is_reported_and_compared() {
    let (letters, mut lab) = letters();
    let other = Task::new("count", MapGroup(letters.clone())).unwrap().version("2");
    lab.set_tasks(vec![other, letters.tasks().remove(1)]);
    let found = lab.verify(&sample(100, 0)).unwrap();
    assert!(found.is_clean());
    let shown = |found: &Verification| serde_json::to_value(&found.tasks[0]).unwrap();
    assert_eq!(shown(&found)["reason"], "its code changed");
    assert_eq!(shown(&found)["outputs_only"], false);
    // A memo: what is remembered is laid out otherwise, so outputs alone are compared.
    let memo = letters.tasks().remove(0).memo(100);
    lab.set_tasks(vec![memo, letters.tasks().remove(1)]);
    let found = lab.verify(&sample(1, 0)).unwrap();
    assert!(found.is_clean());
    assert_eq!(shown(&found)["outputs_only"], true);
    assert_eq!(found.tasks[0].outputs, 3, "in full");
    // Tasks that come and go.
    let one = Task::new("count", MapGroup(letters.clone())).unwrap().version("1");
    let new = Task::new("moody", Direct(Moody::default())).unwrap().version("1");
    lab.set_tasks(vec![one, new]);
    let found = lab.verify(&all()).unwrap();
    assert!(found.is_clean());
    assert_eq!(serde_json::to_value(&found.tasks[1]).unwrap()["standing"], "new");
    assert_eq!(found.not_covered.iter().map(ToString::to_string).collect::<Vec<_>>(), ["copies"]);
}

#[test]
fn one_task_of_several() {
    let (letters, mut lab) = letters();
    letters.add(1);
    let only = |id: &str| Verify { tasks: vec![id.parse().unwrap()], ..Verify::default() };
    let found = lab.verify(&only("copy")).unwrap();
    assert!(found.is_clean() && found.tasks.len() == 1);
    assert!(!lab.verify(&only("count")).unwrap().is_clean());
    let error = lab.verify(&only("counts")).unwrap_err().to_string();
    assert_eq!(error, "there is no task `counts`, expected `count`, `copy`");
}

#[test]
fn versions_that_were_read_are_read_and_nothing_is_written() {
    let log = RequestLog::new();
    let letters = Letters::default();
    let mut lab = Lab::on(Stores::new().with_wrapper(log.wrapper()), letters.tasks());
    for number in 0..300 {
        lab.put("in/texts", number.to_string(), format!("w{number} {}", "x".repeat(300)));
    }
    lab.run();
    // What is there besides is of no concern.
    lab.put("in/texts", "0", "other");
    lab.delete("in/texts", "1");
    lab.commit_inputs();
    log.take();
    lab.forget_caches();
    letters.add(1);
    for what in [all(), sample(50, 3)] {
        let found = lab.verify(&what).unwrap();
        assert_eq!(found.inputs.iter().map(|input| input.version.0).collect::<Vec<_>>(), [1]);
        let counted: Vec<bool> = found.tasks.iter().map(|task| task.outputs == task.differences).collect();
        assert_eq!(counted, [true, false]);
    }
    let asked = log.take();
    let reads = [Operation::Get, Operation::List];
    assert!(asked.len() > 10 && asked.iter().all(|request| reads.contains(&request.operation)), "{asked:?}");
}

/// Says the same of each input, at length: a payload that gets a pack of its own, which is not left for the commit.
struct Long(Arc<AtomicU64>);

impl HasLayers for Long {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("long")?]))
    }
}

impl DirectCompiler for Long {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("long", &key.name);
    }

    fn compile(&self, _: &OutKey, _: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(vec![self.0.load(Ordering::Relaxed) as u8; 9 << 20].into()))
    }
}

#[test]
fn what_differs_is_not_written_however_long_it_is() {
    let log = RequestLog::new();
    let emitted = Arc::new(AtomicU64::new(1));
    let task = Task::new("long", Direct(Long(Arc::clone(&emitted)))).unwrap().version("1");
    let mut lab = Lab::on(Stores::new().with_wrapper(log.wrapper()), vec![task]);
    lab.put("in/texts", "a", "a");
    lab.run();
    emitted.store(2, Ordering::Relaxed);
    log.take();
    assert_eq!(lab.verify(&all()).unwrap().differences.len(), 1);
    let asked = log.take();
    let reads = [Operation::Get, Operation::List];
    assert!(!asked.is_empty() && asked.iter().all(|request| reads.contains(&request.operation)), "{asked:?}");
}

#[test]
fn a_version_that_was_removed_can_not_be_verified_against() {
    let (_, mut lab) = letters();
    let input = lab.input_catalog("in");
    for text in ["x", "y"] {
        lab.put("in/texts", "z", text);
        lab.commit_inputs();
    }
    let retention = Retention { last: Some(1), ..Retention::default() };
    input.retain(&retention, RunId(77), Timestamp(0), false).unwrap();
    lab.forget_caches();
    let error = lab.verify(&all()).unwrap_err().to_string();
    assert!(error.starts_with("version 1 of input `in` can not be read: retention removed it:"), "{error}");
}

#[test]
fn nothing_to_verify() {
    let mut lab = Lab::new(letters().0.tasks());
    lab.run();
    assert!(lab.verify(&all()).unwrap().is_clean(), "a run over nothing");
    let mut none = Lab::new(Vec::new());
    none.run();
    let error = none.verify(&all()).unwrap_err().to_string();
    assert!(error.starts_with("no task made version") && error.ends_with(": there is nothing to verify"), "{error}");
}

#[test]
fn differences_are_data() {
    let (letters, mut lab) = letters();
    letters.add(7);
    let found = lab.verify(&sample(100, 9)).unwrap();
    let Difference::Content { first, .. } = &found.differences[0] else { panic!("{:?}", found.differences) };
    assert_eq!((first.offset, first.lengths), (Some(5), [6, 7]));
    expect![[r#"
        {
          "first": {
            "lengths": [
              6,
              7
            ],
            "offset": 5,
            "shown": [
              "\"3\"",
              "\"10\""
            ]
          },
          "key": "counts/one",
          "kind": "content",
          "task": "count"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&serde_json::to_value(&found.differences[0]).unwrap()).unwrap());
}
