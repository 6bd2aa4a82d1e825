//! Which partitions ran, and what is published, for the shapes beyond one input and one output: several partitions a
//! group, whole inputs, parts of partitions, memos.

use std::collections::BTreeMap;

use deltic::driver::{Sampling, Verify};
use deltic::prelude::*;
use deltic_testkit::Lab;
use expect_test::expect;

/// Sends each word of a text to the group of its first letter.
fn words(input: &Input, layer: &str, out: &mut Emit<'_, String>) -> Result<()> {
    for word in input.text()?.split_whitespace() {
        out.emit(layer, &word[..1], word.to_owned());
    }
    Ok(())
}

/// Makes of each letter's words a partition a word, and in another layer, under the letter's name, how many there are.
struct Split;

impl HasLayers for Split {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/texts"])
            .output_layers([Layer::generic("words")?, Layer::generic("letters")?]))
    }
}

impl MapSplitCompiler for Split {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        words(input, "letters", out)
    }

    fn compile_out(
        &self,
        letter: &OutKey,
        words: Values<'_, String>,
        out: &mut Publish<'_>,
        _: &Context<'_>,
    ) -> Result<()> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for word in words {
            *counts.entry(word).or_default() += 1;
        }
        out.put_key(letter, counts.len().to_string());
        for (word, count) in counts {
            // Two letters that mean the same word: what the check of owners is for.
            out.put("words", word.to_lowercase(), count.to_string());
        }
        Ok(())
    }
}

fn split() -> Vec<Task> {
    vec![Task::new("split", MapSplit(Split)).unwrap().version("1")]
}

#[test]
fn a_group_becomes_several_partitions_and_stale_ones_go() {
    let mut lab = Lab::new(split());
    lab.put("in/texts", "a", "one two");
    lab.put("in/texts", "b", "ten over");
    lab.run();
    assert_eq!(lab.names("words"), ["one", "over", "ten", "two"]);
    assert_eq!(lab.text("letters", "t").as_deref(), Some("2"));
    lab.put("in/texts", "a", "one three");
    let run = lab.run();
    expect![[r#"
        front  split  in/texts/a
        front  split  in/texts/b
        back   split  letters/t
        gone   split  words/two
    "#]]
    .assert_eq(&run.log());
    let counts = run.report.tasks[0].counts;
    assert_eq!((counts.put, counts.deleted), (1, 1), "`ten` and `t` are as they were");
    lab.assert_equals_scratch();
    lab.delete("in/texts", "b");
    lab.delete("in/texts", "a");
    lab.run();
    lab.assert_equals_scratch();
    assert_eq!(lab.names("words"), [""; 0]);
}

#[test]
fn a_partition_moves_from_one_group_to_another() {
    let mut lab = Lab::new(split());
    lab.put("in/texts", "a", "one");
    lab.put("in/texts", "b", "two");
    lab.run();
    lab.put("in/texts", "a", "One");
    lab.run().assert_ran(&["front split in/texts/a", "back split letters/O", "gone split letters/o"]);
    lab.assert_equals_scratch();
    assert_eq!(lab.names("words"), ["one", "two"]);
}

#[test]
fn two_groups_that_publish_the_same_are_refused_in_both_kinds_of_runs() {
    let expected = expect![
        "split: output words/one is published by two groups, letters/O and letters/o: a partition belongs to one group, so let names say which"
    ];
    let mut lab = Lab::new(split());
    lab.put("in/texts", "a", "one");
    lab.run();
    lab.put("in/texts", "b", "One");
    expected.assert_eq(&lab.try_run().unwrap_err().to_string());
    lab.full(true);
    expected.assert_eq(&lab.try_run().unwrap_err().to_string());
    lab.full(false);
    lab.delete("in/texts", "a");
    lab.run();
    lab.assert_equals_scratch();
}

/// A text for each word: its rank among all words of the input.
struct Ranks;

impl HasLayers for Ranks {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("ranks")?]))
    }
}

/// All words in order, each once.
fn sorted_words(input: &Whole<'_>) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for partition in input.partitions("in/texts")? {
        all.extend(partition?.text()?.split_whitespace().map(str::to_owned));
    }
    all.sort();
    all.dedup();
    Ok(all)
}

impl DepCompiler for Ranks {
    type Value = usize;

