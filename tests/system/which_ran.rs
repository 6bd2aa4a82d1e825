//! Which partitions ran: the promise that cost follows the change, stated case by case.

use deltic::prelude::*;
use deltic_testkit::Lab;
use expect_test::{Expect, expect};
use serde::{Deserialize, Serialize};

/// Groups words by length; each word is written `word` or `word!`, and the mark does not matter.
struct ByLength {
    min: usize,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Config {
    min: usize,
}

impl HasLayers for ByLength {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/words"]).output_layers([Layer::generic("by-length")?]))
    }
}

impl MapGroupCompiler for ByLength {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<String>, _: &Context) -> Result<()> {
        for word in input.text()?.split_whitespace().map(|word| word.trim_end_matches('!')) {
            if word.len() >= self.min {
                out.emit("by-length", word.len().to_string(), word.to_owned());
            }
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, words: Values<String>, _: &Context) -> Result<Option<Payload>> {
        Ok(Some(words.collect::<Vec<_>>().join(" ").into()))
    }
}

/// Replaces `@name` in a text by the content of that text, or by `?`; a `~prefix` by how many texts start with it.
struct Quotes;

impl HasLayers for Quotes {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("quoted")?]))
    }
}

impl DirectCompiler for Quotes {
    fn map_key(&self, key: &Key, out: &mut Outputs) {
        out.add("quoted", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context) -> Result<Option<Payload>> {
        let mut words = Vec::new();
        for word in inputs[0].text()?.split_whitespace() {
            words.push(if let Some(name) = word.strip_prefix('@') {
                context.read("in/texts", name)?.map_or(Ok("?".to_owned()), |found| found.text().map(str::to_owned))?
            } else if let Some(name) = word.strip_prefix('#') {
                if context.exists("in/texts", name)? { "yes".to_owned() } else { "no".to_owned() }
            } else if let Some(prefix) = word.strip_prefix('~') {
                context.list("in/texts", Within::Prefix(prefix))?.len().to_string()
            } else {
                word.to_owned()
            });
        }
        Ok(Some(words.join(" ").into()))
    }
}

fn by_length(min: usize, code: &str) -> Task {
    let configuration = serde_json::to_value(Config { min }).unwrap();
    Task::new("by-length", MapGroup(ByLength { min })).unwrap().version(code).configured(configuration)
}

fn quotes() -> Task {
    Task::new("quotes", Direct(Quotes)).unwrap().version("1")
}

fn lab() -> Lab {
    let mut lab = Lab::new(vec![by_length(1, "1"), quotes()]);
    lab.put("in/words", "a", "one three");
    lab.put("in/words", "b", "two five");
    lab.put("in/words", "c", "eleven");
    lab.put("in/texts", "t1", "hello @t2 #t3");
    lab.put("in/texts", "t2", "world");
    lab.put("in/texts", "u1", "there are ~t");
    lab.run();
    lab
}

/// Runs, states what ran, and holds the result against scratch.
fn ran(lab: &mut Lab, expected: &Expect) {
    let log = lab.run().log();
    expected.assert_eq(&log);
    lab.assert_equals_scratch();
}

#[test]
fn the_first_run_runs_everything() {
    let mut lab = Lab::new(vec![by_length(1, "1"), quotes()]);
    lab.put("in/words", "a", "one three");
    lab.put("in/texts", "t1", "hello @t2");
    ran(
        &mut lab,
        &expect![[r#"
            front  by-length  in/words/a
            back   by-length  by-length/3
            back   by-length  by-length/5
            back   quotes     quoted/t1
        "#]],
    );
}

#[test]
fn no_change_runs_nothing() {
    let mut lab = lab();
    ran(&mut lab, &expect![""]);
    assert_eq!(lab.run().report.version, None);
}

#[test]
fn a_changed_value_runs_its_group_and_the_front_ends_that_contribute() {
    let mut lab = lab();
    lab.put("in/words", "a", "ten three");
    ran(
        &mut lab,
        &expect![[r#"
            front  by-length  in/words/a
            front  by-length  in/words/b
            back   by-length  by-length/3
        "#]],
    );
}

#[test]
fn an_added_input() {
    let mut lab = lab();
    lab.put("in/words", "d", "sevens");
    ran(
        &mut lab,
        &expect![[r#"
            front  by-length  in/words/c
            front  by-length  in/words/d
            back   by-length  by-length/6
        "#]],
    );
}

#[test]
fn a_deleted_input_takes_its_output_along() {
    let mut lab = lab();
    lab.delete("in/words", "c");
    ran(
        &mut lab,
        &expect![[r#"
            gone   by-length  by-length/6
        "#]],
    );
    lab.delete("in/texts", "u1");
    ran(
        &mut lab,
        &expect![[r#"
            gone   quotes  quoted/u1
        "#]],
    );
}

#[test]
fn an_equal_re_encoding_is_cut_off() {
    let mut lab = lab();
    lab.put("in/words", "a", "one! three");
    let run = lab.run();
    expect![[r#"
        front  by-length  in/words/a
    "#]]
    .assert_eq(&run.log());
    assert_eq!(run.report.tasks[0].counts.cut_off, 1);
    lab.assert_equals_scratch();
}

#[test]
fn equal_bytes_are_no_change() {
    let mut lab = lab();
    lab.put("in/words", "a", "one three");
    ran(&mut lab, &expect![""]);
}

#[test]
fn a_changed_reference_runs_its_reader() {
    let mut lab = lab();
    lab.put("in/texts", "t2", "moon");
    ran(
        &mut lab,
        &expect![[r#"
            back   quotes  quoted/t1
            back   quotes  quoted/t2
            back   quotes  quoted/u1
        "#]],
    );
    assert_eq!(lab.text("quoted", "t1").as_deref(), Some("hello moon no"));
}

#[test]
fn a_reference_that_appears_and_goes() {
    let mut lab = lab();
    lab.put("in/texts", "t3", "new");
    ran(
        &mut lab,
        &expect![[r#"
            back   quotes  quoted/t1
            back   quotes  quoted/t3
            back   quotes  quoted/u1
        "#]],
    );
    assert_eq!(lab.text("quoted", "t1").as_deref(), Some("hello world yes"));
    // Existence was asked for, so a change of content is no matter for t1; the listing of u1 covers content.
    lab.put("in/texts", "t3", "newer");
    ran(
        &mut lab,
        &expect![[r#"
            back   quotes  quoted/t3
            back   quotes  quoted/u1
        "#]],
    );
    lab.delete("in/texts", "t2");
    ran(
        &mut lab,
        &expect![[r#"
            back   quotes  quoted/t1
            back   quotes  quoted/u1
            gone   quotes  quoted/t2
        "#]],
    );
    assert_eq!(lab.text("quoted", "t1").as_deref(), Some("hello ? yes"));
}

#[test]
fn the_configuration_of_one_task_leaves_the_other_alone() {
    let mut lab = lab();
    lab.set_tasks(vec![by_length(4, "1"), quotes()]);
    ran(
        &mut lab,
        &expect![[r#"
            front  by-length  in/words/a
            front  by-length  in/words/b
            front  by-length  in/words/c
            back   by-length  by-length/4
            back   by-length  by-length/5
            back   by-length  by-length/6
            gone   by-length  by-length/3
        "#]],
    );
}

#[test]
fn a_code_version_makes_its_task_full_and_the_report_shows_it() {
    let mut lab = lab();
    lab.set_tasks(vec![by_length(1, "2"), quotes()]);
    let run = lab.run();
    expect![[r#"
        front  by-length  in/words/a
        front  by-length  in/words/b
        front  by-length  in/words/c
        back   by-length  by-length/3
        back   by-length  by-length/4
        back   by-length  by-length/5
        back   by-length  by-length/6
    "#]]
    .assert_eq(&run.log());
    let reasons: Vec<String> = run.report.tasks.iter().map(|task| format!("{:?}", task.mode)).collect();
    assert_eq!(reasons, [r#"Full { reason: "its code changed" }"#, "Skipped"]);
    assert_eq!(run.report.tasks[0].counts.same, 4, "nothing came out otherwise, so nothing is published");
    lab.assert_equals_scratch();
}

#[test]
fn an_older_input_version_is_an_ordinary_change() {
    let mut lab = lab();
    lab.put("in/words", "a", "seven");
    lab.put("in/words", "z", "seven");
    lab.run();
    lab.pin("in", 1);
    ran(
        &mut lab,
        &expect![[r#"
            front  by-length  in/words/a
            front  by-length  in/words/b
            back   by-length  by-length/3
            back   by-length  by-length/5
        "#]],
    );
}

#[test]
fn a_user_error_names_task_part_and_key_and_leaves_the_base() {
    let mut lab = lab();
    let before = lab.output();
    lab.put("in/texts", "bad", vec![0xff_u8]);
    let error = lab.try_run().unwrap_err().to_string();
    expect!["quotes: back-end of quoted/bad: payload is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0"]
        .assert_eq(&error);
    assert_eq!(lab.output().version(), before.version());
    lab.delete("in/texts", "bad");
    ran(&mut lab, &expect![""]);
}

/// Maps every text to one output, whatever its name.
struct Collides;

impl HasLayers for Collides {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("first-letters")?]))
    }
}

impl DirectCompiler for Collides {
    fn map_key(&self, key: &Key, out: &mut Outputs) {
        out.add("first-letters", &key.name.to_string()[..1]);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context) -> Result<Option<Payload>> {
        let text = inputs[0].text()?;
        assert!(text != "panic", "as asked");
        Ok((text != "nothing").then(|| text.into()))
    }
}

/// The second claim is an error with the same words whether the run is full or incremental, and whether the first
/// claimant published something or not.
#[test]
fn a_second_producer_is_refused_in_both_kinds_of_runs() {
    let task = || vec![Task::new("collides", Direct(Collides)).unwrap().version("1")];
    let both = "collides: output first-letters/a is made from two inputs, in/texts/a1 and in/texts/a2: \
                map them to different outputs, or register the compiler as `DirectMany`";
    for first in ["something", "nothing"] {
        let mut full = Lab::new(task());
        full.put("in/texts", "a1", first);
        full.put("in/texts", "a2", "other");
        assert_eq!(full.try_run().unwrap_err().to_string(), both);

        let mut lab = Lab::new(task());
        lab.put("in/texts", "a1", first);
        lab.put("in/texts", "b", "b");
        lab.run();
        lab.put("in/texts", "a2", "other");
        assert_eq!(lab.try_run().unwrap_err().to_string(), both);
        // The first may go as the second comes.
        lab.delete("in/texts", "a1");
        lab.run();
        assert_eq!(lab.text("first-letters", "a").as_deref(), Some("other"));
        lab.assert_equals_scratch();
    }
}

#[test]
fn a_panic_is_an_error_that_says_where() {
    let mut lab = Lab::new(vec![Task::new("collides", Direct(Collides)).unwrap().version("1")]);
    lab.put("in/texts", "a", "panic");
    assert_eq!(lab.try_run().unwrap_err().to_string(), "collides: back-end of first-letters/a: panicked: as asked");
}

/// Sends a megabyte for each input to one output.
struct Hot;

impl HasLayers for Hot {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/words"]).output_layers([Layer::generic("hot")?]))
    }
}

impl MapGroupCompiler for Hot {
    type Value = (String, Vec<u8>);

    fn compile_in(&self, input: &Input, out: &mut Emit<(String, Vec<u8>)>, _: &Context) -> Result<()> {
        out.emit("hot", &input.text()?[..1], (input.name().to_string(), vec![b'x'; 1 << 20]));
        out.emit("hot", input.name(), (input.name().to_string(), Vec::new()));
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<(String, Vec<u8>)>, _: &Context) -> Result<Option<Payload>> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        for (name, value) in values {
            names.push(name);
            bytes += value.len();
        }
        Ok(Some(format!("{bytes} {}", names.join(" ")).into()))
    }
}

/// A group with more rows than a batch takes goes to its back-end as a stream; nothing else about it is different.
#[test]
fn a_group_larger_than_a_batch() {
    for (threads, row_memory) in [(1, usize::MAX), (2, 4 << 20)] {
        let mut lab = Lab::new(vec![Task::new("hot", MapGroup(Hot)).unwrap().version("1")]);
        lab.threads(threads);
        lab.row_memory(row_memory);
        for number in 0..24 {
            lab.put("in/words", format!("{number:02}"), if number < 20 { "a" } else { "b" });
        }
        lab.run();
        let names: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
        assert_eq!(lab.text("hot", "a"), Some(format!("{} {}", 20 << 20, names.join(" "))));
        lab.put("in/words", "07", "b");
        lab.delete("in/words", "08");
        lab.run();
        assert_eq!(lab.text("hot", "b"), Some(format!("{} 07 20 21 22 23", 5 << 20)));
        lab.assert_equals_scratch();
    }
}
