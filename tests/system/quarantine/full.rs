//! Quarantine in full runs: they keep the same partitions as incremental ones, state included, and so does a task that reads or
//! writes other layers than before.

use std::fmt::Debug;

use deltic::driver::{Mode, quarantined};
use deltic::prelude::*;
use deltic_testkit::{Lab, RandomHistory};

use super::letters::Split;
use super::{FailsOn, apply, failing};
use crate::patterns::{TILES, number, random_tasks};

/// Fails on some of what it is given, or of what it would make: always on the same.
struct Fussy(u64);

impl FailsOn for Fussy {
    fn given(&self, input: &Input) -> Result<()> {
        self.meet(&(&input.key, &input.payload))
    }

    fn made(&self, output: &OutKey, made: &dyn Debug) -> Result<()> {
        self.meet(&(output, made))
    }
}

impl Fussy {
    fn meet(&self, what: &dyn Debug) -> Result<()> {
        ensure!(!number(&[&self.0, &what]).is_multiple_of(6), "not this one");
        Ok(())
    }
}

/// Three labs with one history, two of which run in full each time, one of them over ranges. Returns how much was in quarantine.
fn check(seed: u64) -> usize {
    let layers =
        vec![("in/a".to_owned(), RandomHistory::generic_names(4)), (TILES.to_owned(), RandomHistory::tile_names(3))];
    let tasks = || random_tasks(seed).iter().map(|task| failing(task, Fussy(seed))).collect();
    let lab = |threads| {
        let mut lab = Lab::new(tasks()).tiles(TILES, Grid::Here);
        lab.threads(threads);
        lab
    };
    let (mut lab, mut full, mut ranges) = (lab(1), lab(2), lab(1));
    full.full(true);
    ranges.full(true);
    // Fewer partitions than that have failed ones on both sides of many a cut.
    ranges.ranges(5);
    let mut met = 0;
    for step in (RandomHistory { layers, steps: 8, contents: 4 }).make(seed) {
        apply(&mut lab, &step);
        apply(&mut full, &step);
        apply(&mut ranges, &step);
        lab.run();
        full.run();
        ranges.run();
        full.assert_equals(&lab);
        ranges.assert_equals(&lab);
        met += quarantined(&lab.output()).unwrap().len();
        // Nothing is new to a full run on the same inputs.
        lab.full(true);
        let run = lab.run();
        lab.full(false);
        assert!(run.report.tasks.iter().all(|task| task.mode != Mode::Skipped), "seed {seed}");
        assert_eq!(run.report.version, None, "seed {seed}: a full run commits what an incremental one does not");
    }
    met
}

