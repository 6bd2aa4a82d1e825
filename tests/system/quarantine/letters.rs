//! Reports about compilers that fail, and the outputs that they keep: one case after the other.

use std::collections::BTreeSet;

use deltic::driver::{ErrorKind, Mode, quarantined};
use deltic::prelude::*;
use deltic_testkit::Lab;
use expect_test::expect;

use super::by_key;

/// Sends each word of a text to its first letter, and counts there. `bad` and `worse` fail.
struct Letters;

impl HasLayers for Letters {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("letters")?]))
    }
}

impl MapGroupCompiler for Letters {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        for word in input.text()?.split_whitespace() {
            ensure!(word != "bad", "a bad word");
            out.emit("letters", &word[..1], word.to_owned());
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
    let ErrorKind::Compiler(failures) = lab.try_run().unwrap_err().into_kind() else {
        panic!("not a compiler's error")
    };
    assert_eq!((failures.all.len(), failures.cut_short), (101, true));
    expect![[r#"
        the quarantine of task `letters` is full: at most 100 of its partitions may fail; raise the limit with compiler.letters.on_error = { quarantine = N } or `Task::on_error`, or mend what fails
          101 failures
          letters: front-end of 101 partitions, such as in/texts/0000, in/texts/0001, in/texts/0002: a bad word
          and perhaps more: too much failed to go on"#]]
    .assert_eq(&failures.to_string());
}

#[test]
fn a_failed_input_keeps_what_it_emitted_and_the_rest_continues() {
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
    assert_eq!(lab.names("letters"), ["t"], "an input that never emitted has no output");
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
fn what_is_held_back_does_not_count() {
    let mut lab = texts(OnError::Quarantine { most: 1 }, &[("a", "one two six ten"), ("b", "eight")]);
    lab.run();
    put(&mut lab, &[("a", "bad")]);
    // One failed, and three wait for it.
    for _ in 0..2 {
        let run = lab.try_run().unwrap();
        assert_eq!(run.report.tasks[0].counts.quarantined, 4);
        assert!(run.log().contains("front  letters  in/texts/a\n"), "{}", run.log());
    }
    assert_eq!(lab.names("letters"), ["e", "o", "s", "t"]);
    put(&mut lab, &[("b", "bad")]);
    let ErrorKind::Compiler(failures) = lab.try_run().unwrap_err().into_kind() else {
        panic!("not a compiler's error")
    };
    assert_eq!((failures.all.len(), failures.full[0].most), (2, 1));
}

#[test]
fn a_budget_that_is_passed_fails_the_run() {
    let policy = OnError::Quarantine { most: 1 };
    let mut lab = texts(policy, &[("a", "one"), ("b", "two"), ("c", "six")]);
    lab.run();
    put(&mut lab, &[("a", "bad")]);
    lab.run();
    put(&mut lab, &[("b", "bad")]);
    expect![[r#"
        the quarantine of task `letters` is full: at most 1 of its partitions may fail; raise the limit with compiler.letters.on_error = { quarantine = N } or `Task::on_error`, or mend what fails
          2 failures
          letters: front-end of in/texts/a: a bad word
          letters: front-end of in/texts/b: a bad word"#]]
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
fn a_task_with_other_layers_continues_without_an_input_that_never_emitted() {
    let mut lab = texts(OnError::QUARANTINE, &[("a", "one"), ("b", "two")]);
    lab.run();
    struct More;
    impl HasLayers for More {
        fn layers(&self) -> Result<Layers> {
            Ok(Layers::new()
                .input_layers(["in/texts"])
                .reference_layers(["in/atlas"])
                .output_layers([Layer::generic("letters")?]))
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
pub(super) struct Split {
    pub(super) references: &'static [&'static str],
}

impl HasLayers for Split {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/texts"])
            .reference_layers(self.references)
            .output_layers([Layer::generic("words")?]))
    }
}

impl MapSplitCompiler for Split {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        for word in input.text()?.split_whitespace() {
            out.emit("words", &word[..1], word.to_owned());
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, words: Values<'_, String>, out: &mut Publish<'_>, _: &Context<'_>) -> Result<()> {
        for word in words {
            ensure!(word != "worse", "worse than bad");
            out.put("words", &word, word.clone());
        }
        Ok(())
    }
}

/// When layers get other numbers, only the state shows which partitions belong to a group.
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
    // Neither the partitions of the group nor whose they are is a difference.
    lab.assert_verified();
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
        impl HasLayers for Does {
            fn layers(&self) -> Result<Layers> {
                Ok(Layers::new().input_layers([self.1]).output_layers([Layer::generic(self.2)?]))
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
        let ErrorKind::Compiler(failures) = lab.try_run().unwrap_err().into_kind() else {
            panic!("not a compiler's error")
        };
        let tasks: BTreeSet<&str> = failures.all.iter().map(|failure| failure.task.as_str()).collect();
        assert_eq!(tasks, BTreeSet::from(["four", "one"]));
        assert_eq!(lab.output().version().0, 0);
    }
}