    fn compile_in(&self, input: &Whole<'_>, out: &mut Emit<'_, usize>, _: &Context<'_>) -> Result<()> {
        for (rank, word) in sorted_words(input)?.into_iter().enumerate() {
            out.emit("ranks", word, rank);
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, mut rank: Values<'_, usize>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(rank.next().map(|rank| rank.to_string().into()))
    }
}

impl GlobalCompiler for Ranks {
    fn compile(&self, input: &Whole<'_>, out: &mut Publish<'_>, _: &Context<'_>) -> Result<()> {
        for (rank, word) in sorted_words(input)?.into_iter().enumerate().rev() {
            out.put("ranks", word, rank.to_string());
        }
        Ok(())
    }
}

#[test]
fn a_dep_task_runs_back_ends_for_what_its_front_end_emits_anew() {
    let mut lab = Lab::new(vec![Task::new("ranks", Dep(Ranks)).unwrap().version("1")]);
    lab.put("in/texts", "a", "b d");
    lab.put("in/texts", "b", "f h");
    lab.run();
    lab.put("in/texts", "b", "f g h");
    let run = lab.run();
    run.assert_ran(&["back ranks ranks/g", "back ranks ranks/h"]);
    let counts = run.report.tasks[0].counts;
    assert_eq!((counts.inputs, counts.fronts, counts.put), (1, 1, 2));
    lab.assert_equals_scratch();
    lab.put("in/texts", "b", "f  g h");
    let run = lab.run();
    run.assert_ran(&[]);
    assert_eq!(run.report.tasks[0].counts.cut_off, 1);
    lab.put("in/texts", "a", "d");
    expect![[r#"
        back   ranks  ranks/d
        back   ranks  ranks/f
        back   ranks  ranks/g
        back   ranks  ranks/h
        gone   ranks  ranks/b
    "#]]
    .assert_eq(&lab.run().log());
    lab.assert_equals_scratch();
}

#[test]
fn a_global_task_publishes_what_differs() {
    let mut lab = Lab::new(vec![Task::new("ranks", Global(Ranks)).unwrap().version("1")]);
    lab.put("in/texts", "a", "b d");
    lab.put("in/texts", "b", "f h");
    lab.run();
    lab.put("in/texts", "b", "f g");
    let run = lab.run();
    run.assert_ran(&["gone ranks ranks/h"]);
    let counts = run.report.tasks[0].counts;
    assert_eq!((counts.compiled, counts.same, counts.put, counts.deleted), (4, 3, 1, 1));
    lab.assert_equals_scratch();
    assert_eq!(lab.run().report.version, None);
}

/// Replaces words by their entry in a table.
struct Translates;

impl HasLayers for Translates {
    fn layers(&self) -> Result<Layers> {
        type Table = BTreeMap<String, String>;
        let decode = |payload: &Payload| Ok(payload.json::<Table>()?);
        Ok(Layers::new()
            .input_layers(["in/texts"])
            .reference_layers(["in/tables"])
            .projections([Projection::new("row", decode, |table: &Table, word: &str| Ok(table.get(word).cloned()))])
            .output_layers([Layer::generic("translated")?]))
    }
}

impl DirectCompiler for Translates {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("translated", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let mut words: Vec<String> = Vec::new();
        for word in inputs[0].text()?.split_whitespace() {
            let found = context.project("in/tables", "words", "row", word)?;
            words.push(found.unwrap_or_else(|| word.to_uppercase()));
        }
        Ok(Some(words.join(" ").into()))
    }
}

#[test]
fn a_changed_row_of_a_table_runs_the_readers_of_that_row() {
    let mut lab = Lab::new(vec![Task::new("translate", Direct(Translates)).unwrap().version("1")]);
    lab.put("in/tables", "words", r#"{"one": "un", "two": "deux"}"#);
    lab.put("in/texts", "a", "one");
    lab.put("in/texts", "b", "two three");
    lab.run();
    assert_eq!(lab.text("translated", "b").as_deref(), Some("deux THREE"));
    // Another row, and the same ones otherwise written.
    lab.put("in/tables", "words", r#"{"two": "deux", "one": "un", "four": "quatre"}"#);
    lab.run().assert_ran(&[]);
    lab.assert_equals_scratch();
    lab.put("in/tables", "words", r#"{"one": "eins", "two": "deux"}"#);
    lab.run().assert_ran(&["back translate translated/a"]);
    lab.assert_equals_scratch();
    // A row appears, then the whole table goes.
    lab.put("in/tables", "words", r#"{"one": "eins", "two": "deux", "three": "trois"}"#);
    lab.run().assert_ran(&["back translate translated/b"]);
    lab.delete("in/tables", "words");
    lab.run().assert_ran(&["back translate translated/a", "back translate translated/b"]);
    assert_eq!(lab.text("translated", "b").as_deref(), Some("TWO THREE"));
    lab.assert_equals_scratch();
}

#[test]
fn a_projection_that_fails_is_an_error_that_says_where() {
    let mut lab = Lab::new(vec![Task::new("translate", Direct(Translates)).unwrap().version("1")]);
    lab.put("in/tables", "words", "{}");
    lab.put("in/texts", "a", "one");
    lab.run();
    lab.put("in/tables", "words", "no table");
    expect!["translate: back-end of translated/a: projection `row` of in/tables/words for `one`: not the expected JSON: expected ident at line 1 column 2"]
        .assert_eq(&lab.try_run().unwrap_err().to_string());
}

/// Counts the words of a letter.
struct Counts;

impl HasLayers for Counts {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("letters")?]))
    }
}

impl MapGroupCompiler for Counts {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        words(input, "letters", out)
    }

    fn compile_out(&self, _: &OutKey, words: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(words.collect::<Vec<_>>().join(" ").into()))
    }
}

#[test]
fn a_memo_spares_the_front_ends_of_unchanged_inputs() {
    let tasks = |memo: Option<u32>| {
        let task = Task::new("counts", MapGroup(Counts)).unwrap().version("1");
        vec![memo.into_iter().fold(task, Task::memo)]
    };
    let mut lab = Lab::new(tasks(Some(16)));
    lab.put("in/texts", "a", "one two");
    lab.put("in/texts", "b", "ten over");
    lab.put("in/texts", "c", "that-is-long or-not");
    lab.run();
    lab.put("in/texts", "a", "one three");
    let run = lab.run();
    // The value that `c` emits to `t` is too long for the memo.
    run.assert_ran(&["front counts in/texts/a", "front counts in/texts/c", "back counts letters/t"]);
    assert_eq!((run.report.tasks[0].counts.fronts_again, run.report.tasks[0].counts.remembered), (1, 1));
    assert_eq!(lab.text("letters", "t").as_deref(), Some("three ten that-is-long"));
    lab.assert_equals_scratch();
    lab.put("in/texts", "a", "one ooo three");
    lab.run().assert_ran(&["front counts in/texts/a", "back counts letters/o"]);
    assert_eq!(lab.text("letters", "o").as_deref(), Some("one ooo over or-not"));
    lab.assert_equals_scratch();
    // Without a memo the same run asks all.
    lab.set_tasks(tasks(None));
    lab.run();
    lab.put("in/texts", "a", "one three");
    expect![[r#"
        front  counts  in/texts/a
        front  counts  in/texts/b
        front  counts  in/texts/c
        back   counts  letters/o
    "#]]
    .assert_eq(&lab.run().log());
    lab.assert_equals_scratch();
}

/// Puts texts into drawers by the first letter of the text after them, so that what comes or goes moves the one before.
struct Drawers {
    /// Does not report the change.
    forgets: bool,
}

impl HasLayers for Drawers {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/texts"]).output_layers([Layer::generic("drawers")?]))
    }
}

impl Drawers {
    fn places(input: &Whole<'_>) -> Result<Vec<(Key, String)>> {
        let all = input.partitions("in/texts")?.collect::<Result<Vec<_>>>()?;
        let letter = |next: Option<&Partition>| -> Result<String> {
            Ok(match next {
                Some(next) => next.text()?[..1].to_owned(),
                None => "last".to_owned(),
            })
        };
        all.iter().enumerate().map(|(n, text)| Ok((text.key.clone(), letter(all.get(n + 1))?))).collect()
    }
}

impl IncrementalDepCompiler for Drawers {
    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()> {
        Drawers::places(input)?.into_iter().try_for_each(|(key, drawer)| out.set(&key, |to| to.add("drawers", drawer)))
    }

    fn update(
        &self,
        input: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        before: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()> {
        let changed: Vec<Key> = changes.map(|change| change.map(|change| change.key)).collect::<Result<_>>()?;
        for (key, drawer) in Drawers::places(input)? {
            let is_new = changed.contains(&key) && before.outputs_of(&key)?.is_empty();
            let moved = before.outputs_of(&key)? != [OutKey::new("drawers", drawer.as_str())?];
            if if self.forgets { is_new } else { moved } {
                out.set(&key, |to| to.add("drawers", drawer))?;
            }
        }
        Ok(())
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let texts: Vec<&str> = inputs.iter().map(Partition::text).collect::<Result<_>>()?;
        Ok(Some(texts.join(" ").into()))
    }
}

fn drawers(forgets: bool) -> Lab {
    let mut lab = Lab::new(vec![Task::new("drawers", IncrementalDep(Drawers { forgets })).unwrap().version("1")]);
    lab.put("in/texts", "a", "one");
    lab.put("in/texts", "c", "two");
    lab.put("in/texts", "d", "ten");
    lab.run();
    lab
}

#[test]
fn a_graph_that_the_user_updates() {
    let mut lab = drawers(false);
    assert_eq!(lab.names("drawers"), ["last", "t"]);
    lab.put("in/texts", "b", "six");
    let run = lab.run();
    run.assert_ran(&["back drawers drawers/s", "back drawers drawers/t"]);
    assert_eq!(run.report.tasks[0].counts.inputs, 2, "the new one, and the one before it that moved");
    assert_eq!(lab.text("drawers", "t").as_deref(), Some("six two"));
    lab.assert_equals_scratch();
    lab.put("in/texts", "c", "three");
    lab.run().assert_ran(&["back drawers drawers/t"]);
    lab.delete("in/texts", "d");
    lab.run();
    lab.assert_equals_scratch();
    assert_eq!(lab.text("drawers", "last").as_deref(), Some("three"));
}

#[test]
fn a_graph_that_is_updated_wrongly_is_refuted() {
    let mut lab = drawers(true);
    lab.put("in/texts", "b", "six");
    lab.run();
    let difference = lab.compare_with_scratch().unwrap_err();
    assert!(difference.contains("drawers"), "{difference}");
    let found = lab.verify(&Verify::default()).unwrap();
    assert!(found.differences[0].to_string().starts_with("drawers: drawers/s is missing"), "{:?}", found.differences);
    let everything = Verify { sample: Some(Sampling { millionths: 1_000_000, seed: 0 }), ..Verify::default() };
    assert_eq!(lab.verify(&everything).unwrap().differences, found.differences);
}
