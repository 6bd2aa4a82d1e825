//! Layers that tasks keep private, and tasks that get another id.

use deltic::core::TaskId;
use deltic::driver::Orphan;
use deltic::prelude::*;
use deltic_testkit::{Lab, RandomHistory, check_incremental};
use expect_test::{Expect, expect};

use crate::patterns::{TILES, random_tasks};

/// Splits the words of a layer: one output for each first letter, which lists them.
struct Letters {
    from: &'static str,
    to: &'static str,
}

impl HasLayers for Letters {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers([self.from]).output_layers([Layer::generic(self.to)?]))
    }
}

impl MapGroupCompiler for Letters {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        for word in input.text()?.split_whitespace() {
            out.emit(self.to, &word[..1], word.to_owned());
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, words: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(words.collect::<Vec<_>>().join(" ").into()))
    }
}

/// Counts the words of each partition, and of the one that is called `a`.
struct Counts;

impl HasLayers for Counts {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["letters"]).output_layers([Layer::generic("counts")?]))
    }
}

impl DirectCompiler for Counts {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("counts", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let count = |text: &str| text.split_whitespace().count();
        let of_a = context.read("letters", "a")?.map(|found| found.text().map(count)).transpose()?;
        Ok(Some(format!("{} {of_a:?}", count(inputs[0].text()?)).into()))
    }
}

fn letters(id: &str) -> Task {
    Task::new(id, MapGroup(Letters { from: "in/words", to: "letters" })).unwrap().version("1")
}

fn private(id: &str) -> Task {
    letters(id).keep_private("letters").unwrap()
}

fn counts() -> Task {
    Task::new("counts", Direct(Counts)).unwrap().version("1")
}

fn lab(first: Task) -> Lab {
    let mut lab = Lab::new(vec![first, counts()]);
    lab.put("in/words", "1", "bern oslo");
    lab.put("in/words", "2", "berlin hamm");
    lab.run();
    lab
}

fn layers_of(lab: &Lab) -> Vec<String> {
    lab.output().layers().map(|layer| layer.id.to_string()).collect()
}

fn tables_of(lab: &Lab) -> Vec<String> {
    lab.output().state_tables().map(str::to_owned).collect()
}

fn ran(lab: &mut Lab, expected: &Expect) {
    expected.assert_eq(&lab.run().log());
    lab.assert_equals_scratch();
}

