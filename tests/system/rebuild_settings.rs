//! A rebuild finds the settings of tasks wherever these had them: in a section, in that of a plan, in code, in a section without a
//! task; under another id, with filters, and beside layers that no task writes.

use std::collections::BTreeMap;

use deltic::compiler::{RecordedTask, recordable, register_recorded};
use deltic::core::Version;
use deltic::driver::{Statement, Verdict, recorded_tasks};
use deltic::prelude::*;
use deltic_testkit::{Lab, RandomHistory};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dataset::{numbers, show_as};
use crate::patterns::{Pairs, Shape, TILES, number, salted_tasks};
use crate::quarantine::apply;

type Sections = BTreeMap<String, Value>;

/// The settings of a task, of many kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    level: u64,
    share: f64,
    names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    none: Option<u32>,
    by_name: BTreeMap<String, f32>,
}

impl Default for Settings {
    fn default() -> Settings {
        let by_name = [("a".to_owned(), 0.1), ("b.c".to_owned(), -2.5e-7)].into();
        Settings { level: 8, share: 1.0 / 3.0, names: Vec::new(), limit: None, none: None, by_name }
    }
}

/// Settings of several tasks, called after none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Shared {
    least: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Switch {
    on: bool,
}

/// How a task of some number gets its settings.
fn way(seed: u64, number_of: &str) -> u64 {
    number(&[&seed, &"way", &number_of]) % 5
}

/// A binary: registers tasks of every pattern, with settings that they get in every way.
fn register(setup: &mut Setup, seed: u64, is_renamed: bool) -> Result<()> {
    setup.filter("even", |key| key.name.to_string().bytes().map(u64::from).sum::<u64>().is_multiple_of(2));
    let shared: Shared = setup.config("thresholds")?;
    let numbers_of = ["1", "2", "3", "4", "5", "6", "7", "9", "8"];
    // Those that are renamed are called after their number.
    let id_of = |number_of: &str, task: &Task| match is_renamed && way(seed, number_of) % 2 == 1 {
        true => format!("task-{number_of}"),
        false => task.id().to_string(),
    };
    let ids: BTreeMap<&str, String> = numbers_of
        .iter()
        .zip(salted_tasks(seed, |_| 0))
        .map(|(number_of, task)| (*number_of, id_of(number_of, &task)))
        .collect();
    let mut settings = BTreeMap::new();
    for number_of in numbers_of {
        let of_code = Settings { level: number(&[&seed, &number_of]) % 5, ..Settings::default() };
        let known = match way(seed, number_of) {
            0 | 1 => Some(recordable(&setup.config::<Settings>(&ids[number_of])?)?),
            2 => Some(recordable(&of_code)?),
            3 => Some(recordable(&shared)?),
            _ => None,
        };
        settings.insert(number_of, known);
    }
    let salt = |number_of: &str| settings[number_of].as_ref().map_or(0, |known| number(&[&known.to_string()]));
    for (number_of, task) in numbers_of.into_iter().zip(salted_tasks(seed, salt)) {
        let mut new = Task::new(&ids[number_of], task.pattern().clone())?.version("1");
        new = task.memo_limit().into_iter().fold(new, Task::memo);
        if new.id() != task.id() {
            new = new.previously("never")?.previously(task.id().as_str())?;
        }
        if let (2 | 3, Some(known)) = (way(seed, number_of), &settings[number_of]) {
            new = new.configured(known.clone());
        }
        setup.add(new)?;
    }
    let (plan, Shared { least }): (_, Shared) = DataPlan::with_config(setup, "plan")?;
    let plan = plan.version("1");
    let some = numbers(&plan, "in/a")
        .filter(move |_, number| Ok(*number >= least))
        .group_by(|key, number| Ok([(number.to_string(), key.clone())]));
    show_as("plan-groups", &some);
    show_as("plan.counts", &some.map_values(|members| Ok(members.len())));
    plan.register(setup)?;
    let plan = DataPlan::new("plan.b").version("1").configured(&Settings { level: least, ..Settings::default() });
    show_as("plan-b", &numbers(&plan, "in/a"));
    plan.register(setup)?;
    Leveling::new("density", [TILES], Grid::Here, 0..=3, 3 + number(&[&seed]) % 5).version("1").register(setup)?;
    if setup.config::<Switch>("sometimes")?.on {
        let shape = Shape { salt: 7, inputs: vec!["in/a"], references: Vec::new(), output: "sometimes" };
        setup.add(Task::new("sometimes", Direct(Pairs(shape)))?.version("1"))?;
    }
    Ok(())
}

