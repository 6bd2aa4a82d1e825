//! Partitions that compilers fail on: all of them are named, and with `quarantine` the rest is published, what they
//! were stays, and they are tried again until nothing shows that they ever failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deltic::compiler::{
    BackEnd, CompileInputs, Declared, DepStage, DirectStage, Emitted, GraphStage, GroupStage, Pattern, Sink,
    ValueSource,
};
use deltic::core::LayerId;
use deltic::driver::{Error, Mode, Phase, Quarantined, quarantined};
use deltic::prelude::*;
use deltic::store::KeyRange;
use deltic_testkit::{Edit, Lab, RandomHistory};
use expect_test::expect;

use crate::patterns::{TILES, number, random_tasks};

/// What makes compilers fail: nothing at 0, else a fifth of what they look at, another one for each number.
#[derive(Clone, Default)]
pub(crate) struct Mood(Arc<AtomicU64>);

impl Mood {
    pub(crate) fn set(&self, mood: u64) {
        self.0.store(mood, Ordering::SeqCst);
    }

    fn meet(&self, who: &dyn std::fmt::Debug) -> Result<()> {
        let mood = self.0.load(Ordering::SeqCst);
        ensure!(mood == 0 || !number(&[&mood, &who]).is_multiple_of(5), "in mood {mood}");
        Ok(())
    }
}

/// A compiler of any pattern, in a mood.
struct Moody<S: ?Sized>(Arc<S>, Mood);

impl<S: BackEnd + ?Sized> BackEnd for Moody<S> {
    fn back(
        &self,
        output: &OutKey,
        values: &mut dyn ValueSource,
        layers: &[(LayerRef, Layer)],
        context: &Context<'_>,
        out: &mut Publish<'_>,
    ) -> Result<()> {
        self.1.meet(output)?;
        self.0.back(output, values, layers, context, out)
    }

    fn splits(&self) -> bool {
        self.0.splits()
    }
}

impl<S: GroupStage + ?Sized> GroupStage for Moody<S> {
    fn declared(&self) -> &dyn Declared {
        self.0.declared()
    }

    fn front(&self, input: &Input, layers: &[Layer], context: &Context<'_>) -> Result<Emitted> {
        let emitted = self.0.front(input, layers, context)?;
        self.1.meet(&input.key)?;
        Ok(emitted)
    }
}

impl<S: DepStage + ?Sized> DepStage for Moody<S> {
    fn declared(&self) -> &dyn Declared {
        self.0.declared()
    }

    fn front(&self, input: &Whole<'_>, layers: &[Layer], context: &Context<'_>, rows: &mut Sink<'_>) -> Result<()> {
        self.0.front(input, layers, context, rows)
    }
}

impl<S: CompileInputs + ?Sized> CompileInputs for Moody<S> {
    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let made = self.0.compile(output, inputs, context)?;
        self.1.meet(output)?;
        Ok(made)
    }
}

impl<S: DirectStage + ?Sized> DirectStage for Moody<S> {
    fn declared(&self) -> &dyn Declared {
        self.0.declared()
    }

    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        self.0.map_key(key, out);
    }
}

impl<S: GraphStage + ?Sized> GraphStage for Moody<S> {
    fn declared(&self) -> &dyn Declared {
        self.0.declared()
    }

    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()> {
        self.0.graph(input, out)
    }

