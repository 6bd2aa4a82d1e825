//! Inputs that are not simply a catalog at its latest version: pinned, of some runs ago, and the earlier output.

use deltic::core::{CatalogId, LayerId, RunId, Timestamp, Version};
use deltic::driver::{Job, LocalEngine, Mode, Options, Processing};
use deltic::prelude::*;
use deltic_testkit::{Edit, Lab, RandomHistory};
use expect_test::{Expect, expect};
use proptest::prelude::*;

use crate::patterns::{Gathers, Groups, Pairs, Shape};

/// What of each place changed since the run before: a catalog as it is and as it was, side by side.
struct Difference;

impl HasLayers for Difference {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["map/places", "map-before/places"])
            .output_layers([Layer::generic("difference")?]))
    }
}

impl DirectCompiler for Difference {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("difference", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let text = |catalog: &str| {
            let found = inputs.iter().find(|input| input.key.layer.to_string() == format!("{catalog}/places"));
            found.map_or(Ok("-"), |input| input.text())
        };
        let (before, now) = (text("map-before")?, text("map")?);
        Ok((before != now).then(|| format!("{before} > {now}").into()))
    }
}

/// Each word of a note is remembered for good in the order in which it was first met.
struct Remembers;

impl HasLayers for Remembers {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["in/notes"])
            .reference_layers(["self/remembered"])
            .output_layers([Layer::generic("remembered")?]))
    }
}

impl DirectCompiler for Remembers {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("remembered", &key.name);
    }

    fn compile(&self, out: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let before = context.read("self/remembered", &out.name)?;
        let before = before.as_ref().map_or(Ok(""), |before| before.text())?;
        let mut words: Vec<&str> = before.split_whitespace().collect();
        for word in inputs[0].text()?.split_whitespace() {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        Ok(Some(words.join(" ").into()))
    }
}

/// Copies notes.
struct Plain;

impl HasLayers for Plain {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/notes"]).output_layers([Layer::generic("plain")?]))
    }
}

impl DirectCompiler for Plain {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("plain", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(inputs[0].payload.clone()))
    }
}

fn task(id: &str, pattern: impl Into<deltic::compiler::Pattern>) -> Task {
    Task::new(id, pattern).unwrap().version("1")
}

fn ran(lab: &mut Lab, expected: &Expect) {
    expected.assert_eq(&lab.run().log());
}