/// Sections and filters of some day.
fn settings_of(seed: u64, day: usize) -> (Sections, Sections) {
    let level = |of: &str| number(&[&seed, &day, &of]) % 4;
    let mut sections: Sections = ["plan", "thresholds"].map(|id| (id.to_owned(), json!({ "least": level(id) }))).into();
    sections.insert("sometimes".to_owned(), json!({ "on": level("sometimes") < 2 }));
    let own = [("1", "one"), ("2", "two"), ("3", "three"), ("4", "four"), ("5", "five"), ("6", "six"), ("9", "nine")];
    for (_, id) in own.into_iter().filter(|(number_of, _)| way(seed, number_of) < 2) {
        let share = f64::from_bits(number(&[&seed, &day, &id, &"share"]) >> 2);
        let section = match level(id) {
            0 => json!({}),
            1 => json!({ "level": day, "limit": 3, "share": share }),
            other => json!({ "names": [id, "ä\n\u{1b}"], "by_name": { "z": other }, "none": 4 }),
        };
        sections.insert(id.to_owned(), section);
    }
    let mut filters = Sections::new();
    if level("filter") == 0 {
        filters
            .insert("one".to_owned(), json!({ "any": [{ "custom": "even" }, { "allow": { "partitions": ["00"] } }] }));
    }
    (sections, filters)
}

pub(crate) fn rebuild(
    lab: &mut Lab,
    version: u64,
    otherwise: &Sections,
    code: &mut dyn FnMut(&mut Setup) -> Result<()>,
) -> Statement {
    let recorded = recorded_tasks(&lab.output_catalog().unwrap().snapshot(Version(version)).unwrap());
    lab.set_tasks(register_recorded(&recorded, otherwise, code).unwrap());
    lab.rebuild(version).unwrap()
}

/// A history of inputs and of settings, after which each version is rebuilt by a binary in which some tasks are called
/// otherwise. Returns in how many versions a layer was carried over.
fn check(seed: u64) -> usize {
    let layers =
        vec![("in/a".to_owned(), RandomHistory::generic_names(4)), (TILES.to_owned(), RandomHistory::tile_names(3))];
    let mut lab: Option<Lab> = None;
    for (day, step) in (RandomHistory { layers, steps: 6, contents: 5 }).make(seed).iter().enumerate() {
        let (sections, filters) = settings_of(seed, day);
        let mut setup = Setup::new(sections).with_filters(filters);
        register(&mut setup, seed, false).unwrap();
        let tasks = setup.finish().unwrap();
        let lab = lab.get_or_insert_with(|| Lab::new(tasks.clone()).tiles(TILES, Grid::Here));
        lab.set_tasks(tasks);
        apply(lab, step);
        lab.run();
    }
    let (mut lab, mut carried) = (lab.unwrap(), 0);
    // Today all is configured otherwise.
    let (mut today, _) = settings_of(seed, 99);
    today.insert("sometimes".to_owned(), json!({ "on": false }));
    today.retain(|id, _| ["plan", "thresholds", "sometimes"].contains(&id.as_str()));
    for is_renamed in [false, true] {
        for version in 1..=lab.output().version().0 {
            let statement = rebuild(&mut lab, version, &today, &mut |setup| register(setup, seed, is_renamed));
            assert_eq!(statement.verdict, Verdict::Equal, "seed {seed}, version {version}: {statement:#?}");
            assert_eq!(statement.recorded.digest, statement.rebuilt.digest, "seed {seed}, version {version}");
            assert!(statement.layers.len() > 10 && statement.layers.iter().all(|layer| layer.equal));
            carried += statement.layers.iter().filter(|layer| layer.carried_from.is_some()).count();
        }
    }
    carried
}

