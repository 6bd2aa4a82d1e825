//! Versions made again from their records: equal if everything is unchanged, refused if that is impossible.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deltic::core::{CatalogUuid, Grid, RunId, Timestamp, Version};
use deltic::driver::{Statement, Verdict, recorded_inputs};
use deltic::prelude::*;
use deltic::store::{Catalog, Committed, Draft, DraftOptions, NewCatalog, NextVersion, Retention, Stores};
use deltic_testkit::{Fault, Faults, Lab, RandomHistory};
use expect_test::expect;

use crate::patterns::{Gathers, Shape, TILES, random_tasks};

/// Notes in capitals.
#[derive(Clone, Default)]
struct Loud(Arc<AtomicU64>);

impl HasLayers for Loud {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/notes"]).output_layers([Layer::generic("loud")?]))
    }
}

impl DirectCompiler for Loud {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("loud", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let marks = "!".repeat(self.0.load(Ordering::Relaxed) as usize);
        Ok(Some(format!("{}{marks}", inputs[0].text()?.to_uppercase()).into()))
    }
}

fn loud(version: &str, configuration: &str) -> Task {
    let task = Task::new("loud", Direct(Loud::default())).unwrap().version(version);
    task.configured(configuration.parse().unwrap())
}

fn lab() -> Lab {
    let mut lab = Lab::new(vec![loud("1", r#"{"level":8}"#)]);
    for text in ["one", "two", "three"] {
        lab.put("in/notes", "a", text);
        lab.put("in/notes", text, text);
        lab.run();
    }
    lab
}

fn refused(lab: &mut Lab, version: u64) -> String {
    lab.rebuild(version).unwrap_err().to_string()
}

#[test]
fn any_version_of_a_chain_comes_out_as_it_was() {
    for seed in [1, 2, 3] {
        let layers = vec![
            ("in/a".to_owned(), RandomHistory::generic_names(4)),
            (TILES.to_owned(), RandomHistory::tile_names(3)),
        ];
        let mut lab = Lab::new(random_tasks(seed)).tiles(TILES, Grid::Here);
        for step in (RandomHistory { layers, steps: 6, contents: 5 }).make(seed) {
            for edit in step {
                match edit.payload {
                    Some(payload) => lab.put(&edit.layer, edit.name, payload),
                    None => lab.delete(&edit.layer, edit.name),
                }
            }
            lab.run();
        }
        for version in 1..=lab.output().version().0 {
            let statement = lab.rebuild(version).unwrap();
            assert_eq!(statement.verdict, Verdict::Equal, "seed {seed}, version {version}: {statement:?}");
            assert!(statement.layers.len() > 8 && statement.layers.iter().all(|layer| layer.equal));
            assert_eq!(statement.recorded.digest, statement.rebuilt.digest);
            assert_eq!(statement.recorded.state, statement.rebuilt.state);
            assert_eq!(statement.tasks.len(), 9);
        }
    }
}

#[test]
fn a_statement_can_be_kept_and_checked() {
    let mut lab = lab();
    let statement = lab.rebuild(2).unwrap();
    let document = statement.document();
    let version = lab.output_catalog().unwrap().snapshot(Version(2)).unwrap();
    let digest = version.tree(&"loud".parse().unwrap()).unwrap().digest().to_string();
    expect![[r#"
        {
          "covered": true,
          "equal": true,
          "name": "loud",
          "rebuilt": {
            "digest": "c2",
            "partitions": 3
          },
          "recorded": {
            "digest": "c2",
            "partitions": 3
          }
        }"#]]
    .assert_eq(&{
        let mut layer = document["layers"][0].clone();
        for side in ["recorded", "rebuilt"] {
            assert_eq!(layer[side]["digest"], digest);
            layer[side]["digest"] = "c2".into();
        }
        serde_json::to_string_pretty(&layer).unwrap()
    });
    assert_eq!(document["dependencies"][0]["version"], 2);
    assert_eq!(document["tasks"][0]["code"], "version 1");
    let text = document.to_string();
    assert!(Statement::is_intact(&serde_json::from_str(&text).unwrap()));
    let other = text.replace("\"verdict\":\"equal\"", "\"verdict\":\"differs\"");
    assert!(other != text && !Statement::is_intact(&serde_json::from_str(&other).unwrap()));
}

#[test]
fn a_hidden_influence_shows() {
    let loud = Loud::default();
    let mut lab = Lab::new(vec![Task::new("loud", Direct(loud.clone())).unwrap().version("1")]);
    lab.put("in/notes", "a", "one");
    lab.put("in/notes", "b", "two");
    lab.run();
    loud.0.store(1, Ordering::Relaxed);
    let statement = lab.rebuild(1).unwrap();
    assert_eq!(statement.verdict, Verdict::Differs);
    let first = statement.layers[0].first.as_deref();
    assert_eq!(first, Some("loud/a is not what is recorded, from byte 3 of 3 and 4: its end and \"!\""));
    assert!(statement.state_equal);
}

#[test]
fn other_tasks_are_refused_with_what_differs() {
    let mut lab = lab();
    lab.set_tasks(vec![loud("2", r#"{"level":9}"#)]);
    expect![[r#"version 2 was made by other tasks than these: task `loud`: code: recorded `version 1`, this binary is `version 2`: rebuild with that build; tasks that state a `version` do not depend on the build; task `loud`: configuration: recorded `{"level":8}`, here `{"level":9}`"#]]
    .assert_eq(&refused(&mut lab, 2));
    lab.set_tasks(vec![Task::new("soft", Direct(Loud::default())).unwrap().version("1")]);
    expect!["task `loud` made version 2 of memory:out, and no such task is registered: use the binary that has it"]
        .assert_eq(&refused(&mut lab, 2));
}

#[test]
fn versions_that_no_task_made_are_refused() {
    let mut lab = lab();
    expect!["no task made version 0 of memory:out: it was imported or just created, so it can not be rebuilt"]
        .assert_eq(&refused(&mut lab, 0));
}

#[test]
fn an_input_version_that_was_removed_is_named() {
    let mut lab = lab();
    let retention = Retention { last: Some(1), ..Retention::default() };
    lab.input_catalog("in").retain(&retention, RunId(77), Timestamp(0), false).unwrap();
    lab.forget_caches();
    let error = refused(&mut lab, 2);
    let expected = "version 2 of input `in` can not be read: retention removed it: memory:in-in: version 2 has expired";
    assert!(error.starts_with(expected), "{error}");
    // So is one of the output itself.
    let output = lab.output_catalog().unwrap().clone();
    output.retain(&retention, RunId(78), Timestamp(0), false).unwrap();
    assert!(refused(&mut lab, 1).contains("version 1 has expired"));
}

#[test]
fn another_catalog_under_the_url_of_an_input_is_reported() {
    let mut lab = lab();
    // The same URL, in stores of their own.
    let recorded = lab.output();
    let stores = Stores::new();
    let error = recorded_inputs(&recorded, &stores, &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.starts_with("version 3 of input `in` can not be read: it is not there: "), "{error}");
    let identity = NewCatalog { uuid: CatalogUuid(99), run: RunId(1), created: Timestamp(0) };
    let foreign = Catalog::create(&stores, "memory:in-in", Vec::new(), identity).unwrap();
    for number in 0..3 {
        let draft = Draft::begin(&foreign.latest().unwrap(), RunId(10 + number), DraftOptions::default());
        let layer = Layer::generic(&format!("l{number}")).unwrap();
        let next = NextVersion { layers: vec![(layer, draft.empty_tree())], ..NextVersion::default() };
        assert!(matches!(draft.commit(next).unwrap(), Committed::New(_)));
    }
    let error = recorded_inputs(&recorded, &stores, &BTreeMap::new()).unwrap_err().to_string();
    let expected = "version 3 of input `in` can not be read: memory:in-in is another catalog now, 00000000000000000000000000000063, and not ";
    assert!(error.starts_with(expected), "{error}");
    // Where the id is bound, the right one is found.
    let bound = [("in".parse().unwrap(), lab.input_catalog("in"))].into_iter().collect();
    let inputs = recorded_inputs(&recorded, &stores, &bound).unwrap();
    assert_eq!(inputs.len(), 1);
}

/// A place that does not answer any more is no reason not to look in the other one.
#[test]
fn an_input_that_moved_from_a_place_that_is_down_is_found() {
    let mut lab = lab();
    let recorded = lab.output();
    let faults = Faults::new();
    let stores = Stores::new().with_wrapper(faults.wrapper());
    faults.from(0, Fault::Before);
    let error = recorded_inputs(&recorded, &stores, &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("memory:in-in") && error.contains("could not be read"), "{error}");
    let bound = [("in".parse().unwrap(), lab.input_catalog("in"))].into_iter().collect();
    assert_eq!(recorded_inputs(&recorded, &stores, &bound).unwrap().len(), 1);
}

#[test]
fn inputs_as_of_earlier_runs_and_feedback_are_versions_as_any_other() {
    let shape = |inputs: &[&'static str], references: &[&'static str], output| Shape {
        salt: 5,
        inputs: inputs.to_vec(),
        references: references.to_vec(),
        output,
    };
    let then = Task::new("then", DirectMany(Gathers(shape(&["in/a", "before/a"], &[], "x")))).unwrap();
    let again = Task::new("again", DirectMany(Gathers(shape(&["in/a"], &["self/x", "self/y"], "y")))).unwrap();
    let tasks = vec![then.version("1"), again.version("1").keep_private("y").unwrap()];
    let mut lab = Lab::new(tasks).runs_ago("before", "in", 1).feedback("self");
    for number in 0..12u32 {
        lab.put("in/a", format!("0{}", number % 4), number.to_string());
        lab.run();
        assert!(lab.verify(&Default::default()).unwrap().is_clean(), "run {number}");
    }
    let last = lab.output().version().0;
    assert!(last > 8);
    for version in 1..=last {
        let statement = lab.rebuild(version).unwrap();
        assert_eq!(statement.verdict, Verdict::Equal, "version {version}: {statement:?}");
    }
}

/// Copies notes, fails on those that are `bad`, and reads whether a note with a certain number exists, which no setting records.
#[derive(Clone, Default)]
struct Picky(Arc<AtomicU64>);

impl HasLayers for Picky {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/notes"]).output_layers([Layer::generic("picky")?]))
    }
}

impl DirectCompiler for Picky {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("picky", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let text = inputs[0].text()?;
        ensure!(text != "bad", "a bad note");
        context.exists("in/notes", format!("{}", self.0.load(Ordering::Relaxed)))?;
        Ok(Some(text.into()))
    }
}

fn picky(picky: &Picky) -> Lab {
    let task = Task::new("picky", Direct(picky.clone())).unwrap().version("1");
    Lab::new(vec![task.on_error(OnError::QUARANTINE)])
}

#[test]
fn a_version_with_partitions_in_quarantine_is_refused() {
    let mut lab = picky(&Picky::default());
    lab.put("in/notes", "a", "good");
    lab.put("in/notes", "b", "bad");
    lab.run();
    let error = refused(&mut lab, 1);
    assert!(error.starts_with("1 partitions of version 1 of ") && error.contains("are in quarantine"), "{error}");
    assert!(error.ends_with("the first is picky: back-end of picky/b: a bad note"), "{error}");
    lab.put("in/notes", "b", "better");
    lab.run();
    assert_eq!(lab.rebuild(2).unwrap().verdict, Verdict::Equal);
}

#[test]
fn a_state_that_differs_is_reported_though_all_layers_are_equal() {
    let compiler = Picky::default();
    let mut lab = picky(&compiler);
    lab.put("in/notes", "a", "good");
    lab.run();
    compiler.0.store(1, Ordering::Relaxed);
    let statement = lab.rebuild(1).unwrap();
    assert!(statement.layers.iter().all(|layer| layer.equal) && !statement.state_equal, "{statement:?}");
    assert_eq!(statement.verdict, Verdict::Differs);
    assert!(statement.state_first.is_some(), "{statement:?}");
}