#[test]
fn a_full_run_keeps_what_an_incremental_one_does() {
    // In history 16 a failed input of a task with a memo had emitted something before.
    let met: usize = (0..10).chain([16]).map(check).sum();
    assert!(met > 100, "only {met} partitions were in quarantine");
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-tests --test system -- --ignored quarantine::full::` looks longer.
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn many_full_runs() {
    let met: usize = crate::seeds::seeds("0..300").map(check).sum();
    eprintln!("{met} times a partition was in quarantine");
}

/// Sends the words of a text to their first letters, in each of its output layers; looks whether there is an atlas.
/// `bad` fails.
struct Letters {
    references: &'static [&'static str],
    outputs: &'static [&'static str],
}

impl HasLayers for Letters {
    fn layers(&self) -> Result<Layers> {
        let outputs = self
            .outputs
            .iter()
            .map(|layer| Ok(Layer::generic(layer)?.with_content_type("text/plain")))
            .collect::<Result<Vec<_>>>()?;
        Ok(Layers::new().input_layers(["in/texts"]).reference_layers(self.references).output_layers(outputs))
    }
}

impl MapGroupCompiler for Letters {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, context: &Context<'_>) -> Result<()> {
        context.exists("in/texts", "z")?;
        for layer in self.references.iter().filter(|layer| **layer == "in/zoo") {
            context.exists(layer, "lion")?;
        }
        for word in input.text()?.split_whitespace() {
            ensure!(word != "bad", "a bad word");
            self.outputs.iter().for_each(|layer| out.emit(layer, &word[..1], word.to_owned()));
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, words: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(words.collect::<Vec<_>>().join(" ").into()))
    }
}

fn letters(references: &'static [&'static str], outputs: &'static [&'static str]) -> Vec<Task> {
    let task = Task::new("letters", MapGroup(Letters { references, outputs })).unwrap().version("1").memo(100);
    vec![task.on_error(OnError::QUARANTINE)]
}

/// Layers come and go on either side of those that stay, so that each has another number.
#[test]
fn a_task_gets_other_layers_while_an_input_is_in_quarantine() {
    let mut lab = Lab::new(letters(&["in/a", "in/atlas", "in/zoo"], &["a", "m"]));
    for (name, text) in [("a", "one two"), ("b", "ten"), ("c", "over")] {
        lab.put("in/texts", name, text);
    }
    lab.run();
    lab.put("in/texts", "a", "bad");
    lab.put("in/texts", "b", "tea");
    lab.run();
    let ways: [(&[&str], &[&str]); 5] = [
        (&["in/atlas", "in/zoo"], &["b", "m", "n"]),
        (&["in/zoo"], &["m", "n"]),
        (&["in/a", "in/zoo"], &["a", "m"]),
        (&[], &["m"]),
        (&["in/zoo"], &["l", "m"]),
    ];
    for (references, outputs) in ways {
        lab.set_tasks(letters(references, outputs));
        let run = lab.run();
        assert!(matches!(run.report.tasks[0].mode, Mode::Full { .. }));
        // The layer that stays is kept where the input goes into it; the others never had anything of it.
        assert_eq!(lab.text("m", "t").as_deref(), Some("two ten"), "{outputs:?}");
        assert_eq!(lab.text("m", "o").as_deref(), Some("one over"), "{outputs:?}");
        let held = quarantined(&lab.output()).unwrap();
        let keys: Vec<&str> = held.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["in/texts/a", "m/o", "m/t"], "{outputs:?}");
        // Nor does the next run find anything new, of either kind; and both know what the input went into.
        assert_eq!(lab.run().report.version, None);
        lab.full(true);
        assert_eq!(lab.run().report.version, None);
        lab.full(false);
    }
    lab.put("in/texts", "a", "tree");
    lab.run();
    assert_eq!(lab.text("m", "t").as_deref(), Some("tree tea"));
    // Layers that no task writes any more are still there, so that what is held against it are the others.
    let mut anew = Lab::new(letters(&["in/zoo"], &["l", "m"]));
    for (name, text) in [("a", "tree"), ("b", "tea"), ("c", "over")] {
        anew.put("in/texts", name, text);
    }
    anew.run();
    let digest = |lab: &Lab, layer: &str| lab.output().tree(&layer.parse().unwrap()).unwrap().digest();
    assert_eq!(["l", "m"].map(|layer| digest(&lab, layer)), ["l", "m"].map(|layer| digest(&anew, layer)));
    assert_eq!(lab.output().state_digest(), anew.output().state_digest());
}

/// A task can not use the state of another pattern: the error gives advice, and the advice works.
#[test]
fn another_pattern_names_the_ways_out() {
    struct Copies;
    impl HasLayers for Copies {
        fn layers(&self) -> Result<Layers> {
            Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("m")?]))
        }
    }
    impl DirectCompiler for Copies {
        fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
            out.add("m", &key.name);
        }
        fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
            Ok(Some(inputs[0].payload.clone()))
        }
    }
    let copies = || vec![Task::new("letters", Direct(Copies)).unwrap().version("1").on_error(OnError::QUARANTINE)];
    let lab = || {
        let mut lab = Lab::new(copies());
        lab.put("in/texts", "a", "one");
        lab.put("in/texts", "b", "bad");
        lab.run();
        lab.set_tasks(letters(&[], &["m"]));
        let error = lab.try_run().unwrap_err().to_string();
        assert!(error.contains("front-end of in/texts/b: a bad word"), "{error}");
        assert!(error.contains("has another pattern than before") && error.contains("another id"), "{error}");
        lab
    };
    // What a group made is known by state alone, also of one that fails by itself.
    let mut split = Lab::new(copies());
    split.put("in/texts", "a", "worse");
    split.run();
    let task = Task::new("letters", MapSplit(Split { references: &[] })).unwrap().version("1");
    split.set_tasks(vec![task.on_error(OnError::QUARANTINE)]);
    let error = split.try_run().unwrap_err().to_string();
    assert!(error.contains("so that which partitions to keep for these groups is not known"), "{error}");
    let mut mended = lab();
    mended.delete("in/texts", "b");
    mended.run();
    mended.assert_equals_scratch();
    let mut renamed = lab();
    renamed.take_over(true);
    let task = Task::new("anew", MapGroup(Letters { references: &[], outputs: &["m"] })).unwrap().version("1");
    renamed.set_tasks(vec![task.on_error(OnError::QUARANTINE)]);
    renamed.run();
    assert_eq!(renamed.names("m"), ["o"]);
}