#[test]
fn any_version_of_any_history_comes_out_as_it_was() {
    let carried: usize = (0..6).map(check).sum();
    assert!(carried > 0, "no layer was carried over");
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-tests --test system -- --ignored rebuild_settings::` looks longer.
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn many_histories_of_settings() {
    let carried: usize = crate::seeds::seeds("0..100").map(check).sum();
    eprintln!("{carried} times a layer was carried over");
}

fn foreign(id: &str) -> Task {
    let shape = Shape { salt: 1, inputs: vec!["in/a"], references: Vec::new(), output: "foreign" };
    Task::new(id, Direct(Pairs(shape))).unwrap().version("1")
}

fn kept(id: &str) -> Task {
    let shape = Shape { salt: 2, inputs: vec!["in/a"], references: Vec::new(), output: "kept" };
    Task::new(id, Direct(Pairs(shape))).unwrap().version("1")
}

/// A layer is accounted for by the last version whose task made it as it is, for as long as that one is there.
#[test]
fn a_layer_without_its_task_is_carried_from_the_version_that_made_it() {
    let mut lab = Lab::new(vec![kept("kept"), foreign("foreign")]);
    for name in ["00", "01", "02", "03"] {
        lab.put("in/a", name, "1");
        lab.run();
        if name == "01" {
            lab.set_tasks(vec![kept("kept")]);
        }
    }
    let statement = lab.rebuild(4).unwrap();
    assert_eq!(statement.verdict, Verdict::Equal, "{statement:#?}");
    let layer = |name: &str| statement.layers.iter().find(|layer| layer.name == name).unwrap();
    assert_eq!((layer("foreign").is_covered, layer("foreign").carried_from), (false, Some(Version(2))));
    assert_eq!((layer("kept").is_covered, layer("kept").carried_from), (true, None));
    assert_eq!(statement.recorded.digest, statement.rebuilt.digest);
    // When retention has removed that version, nobody knows any more.
    let catalog = lab.output_catalog().unwrap().clone();
    let retention = deltic::store::Retention { last: Some(2), ..Default::default() };
    catalog.retain(&retention, deltic::core::RunId(77), deltic::core::Timestamp(0), false).unwrap();
    lab.forget_caches();
    let statement = lab.rebuild(4).unwrap();
    assert_eq!(statement.verdict, Verdict::NotCovered, "{statement:#?}");
}

/// A version from before a task got another id is made under the id that it had.
#[test]
fn a_task_is_made_under_the_id_that_it_had() {
    let mut lab = Lab::new(vec![kept("old")]);
    lab.put("in/a", "00", "1");
    lab.run();
    lab.set_tasks(vec![kept("new").previously("older").unwrap().previously("old").unwrap()]);
    lab.put("in/a", "01", "1");
    lab.run();
    let ids = |statement: &Statement| statement.tasks.iter().map(|task| task.task.to_string()).collect::<Vec<_>>();
    for (version, id) in [(1, "old"), (2, "new")] {
        let statement = lab.rebuild(version).unwrap();
        assert_eq!((statement.verdict, ids(&statement)), (Verdict::Equal, vec![id.to_owned()]), "{statement:#?}");
    }
    // Another task that is called so now is not it.
    lab.set_tasks(vec![kept("new").previously("old").unwrap(), foreign("old")]);
    assert!(lab.rebuild(1).unwrap_err().to_string().contains("was made by other tasks than these: task `old`: "));
}

fn recorded(id: &str, configuration: Value) -> RecordedTask {
    RecordedTask { id: id.to_owned(), configuration, filter: None }
}

/// Where a section comes from, in the order that is promised.
#[test]
fn a_section_is_found_by_its_task_its_plan_and_its_shape() {
    let found = |tasks: &[RecordedTask], name: &str| {
        let (mut read, mut calls) = (Shared::default(), 0);
        let today = [(name.to_owned(), json!({ "least": 99 }))].into();
        register_recorded(tasks, &today, &mut |setup| {
            calls += 1;
            read = setup.config(name)?;
            setup.add(kept("kept").previously("then")?)
        })
        .unwrap();
        (read.least, calls)
    };
    let least = |least: u64| json!({ "least": least });
    let of_plan = |plan: Value| json!({ "steps": ["x"], "plan": plan });
    assert_eq!(found(&[], "s"), (99, 1));
    assert_eq!(found(&[recorded("s", least(1)), recorded("t", least(2))], "s"), (1, 1));
    assert_eq!(found(&[recorded("s", json!({})), recorded("t", least(2))], "s"), (0, 1));
    assert_eq!(found(&[recorded("s.out", of_plan(least(3))), recorded("t", least(2))], "s"), (3, 1));
    let two_plans = [recorded("s.a.out", of_plan(json!({ "other": 1 }))), recorded("s.out", of_plan(least(3)))];
    assert_eq!(found(&two_plans, "s"), (3, 1));
    assert_eq!(found(&[recorded("then", least(4)), recorded("t", least(2))], "kept"), (4, 2));
    assert_eq!(found(&[recorded("t", least(5)), recorded("u", json!({ "least": "x" }))], "s"), (5, 2));
    assert_eq!(found(&[recorded("t", least(5)), recorded("u", of_plan(least(5)))], "s"), (5, 2));
    // Which of them is anybody's guess, and a wrong one is no better than that of the day.
    assert_eq!(found(&[recorded("t", least(5)), recorded("u", least(6))], "s"), (99, 2));
}

/// A filter in code is recorded by its name, and is still there.
#[test]
fn a_filter_in_code_needs_no_name_in_the_configuration() {
    let odd = || kept("kept").filtered(deltic::compiler::Filter::custom("odd", |key| key.name.to_string() == "01"));
    let mut lab = Lab::new(vec![odd().unwrap()]);
    for name in ["00", "01"] {
        lab.put("in/a", name, "1");
        lab.run();
    }
    let statement = rebuild(&mut lab, 2, &Sections::new(), &mut |setup| setup.add(odd()?));
    assert_eq!(statement.verdict, Verdict::Equal, "{statement:#?}");
}