#[test]
fn an_input_as_of_the_run_before() {
    let mut lab = Lab::new(vec![task("difference", DirectMany(Difference))]).runs_ago("map-before", "map", 1);
    lab.put("map/places", "bern", "1");
    lab.put("map/places", "oslo", "1");
    let run = lab.run();
    assert_eq!(run.report.inputs.iter().map(|input| input.to.map(|to| to.0)).collect::<Vec<_>>(), [Some(1), None]);
    assert_eq!(lab.text("difference", "bern").as_deref(), Some("- > 1"));

    // Versions that no run has seen are passed over.
    lab.put("map/places", "bern", "2");
    lab.commit_inputs();
    lab.put("map/places", "bern", "3");
    ran(
        &mut lab,
        &expect![[r#"
            back   difference  difference/bern
            back   difference  difference/oslo
            gone   difference  difference/oslo
        "#]],
    );
    assert_eq!(lab.text("difference", "bern").as_deref(), Some("1 > 3"));

    // Nothing has changed since that run: what had changed then is no difference any more. After that all is still.
    ran(
        &mut lab,
        &expect![[r#"
            back   difference  difference/bern
            gone   difference  difference/bern
        "#]],
    );
    assert_eq!(lab.run().report.version, None);

    // Back to an older version.
    lab.pin("map", 1);
    ran(&mut lab, &expect!["back   difference  difference/bern\n"]);
    assert_eq!(lab.text("difference", "bern").as_deref(), Some("3 > 1"));
}

#[test]
fn two_runs_ago() {
    let mut lab = Lab::new(vec![task("difference", DirectMany(Difference))]).runs_ago("map-before", "map", 2);
    for version in 1..=4 {
        lab.put("map/places", "bern", version.to_string());
        lab.put("map/places", format!("only-{version}"), "");
        lab.run();
        let expected = if version < 3 { format!("- > {version}") } else { format!("{} > {version}", version - 2) };
        assert_eq!(lab.text("difference", "bern"), Some(expected));
    }
}

#[test]
fn what_the_output_was() {
    let tasks = || vec![task("remembers", Direct(Remembers)), task("plain", Direct(Plain))];
    let mut lab = Lab::new(tasks()).feedback("self");
    lab.put("in/notes", "a", "one two");
    lab.put("in/notes", "b", "one");
    lab.run();
    // What was written is read: it has come as far as the base, and comes out the same.
    ran(
        &mut lab,
        &expect![[r#"
            back   remembers  remembered/a
            back   remembers  remembered/b
        "#]],
    );
    let settled = lab.run();
    assert_eq!((settled.log().as_str(), settled.report.version), ("", None));
    assert_eq!(lab.run().report.version, None);

    lab.put("in/notes", "a", "three two");
    ran(
        &mut lab,
        &expect![[r#"
            back   plain      plain/a
            back   remembers  remembered/a
        "#]],
    );
    assert_eq!(lab.text("remembered", "a").as_deref(), Some("one two three"));

    // A change of what nobody reads of the output is no change of it.
    lab.run();
    let before = lab.output().version();
    lab.put("in/notes", "a", "two three one");
    let run = lab.run();
    assert_eq!(lab.text("remembered", "a").as_deref(), Some("one two three"));
    assert_eq!(run.report.version, Some(before.next()));
    assert_eq!(lab.run().report.version, None, "only the layer `plain` had changed");
}

/// The record names the output itself, and not all that it was ever made from.
#[test]
fn records_do_not_grow_with_the_runs() {
    let mut lab = Lab::new(vec![task("remembers", Direct(Remembers))]).feedback("self");
    for number in 0..10 {
        lab.put("in/notes", "a", format!("word-{number}"));
        lab.run();
        let output = lab.output();
        assert_eq!(output.record().dependencies.len(), 2, "{:?}", output.record().dependencies);
    }
}

#[test]
fn a_pin_affects_what_reads_it() {
    let other = Shape { salt: 1, inputs: vec!["in/a"], references: Vec::new(), output: "other" };
    let mut lab = Lab::new(vec![task("other", Direct(Pairs(other))), task("difference", DirectMany(Difference))])
        .runs_ago("map-before", "map", 1);
    lab.put("in/a", "0", "0");
    lab.put("map/places", "bern", "1");
    lab.put("map/places", "oslo", "1");
    lab.commit_inputs();
    lab.put("map/places", "bern", "2");
    lab.run();
    lab.pin("map", 1);
    lab.run();
    let mode = |lab: &mut Lab| lab.run().report.tasks.iter().map(|task| task.mode.clone()).collect::<Vec<_>>();
    let modes = mode(&mut lab);
    assert_eq!(modes[0], Mode::Skipped);
    lab.unpin("map");
    let modes = mode(&mut lab);
    assert_eq!(modes, [Mode::Skipped, Mode::Incremental { changed: vec!["map/places".to_owned()] }]);
}

/// Statements about an input are compared with the version that the base was made from; the output does not depend on them.
#[test]
fn what_a_job_states_of_its_inputs() {
    let of_map = Shape { salt: 1, inputs: vec!["map/places"], references: Vec::new(), output: "other" };
    let mut lab = Lab::new(vec![task("plain", Direct(Plain)), task("other", Direct(Pairs(of_map)))]);
    lab.processing("in", Processing::NoChanges);
    lab.put("map/places", "0", "0");
    lab.put("in/notes", "a", "1");
    expect!["the job states that `in` did not change, but version 0 of the output was made without it"]
        .assert_eq(&lab.run().report.notes.join("\n"));

    // Versions 2 and 3: one is passed over.
    for content in ["2", "3"] {
        lab.put("in/notes", "a", content);
        lab.commit_inputs();
    }
    let run = lab.run();
    expect!["the job states that `in` did not change, but version 1 of the output was made from its version 1, and `in/notes` changed since then"]
        .assert_eq(&run.report.notes.join("\n"));
    run.assert_ran(&["back plain plain/a"]);
    lab.assert_equals_scratch();
    assert_eq!(lab.run().report.notes, [""; 0], "it is true now");

    // Back to version 2, stated to be the next after 1.
    lab.pin("in", 2);
    lab.processing("in", Processing::Changes { since: Version(1) });
    let run = lab.run();
    expect!["the job states that `in` changed since version 1, but version 2 of the output was made from its version 3: the changes since 3 are compiled"]
        .assert_eq(&run.report.notes.join("\n"));
    run.assert_ran(&["back plain plain/a"]);
    lab.assert_equals_scratch();

    // The same once more.
    lab.processing("in", Processing::Changes { since: Version(2) });
    let run = lab.run();
    assert_eq!((run.report.version, run.report.notes.len(), run.log().as_str()), (None, 0, ""));

    lab.processing("in", Processing::Reprocess);
    let run = lab.run();
    let modes: Vec<Mode> = run.report.tasks.iter().map(|task| task.mode.clone()).collect();
    assert_eq!(modes, [Mode::Full { reason: "reprocessing of `in` was requested".to_owned() }, Mode::Skipped]);
    assert_eq!(run.report.version, None, "all came out as it was");
}

/// A version that never was is no word about an input that could be corrected.
#[test]
fn changes_since_a_version_that_never_was() {
    let wrong = |lab: &mut Lab, id: &str, since: u64| {
        lab.processing(id, Processing::Changes { since: Version(since) });
        let error = lab.try_run().unwrap_err();
        assert!(matches!(error.kind(), deltic::driver::ErrorKind::Setup), "{error}");
        let message = error.to_string();
        let (before, after) = message.split_once(": ").unwrap();
        format!("{before}: … has {}", after.split_once(" has ").unwrap().1)
    };
    let mut lab = Lab::new(vec![task("plain", Direct(Plain))]);
    for content in ["1", "2", "3"] {
        lab.put("in/notes", "a", content);
        lab.commit_inputs();
    }
    expect!["`in` can not have changed since version 4, which never existed: … has versions 0 to 3"]
        .assert_eq(&wrong(&mut lab, "in", 4));
    lab.processing("in", Processing::Changes { since: Version(3) });
    lab.run();
    // Where an earlier version is read, those after it are there all the same.
    lab.pin("in", 1);
    expect!["`in` can not have changed since version 4, which never existed: … has versions 0 to 3"]
        .assert_eq(&wrong(&mut lab, "in", 4));
    for since in [2, 3] {
        lab.processing("in", Processing::Changes { since: Version(since) });
        assert!(lab.try_run().is_ok(), "{since}");
    }
}

#[test]
fn what_can_not_be_bound() {
    let wrong = |lab: Lab| { lab }.try_run().unwrap_err().to_string();
    let lab = || Lab::new(vec![task("difference", DirectMany(Difference))]);
    expect!["catalog `map-before` is `map` 0 runs ago, which is this run: at least 1"]
        .assert_eq(&wrong(lab().runs_ago("map-before", "map", 0)));
    expect!["catalog `map-before` is `map` some runs ago, and that is not at a version of its own"]
        .assert_eq(&wrong(lab().feedback("map").runs_ago("map-before", "map", 1)));
    let nowhere = Shape { salt: 1, inputs: vec!["self/nowhere"], references: Vec::new(), output: "x" };
    expect!["catalog `self` has no layer `nowhere` at version 0: it has none"]
        .assert_eq(&wrong(Lab::new(vec![task("x", Direct(Pairs(nowhere)))]).feedback("self")));
}

/// Where an id is bound to another catalog, versions of the same numbers are others: there is no base to diff against.
#[test]
fn an_id_that_is_bound_to_another_catalog() {
    let tasks = || {
        let shape = Shape { salt: 1, inputs: vec!["in/a"], references: Vec::new(), output: "x" };
        vec![task("x", Direct(Pairs(shape)))]
    };
    let mut here = Lab::new(tasks());
    here.put("in/a", "a", "1");
    here.put("in/a", "b", "2");
    here.run();
    // Its catalogs are numbered in another order, so that `in` is another one.
    let mut there = Lab::new(tasks()).at("memory:there-");
    there.input_catalog("earlier");
    there.put("in/a", "a", "9");
    there.put("in/a", "c", "3");
    there.run();
    there.put("in/a", "d", "4");
    there.run();
    let (output, other) = (here.output_catalog().unwrap().clone(), there.input_catalog("in"));
    assert_ne!(here.input_catalog("in").latest().unwrap().uuid(), other.latest().unwrap().uuid());
    let (tasks, engine) = (tasks(), LocalEngine::new(1));
    let report = Job::new(
        &output,
        &tasks,
        Options {
            code: String::new(),
            run: RunId(1000),
            started: Timestamp(0),
            incremental: true,
            expect_base: None,
            compatible: false,
            take_over: false,
            state_layer: LayerId::new("state").unwrap(),
            note: String::new(),
            checkpoint: None,
            check_determinism: false,
        },
    )
    .input(CatalogId::new("in").unwrap(), other)
    .run(&engine);
    let report = report.unwrap();
    assert!(matches!(report.tasks[0].mode, Mode::Full { .. }), "{:?}", report.tasks[0].mode);
    assert_eq!(output.latest().unwrap().digest(), there.output().digest());
}

/// Tasks of every pattern that read all kinds of special inputs, as subjects and as references.
fn tasks(seed: u64) -> Vec<Task> {
    let shape = |salt: u64, inputs: &[&'static str], references: &[&'static str], output| Shape {
        salt: seed ^ salt,
        inputs: inputs.to_vec(),
        references: references.to_vec(),
        output,
    };
    vec![
        task("one", MapGroup(Groups(shape(1, &["in/a", "before/a"], &["self/y"], "x")))),
        task("two", DirectMany(Gathers(shape(2, &["x", "self/z"], &["before/a", "in/a"], "y")))),
        task("three", Direct(Pairs(shape(3, &["in/a"], &["self/z", "long-before/a"], "z")))).keep_private("z").unwrap(),
        task("four", MapGroup(Groups(shape(4, &["self/x", "z"], &["self/y"], "w")))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    /// From one base, a run that compiles what a change can affect makes what a run makes that compiles everything.
    #[test]
    fn incremental_equals_full_from_the_same_base(seed: u64, steps in 2usize..7) {
        let layers = vec![("in/a".to_owned(), RandomHistory::generic_names(4))];
        let mut history = RandomHistory { layers, steps, contents: 4 }.make(seed);
        history.insert(0, RandomHistory { layers: vec![("in/a".to_owned(), RandomHistory::generic_names(4))], steps: 6, contents: 4 }.make(seed ^ 1).concat());
        let lab = || {
            let lab = Lab::new(tasks(seed)).runs_ago("before", "in", 1).runs_ago("long-before", "in", 3);
            lab.feedback("self")
        };
        let (mut incremental, mut full) = (lab(), lab());
        full.full(true);
        for (number, step) in history.iter().enumerate() {
            for lab in [&mut incremental, &mut full] {
                for Edit { layer, name, payload } in step {
                    match payload {
                        Some(payload) => lab.put(layer, name, payload.clone()),
                        None => lab.delete(layer, name),
                    }
                }
                // Some runs see nothing new, and some an older version.
                if seed >> number & 7 == 1 {
                    lab.commit_inputs();
                    lab.pin("in", seed >> 3 & 1);
                } else {
                    lab.unpin("in");
                }
            }
            for _ in 0..1 + (seed >> number & 1) {
                incremental.run();
                full.run();
                incremental.assert_equals(&full);
            }
        }
    }
}