    fn update(
        &self,
        input: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        before: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()> {
        self.0.update(input, changes, before, out)
    }
}

/// The same task, in a mood.
pub(crate) fn moody(task: &Task, mood: &Mood) -> Task {
    let mood = mood.clone();
    let pattern = match task.pattern().clone() {
        Pattern::Direct { stage, one_producer } => {
            Pattern::Direct { stage: Arc::new(Moody(stage, mood)), one_producer }
        }
        Pattern::Group(stage) => Pattern::Group(Arc::new(Moody(stage, mood))),
        Pattern::Dep(stage) => Pattern::Dep(Arc::new(Moody(stage, mood))),
        Pattern::Graph(stage) => Pattern::Graph(Arc::new(Moody(stage, mood))),
        Pattern::Global(stage) => Pattern::Global(stage),
    };
    let new = Task::new(task.id().as_str(), pattern).unwrap().version("1");
    let new = new.on_error(OnError::Quarantine { most: 1000 });
    task.memo_limit().into_iter().fold(new, Task::memo)
}

/// All that is published: by layer and name, the digest of its content.
fn published(lab: &Lab) -> BTreeMap<(LayerId, String), String> {
    let output = lab.output();
    let mut all = BTreeMap::new();
    for layer in output.layers() {
        for found in output.tree(&layer.id).unwrap().scan(KeyRange::all()) {
            let (name, entry) = found.unwrap();
            let name = layer.name_from_bytes(&name).unwrap().to_string();
            all.insert((layer.id.clone(), name), entry.meta.content_digest().to_string());
        }
    }
    all
}

pub(crate) fn apply(lab: &mut Lab, step: &[Edit]) {
    for Edit { layer, name, payload } in step {
        match payload {
            Some(payload) => lab.put(layer, name, payload.clone()),
            None => lab.delete(layer, name),
        }
    }
}

fn lab_of(tasks: Vec<Task>, threads: usize) -> Lab {
    let mut lab = Lab::new(tasks).tiles(TILES, Grid::Here);
    lab.threads(threads);
    if threads > 1 {
        lab.row_memory(0);
    }
    lab
}

/// Random tasks over a random history, in another mood at every step. What is in quarantine stays as it was, and once
/// the mood is good again everything is as if nothing had ever failed, state included.
fn check(seed: u64) -> usize {
    let names = RandomHistory::generic_names(4);
    let layers = vec![("in/a".to_owned(), names), (TILES.to_owned(), RandomHistory::tile_names(3))];
    let history = RandomHistory { layers, steps: 6, contents: 5 }.make(seed);
    let mut digests = Vec::new();
    let mut met = 0;
    for threads in [1, 8] {
        let mood = Mood::default();
        let mut lab = lab_of(random_tasks(seed).iter().map(|task| moody(task, &mood)).collect(), threads);
        for (number_of, step) in (1..).zip(&history) {
            let before = if number_of > 1 { published(&lab) } else { BTreeMap::new() };
            apply(&mut lab, step);
            let wanted = number(&[&seed, &number_of, &"mood"]) % 3;
            mood.set(if wanted == 0 { 0 } else { number(&[&seed, &number_of]) });
            // Sometimes everything is compiled anew, and then too what fails stays as it was.
            lab.full(number(&[&seed, &number_of, &"full"]).is_multiple_of(5));
            let run = lab.run();
            lab.full(false);
            let after = published(&lab);
            let mut held = quarantined(&lab.output()).unwrap();
            let reported = run.report.tasks.iter().flat_map(|task| task.in_quarantine.clone());
            assert_eq!(by_key(reported.collect()), by_key(held.clone()), "seed {seed} step {number_of}");
            assert_eq!(held.is_empty(), wanted == 0 || held.is_empty(), "seed {seed} step {number_of}: {held:#?}");
            met += held.len();
            for one in held.iter().filter(|one| one.phase == Phase::Back && one.task.as_str() != "six") {
                let (layer, name) = one.key.split_once('/').unwrap();
                let key = (LayerId::new(layer).unwrap(), name.to_owned());
                assert_eq!(after.get(&key), before.get(&key), "seed {seed} step {number_of}: {}", one.key);
            }
            // The same again: what failed fails again. Whoever is asked again for it may fail too, and soon nobody is
            // left who had not been asked; then nothing is committed.
            for left in (0..20).rev() {
                let committed = lab.run().report.version.is_some();
                let now = quarantined(&lab.output()).unwrap();
                let keys = |all: &[Quarantined]| all.iter().map(|one| one.key.clone()).collect::<BTreeSet<_>>();
                assert!(keys(&now).is_superset(&keys(&held)), "seed {seed} step {number_of}");
                held = now;
                if !committed {
                    break;
                }
                assert_ne!(left, 0, "seed {seed} step {number_of}: each run makes a version");
            }
            digests.push((number_of, lab.output().digest(), lab.output().state_digest()));
            if wanted == 0 {
                assert_eq!(held, []);
                lab.assert_equals_scratch();
            }
        }
        mood.set(0);
        lab.run();
        assert_eq!(quarantined(&lab.output()).unwrap(), []);
        lab.assert_equals_scratch();
    }
    let (one, other) = digests.split_at(digests.len() / 2);
    assert_eq!(one, other, "seed {seed}: it depends on the number of threads");
    met
}

fn by_key(mut all: Vec<Quarantined>) -> Vec<String> {
    all.sort_by(|a, b| (&a.task, &a.key).cmp(&(&b.task, &b.key)));
    all.iter().map(|one| format!("{} {} {} {}", one.task, one.phase, one.key, one.message)).collect()
}

#[test]
fn what_fails_stays_and_recovers_without_a_trace() {
    let met: usize = (0..12).map(check).sum();
    assert!(met > 50, "nothing failed");
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-tests --test system -- --ignored quarantine::` looks longer.
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn many_moods() {
    let met: usize = crate::seeds::seeds("0..200").map(check).sum();
    eprintln!("{met} times a partition was in quarantine");
}

/// Sends each word of a text to its first letter, and counts there. `bad` and `worse` fail.
struct Letters;

impl InputLayers for Letters {
    fn input_layers(&self) -> Result<Vec<LayerRef>> {
        layers(["in/texts"])
    }
}

impl OutputLayers for Letters {
    fn output_layers(&self) -> Result<Vec<Layer>> {
        Ok(vec![Layer::generic("letters")?])
    }
}

impl MapGroupCompiler for Letters {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        for word in input.text()?.split_whitespace() {
            ensure!(word != "bad", "a bad word");
            out.emit(("letters", &word[..1]), word.to_owned());
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, words: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        let words: Vec<String> = words.collect();
        assert!(!words.iter().any(|word| word == "worse"), "worse than bad");
        Ok(Some(words.join(" ").into()))
    }
}

fn letters(policy: OnError) -> Vec<Task> {
    vec![Task::new("letters", MapGroup(Letters)).unwrap().version("1").on_error(policy)]
}

fn texts(policy: OnError, texts: &[(&str, &str)]) -> Lab {
    let mut lab = Lab::new(letters(policy));
    put(&mut lab, texts);
    lab
}

fn put(lab: &mut Lab, texts: &[(&str, &str)]) {
    for (name, text) in texts {
        lab.put("in/texts", *name, *text);
    }
}

#[test]
fn all_that_fails_is_named_and_not_the_first() {
    for threads in [1, 2] {
        let mut lab = texts(OnError::Abort, &[("a", "one"), ("b", "bad"), ("c", "bad too"), ("d", "worse")]);
        lab.threads(threads);
        expect![[r#"
            2 failures
              letters: front-end of in/texts/b: a bad word
              letters: front-end of in/texts/c: a bad word"#]]
        .assert_eq(&lab.try_run().unwrap_err().to_string());
        put(&mut lab, &[("b", "worse"), ("c", "xylophone")]);
        let error = lab.try_run().unwrap_err();
        assert_eq!(error.to_string(), "letters: back-end of letters/w: panicked: worse than bad");
        assert_eq!(lab.output().version().0, 0);
    }
}

#[test]
fn a_compiler_that_fails_on_everything_ends_the_stage() {
    let mut lab = Lab::new(letters(OnError::QUARANTINE));
    for number in 0..3000 {
        lab.put("in/texts", format!("{number:04}"), "bad");
    }
    let Error::Compiler(failures) = lab.try_run().unwrap_err() else { panic!("not a compiler's error") };
    assert_eq!((failures.all.len(), failures.cut_short), (101, true));
    let text = failures.to_string();
    assert!(text.starts_with("101 failures\n") && text.contains("in/texts/0099") && !text.contains("in/texts/0100"));
    assert!(text.ends_with("\n  and 1 more\n  and perhaps more: too much failed to go on"), "{text}");
}

#[test]
fn a_failed_input_keeps_what_it_said_and_the_rest_goes_on() {
    let mut lab = texts(OnError::QUARANTINE, &[("a", "one two"), ("b", "ten"), ("c", "over"), ("d", "six")]);
    lab.run();
    put(&mut lab, &[("a", "bad"), ("b", "tea"), ("d", "seven")]);
    let run = lab.run();
    // `t` has a change that is good and one that is not: it waits.
    assert_eq!(lab.text("letters", "t").as_deref(), Some("two ten"));
    assert_eq!(lab.text("letters", "o").as_deref(), Some("one over"));
    assert_eq!(lab.text("letters", "s").as_deref(), Some("seven"));
    expect![[r#"
        front  letters  in/texts/a
        front  letters  in/texts/b
        front  letters  in/texts/d
        back   letters  letters/s
    "#]]
    .assert_eq(&run.log());
    expect![[r#"
        letters front-end of in/texts/a a bad word
        letters back-end of letters/o kept as it was: the front-end of in/texts/a failed
        letters back-end of letters/t kept as it was: the front-end of in/texts/a failed"#]]
    .assert_eq(&by_key(quarantined(&lab.output()).unwrap()).join("\n"));
    // Only what failed is tried again, and what is held back is not compiled for it.
    put(&mut lab, &[("d", "eight")]);
    expect![[r#"
        front  letters  in/texts/a
        front  letters  in/texts/d
        back   letters  letters/e
        gone   letters  letters/s
    "#]]
    .assert_eq(&lab.run().log());
    put(&mut lab, &[("a", "tree")]);
    let run = lab.run();
    assert_eq!(lab.text("letters", "t").as_deref(), Some("tree tea"), "the change that waited has come too");
    assert_eq!(lab.text("letters", "o").as_deref(), Some("over"));
    assert_eq!((run.report.tasks[0].counts.retried, run.report.tasks[0].counts.quarantined), (3, 0));
    lab.assert_equals_scratch();
}

#[test]
fn a_failed_input_that_goes_takes_its_errors_along() {
    let mut lab = texts(OnError::QUARANTINE, &[("a", "bad"), ("b", "ten")]);
    let run = lab.run();
    assert_eq!(run.report.tasks[0].counts.quarantined, 1);
    assert_eq!(lab.names("letters"), ["t"], "an input that never said anything goes nowhere");
    lab.delete("in/texts", "a");
    lab.run();
    assert_eq!(quarantined(&lab.output()).unwrap(), []);
    lab.assert_equals_scratch();
}

#[test]
fn in_a_full_run_what_fails_stays_too() {
    let mut lab = texts(OnError::QUARANTINE, &[("a", "one two"), ("b", "ten"), ("c", "worm")]);
    lab.run();
    put(&mut lab, &[("a", "bad"), ("c", "worse")]);
    lab.set_tasks(vec![Task::new("letters", MapGroup(Letters)).unwrap().version("2").on_error(OnError::QUARANTINE)]);
    assert!(matches!(lab.run().report.tasks[0].mode, Mode::Full { .. }));
    assert_eq!(lab.names("letters"), ["o", "t", "w"]);
    assert_eq!(lab.text("letters", "o").as_deref(), Some("one"));
    assert_eq!(lab.text("letters", "w").as_deref(), Some("worm"));
    // Still, with nothing but the table of errors to know it by.
    put(&mut lab, &[("b", "tea")]);
    lab.run();
    assert_eq!(lab.text("letters", "t").as_deref(), Some("two ten"));
    put(&mut lab, &[("a", "two"), ("c", "won")]);
    lab.run();
    lab.assert_equals_scratch();
    assert_eq!(lab.text("letters", "t").as_deref(), Some("two tea"));
}

#[test]
fn a_budget_that_is_passed_fails_the_run() {
    let policy = OnError::Quarantine { most: 2 };
    let mut lab = texts(policy, &[("a", "one"), ("b", "two"), ("c", "six")]);
    lab.run();
    put(&mut lab, &[("a", "bad")]);
    lab.run();
    put(&mut lab, &[("b", "bad")]);
    expect![[r#"
        2 failures
          letters: front-end of in/texts/a: a bad word
          letters: front-end of in/texts/b: a bad word
          3 partitions of task `letters` would be in quarantine, and 2 may be"#]]
    .assert_eq(&lab.try_run().unwrap_err().to_string());
    assert_eq!(lab.output().version().0, 2);
    // Back to where a failure ends the run: what is in quarantine does so too.
    lab.set_tasks(letters(OnError::Abort));
    put(&mut lab, &[("b", "two")]);
    assert_eq!(lab.try_run().unwrap_err().to_string(), "letters: front-end of in/texts/a: a bad word");
}

#[test]
fn the_policy_is_part_of_no_fingerprint() {
    let mut lab = texts(OnError::Abort, &[("a", "one"), ("b", "two")]);
    lab.run();
    let before = lab.output();
    lab.set_tasks(letters(OnError::QUARANTINE));
    assert_eq!(lab.run().report.tasks[0].mode, Mode::Skipped);
    assert_eq!(lab.output().version(), before.version());
}

#[test]
fn a_task_with_other_layers_goes_on_without_an_input_that_never_said_anything() {
    let mut lab = texts(OnError::QUARANTINE, &[("a", "one"), ("b", "two")]);
    lab.run();
    struct More;
    impl InputLayers for More {
        fn input_layers(&self) -> Result<Vec<LayerRef>> {
            layers(["in/texts"])
        }
        fn reference_layers(&self) -> Result<Vec<LayerRef>> {
            layers(["in/atlas"])
        }
    }
    impl OutputLayers for More {
        fn output_layers(&self) -> Result<Vec<Layer>> {
            Letters.output_layers()
        }
    }
    impl MapGroupCompiler for More {
        type Value = String;
        fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, context: &Context<'_>) -> Result<()> {
            Letters.compile_in(input, out, context)
        }
        fn compile_out(
            &self,
            out: &OutKey,
            words: Values<'_, String>,
            context: &Context<'_>,
        ) -> Result<Option<Payload>> {
            Letters.compile_out(out, words, context)
        }
    }
    let more = Task::new("letters", MapGroup(More)).unwrap().version("1").on_error(OnError::QUARANTINE);
    let mut other = Lab::new(vec![more]);
    put(&mut other, &[("a", "one"), ("b", "bad")]);
    other.run();
    assert_eq!(other.names("letters"), ["o"], "a first run has nothing to keep");
    other.set_tasks(letters(OnError::QUARANTINE));
    other.run();
    assert_eq!(other.names("letters"), ["o"]);
    put(&mut other, &[("b", "two")]);
    other.run();
    other.assert_equals_scratch();
}

/// Makes partitions of the words of all texts that begin with one letter. A word `worse` fails.
struct Split {
    references: &'static [&'static str],
}

impl InputLayers for Split {
    fn input_layers(&self) -> Result<Vec<LayerRef>> {
        layers(["in/texts"])
    }

    fn reference_layers(&self) -> Result<Vec<LayerRef>> {
        self.references.iter().map(|layer| Ok(LayerRef::parse(layer)?)).collect()
    }
}

impl OutputLayers for Split {
    fn output_layers(&self) -> Result<Vec<Layer>> {
        Ok(vec![Layer::generic("words")?])
    }
}

impl MapSplitCompiler for Split {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        for word in input.text()?.split_whitespace() {
            out.emit(("words", &word[..1]), word.to_owned());
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, words: Values<'_, String>, out: &mut Publish<'_>, _: &Context<'_>) -> Result<()> {
        for word in words {
            ensure!(word != "worse", "worse than bad");
            out.put(("words", &word), word.clone());
        }
        Ok(())
    }
}

/// Which partitions were a group's is told by state alone, where layers have other numbers.
#[test]
fn a_group_keeps_what_it_made_though_its_task_gets_other_layers() {
    let task = |references| {
        let task = Task::new("words", MapSplit(Split { references })).unwrap().version("1");
        vec![task.on_error(OnError::QUARANTINE)]
    };
    let mut lab = Lab::new(task(&["in/atlas"]));
    put(&mut lab, &[("a", "one worm"), ("b", "won")]);
    lab.run();
    put(&mut lab, &[("b", "worse")]);
    lab.run();
    assert_eq!(lab.names("words"), ["one", "won", "worm"]);
    lab.set_tasks(task(&[]));
    let run = lab.run();
    assert!(matches!(run.report.tasks[0].mode, Mode::Full { .. }));
    assert_eq!(by_key(run.report.tasks[0].in_quarantine.clone()), ["words back-end of words/w worse than bad"]);
    assert_eq!(lab.names("words"), ["one", "won", "worm"]);
    put(&mut lab, &[("b", "won")]);
    lab.run();
    lab.assert_equals_scratch();
}

/// Tasks that do not read what failed are run, so that all of a run is named; in order, on any number of threads.
#[test]
fn all_tasks_are_heard() {
    let failing = |id: &str, fails: bool, from: &'static str, to: &'static str| {
        struct Does(bool, &'static str, &'static str);
        impl InputLayers for Does {
            fn input_layers(&self) -> Result<Vec<LayerRef>> {
                layers([self.1])
            }
        }
        impl OutputLayers for Does {
            fn output_layers(&self) -> Result<Vec<Layer>> {
                Ok(vec![Layer::generic(self.2)?])
            }
        }
        impl DirectCompiler for Does {
            fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
                out.add(self.2, &key.name);
            }
            fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
                ensure!(!self.0, "no");
                Ok(Some(inputs[0].payload.clone()))
            }
        }
        Task::new(id, Direct(Does(fails, from, to))).unwrap().version("1")
    };
    for threads in [1, 2, 8] {
        let mut lab = Lab::new(vec![
            failing("one", true, "in/texts", "a"),
            failing("two", true, "a", "b"),
            failing("three", false, "in/texts", "c"),
            failing("four", true, "c", "d"),
        ]);
        lab.threads(threads);
        put(&mut lab, &[("x", "x")]);
        let Error::Compiler(failures) = lab.try_run().unwrap_err() else { panic!("not a compiler's error") };
        let tasks: BTreeSet<&str> = failures.all.iter().map(|failure| failure.task.as_str()).collect();
        assert_eq!(tasks, BTreeSet::from(["four", "one"]));
        assert_eq!(lab.output().version().0, 0);
    }
}