#[test]
fn a_private_layer_is_state_and_works_as_any_other() {
    let mut lab = lab(private("letters"));
    assert_eq!(layers_of(&lab), ["counts"]);
    assert!(tables_of(&lab).contains(&"letters/layer/letters".to_owned()), "{:?}", tables_of(&lab));
    lab.assert_equals_scratch();
    ran(&mut lab, &expect![""]);
    assert_eq!(lab.run().report.version, None);
    lab.put("in/words", "2", "berlin amman");
    ran(
        &mut lab,
        &expect![[r#"
            back   counts   counts/a
            back   counts   counts/b
            back   counts   counts/o
            gone   counts   counts/h
            front  letters  in/words/2
            back   letters  letters/a
            gone   letters  letters/h
        "#]],
    );
    assert_eq!(lab.text("counts", "b").as_deref(), Some("2 Some(1)"));
    // Nobody contributes any more: the layer is empty, and so has no table.
    lab.delete("in/words", "1");
    lab.delete("in/words", "2");
    lab.run();
    lab.assert_equals_scratch();
    assert!(!tables_of(&lab).iter().any(|table| table.contains("layer")));
}

/// Whether a layer is private is no matter to those who read it: they see what changed in it, no more.
#[test]
fn a_layer_becomes_public_and_private_again() {
    let mut lab = lab(private("letters"));
    for (task, private) in [(letters("letters"), false), (private("letters"), true)] {
        lab.set_tasks(vec![task, counts()]);
        lab.put("in/words", "2", if private { "berlin" } else { "berlin hull hamburg" });
        let run = lab.run();
        assert_eq!(layers_of(&lab).len(), if private { 1 } else { 2 });
        let modes: Vec<String> = run.report.tasks.iter().map(|task| format!("{:?}", task.mode)).collect();
        assert_eq!(
            modes,
            [r#"Full { reason: "its private layers changed" }"#, r#"Incremental { changed: ["letters"] }"#]
        );
        lab.assert_equals_scratch();
    }
    assert_eq!(lab.text("counts", "h"), None);
}

/// Also when another task makes it from now on.
#[test]
fn a_private_layer_changes_hands() {
    let mut lab = lab(private("letters"));
    lab.set_tasks(vec![private("other"), counts()]);
    lab.put("in/words", "1", "bern");
    let run = lab.run();
    assert_eq!(run.report.orphans, [Orphan::State(TaskId::new("letters").unwrap())]);
    assert_eq!(run.report.tasks[1].counts.deleted, 1, "{}", run.log());
    lab.assert_equals_scratch();
    assert_eq!(lab.run().report.orphans, []);
}

#[test]
fn a_renamed_task_keeps_its_state() {
    for first in [letters as fn(&str) -> Task, private] {
        let mut lab = lab(first("old"));
        lab.set_tasks(vec![first("new").previously("older").unwrap().previously("old").unwrap(), counts()]);
        lab.put("in/words", "2", "berlin hull");
        let run = lab.run();
        run.assert_ran(&["back counts counts/h", "front new in/words/2", "back new letters/h"]);
        assert_eq!(run.report.orphans, []);
        assert!(tables_of(&lab).iter().all(|table| !table.starts_with("old/")), "{:?}", tables_of(&lab));
        lab.assert_equals_scratch();
        ran(&mut lab, &expect![""]);
        assert_eq!(lab.run().report.version, None);
    }
}

#[test]
fn a_rename_alone_runs_nothing() {
    let mut lab = lab(private("old"));
    let before = lab.output();
    lab.set_tasks(vec![private("new").previously("old").unwrap(), counts()]);
    let run = lab.run();
    run.assert_ran(&[]);
    assert!(run.report.version.is_some() && lab.output().digest() == before.digest());
    lab.assert_equals_scratch();
}

#[test]
fn an_earlier_id_has_one_heir() {
    let mut lab = lab(letters("old"));
    lab.set_tasks(vec![letters("new").previously("counts").unwrap(), counts()]);
    expect!["task `new` was previously `counts`, and there is a task `counts`: whose is its state?"]
        .assert_eq(&lab.try_run().unwrap_err().to_string());
    let counts = counts().previously("old").unwrap();
    lab.set_tasks(vec![letters("new").previously("old").unwrap(), counts]);
    expect!["tasks `new` and `counts` were both previously `old`: state has one owner"]
        .assert_eq(&lab.try_run().unwrap_err().to_string());
    assert_eq!(
        letters("new").previously("new").unwrap_err().to_string(),
        "task `new`: this is its present id, not an earlier one"
    );
}

#[test]
fn the_remains_of_a_task_are_reported() {
    let mut lab = lab(private("letters"));
    lab.set_tasks(vec![letters("letters")]);
    lab.run();
    lab.set_tasks(vec![Task::new("else", MapGroup(Letters { from: "in/words", to: "else" })).unwrap().version("1")]);
    lab.take_over(true);
    let orphans: Vec<String> = lab.run().report.orphans.iter().map(|orphan| format!("{orphan:?}")).collect();
    assert_eq!(orphans, ["Layer(LayerId(counts))", "Layer(LayerId(letters))", "State(TaskId(letters))"]);
    assert!(tables_of(&lab).iter().all(|table| table.starts_with("else/")));
}

/// Any layers of any chain of tasks may be private.
#[test]
fn random_chains_with_private_layers_equal_scratch() {
    for seed in 0..12_u64 {
        let keep = |(bit, task): (u32, Task)| {
            let layer = task.outputs()[0].id.to_string();
            if seed >> bit & 1 == 0 { task.keep_private(&layer).unwrap() } else { task }
        };
        let tasks: Vec<Task> = (0..).zip(random_tasks(seed)).map(keep).collect();
        let layers = vec![
            ("in/a".to_owned(), RandomHistory::generic_names(4)),
            (TILES.to_owned(), RandomHistory::tile_names(3)),
        ];
        check_incremental(&tasks, &RandomHistory { layers, steps: 5, contents: 5 }.make(seed));
    }
}
