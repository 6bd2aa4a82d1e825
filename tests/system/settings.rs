//! Settings that can not be recorded are refused during the set-up, with their key; all others are read back from a record
//! unchanged.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;

use deltic::compiler::recordable;
use deltic::driver::{Mode, Verdict};
use deltic::prelude::*;
use deltic_testkit::Lab;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dataset::{numbers, show};
use crate::patterns::{Pairs, Shape};

fn task(id: &str) -> Task {
    let shape = Shape { salt: 1, inputs: vec!["in/a"], references: Vec::new(), output: "out" };
    Task::new(id, Direct(Pairs(shape))).unwrap().version("1")
}

/// The tasks of a set-up that reads one section.
fn set_up<T: Serialize + DeserializeOwned>(section: Value) -> Result<Vec<Task>> {
    let mut setup = Setup::new([("t".to_owned(), section)].into());
    let _: T = setup.config("t")?;
    setup.add(task("t"))?;
    setup.finish()
}

fn refused<T: Serialize + DeserializeOwned + Debug>(section: Value) -> String {
    set_up::<T>(section).unwrap_err().to_string()
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct Limits {
    limit: f64,
    inner: Inner,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Inner {
    most: Option<f32>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { limit: 1.0, inner: Inner { most: Some(f32::INFINITY) } }
    }
}

#[test]
fn a_default_that_is_not_finite_is_refused_with_its_key() {
    let error = refused::<Limits>(json!({}));
    assert!(error.starts_with("compiler.t.inner.most: the number inf can not be recorded: "), "{error}");
    assert!(set_up::<Limits>(json!({ "inner": { "most": 2.5 } })).is_ok());
    // So is that of a plan, and of whatever else is given to a task.
    let plan = DataPlan::new("p").configured(&Limits::default());
    show(&numbers(&plan, "in/a"));
    let error = plan.finish().unwrap_err().to_string();
    assert!(error.starts_with("plan `p`: its configuration: `inner.most`: the number inf "), "{error}");
    let error = recordable(&Limits::default()).unwrap_err().to_string();
    assert!(error.starts_with("`inner.most`: the number inf "), "{error}");
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Unwritten {
    level: u8,
    #[serde(skip_serializing)]
    secret: u8,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Renamed {
    #[serde(rename(serialize = "out", deserialize = "in"))]
    level: u8,
}

#[derive(Debug, Serialize, Deserialize)]
struct Doubled {
    #[serde(default, serialize_with = "twice")]
    level: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn twice<S: serde::Serializer>(level: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(level * 2)
}

#[derive(Debug, Serialize, Deserialize)]
struct AsText {
    #[serde(default, serialize_with = "text")]
    level: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn text<S: serde::Serializer>(level: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(level)
}

#[derive(Debug, Serialize, Deserialize)]
struct Names {
    names: HashSet<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Policy {
    on_error: String,
}

#[test]
fn what_does_not_come_back_from_its_record_is_refused_with_its_key() {
    let unseen =
        "compiler.t.secret: it is read but not recorded, so that a change of it would not be noticed: serialise it too";
    assert_eq!(refused::<Unwritten>(json!({ "secret": 3 })), unseen);
    assert_eq!(refused::<Unwritten>(json!({ "secret": 0, "level": 1 })), unseen);
    let error = refused::<Renamed>(json!({ "in": 3 }));
    assert_eq!(error, "compiler.t.out: it is recorded under this key, but it is not read under this key");
    let error = refused::<Doubled>(json!({ "level": 3 }));
    assert_eq!(error, "compiler.t.level: it is recorded as 6, but after reading the record it would be recorded as 12");
    let error = refused::<AsText>(json!({ "level": 3 }));
    assert!(error.starts_with("compiler.t.level: its record can not be read back: invalid type: "), "{error}");
    let error = refused::<Names>(json!({ "names": ["a", "b", "c", "d", "e", "f", "g", "h"] }));
    assert!(error.starts_with("compiler.t.names.") && error.contains(": it is recorded as "), "{error}");
    let error = refused::<Policy>(json!({}));
    assert!(error.starts_with("compiler.t: `on_error` sets the policy of a task, and no compiler gets it"), "{error}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Odd {
    #[serde(alias = "old")]
    new: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    list: Vec<String>,
    wide: u64,
    single: f32,
    long: f64,
    minus: f64,
    by_number: BTreeMap<i32, Option<bool>>,
    bytes: Vec<u8>,
    either: Either,
    pair: (u8, String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u64),
    Text(String),
}

impl Default for Odd {
    fn default() -> Odd {
        Odd {
            new: 1,
            list: Vec::new(),
            wide: u64::MAX,
            single: 0.1,
            // Digits that a reader of JSON easily gets wrong.
            long: 1.797_693_134_862_315_5e-93,
            minus: -0.0,
            by_number: [(-1, None), (10, Some(true)), (9, Some(false))].into(),
            bytes: vec![0, 255],
            either: Either::Text("x".to_owned()),
            pair: (2, "b".to_owned()),
        }
    }
}

#[test]
fn what_is_written_in_another_way_passes() {
    for section in [json!({}), json!({ "old": 1, "list": [] }), json!({ "old": 7, "list": ["a"], "either": 3 })] {
        let tasks = set_up::<Odd>(section.clone()).unwrap();
        let again = set_up::<Odd>(tasks[0].configuration().clone()).unwrap();
        assert_eq!(again[0].configuration(), tasks[0].configuration(), "{section}");
    }
}

/// The record of a version is a text: a run that finds nothing new commits nothing, and the version can be rebuilt.
#[test]
fn a_recorded_setting_is_the_same_number() {
    for bits in (0..200u64).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2) {
        let odd = Odd { long: f64::from_bits(bits), ..Odd::default() };
        if !odd.long.is_finite() {
            continue;
        }
        let mut lab = Lab::new(vec![task("t").configured(recordable(&odd).unwrap())]);
        lab.put("in/a", "00", "1");
        lab.run();
        lab.forget_caches();
        let run = lab.run();
        assert_eq!((run.report.version, &run.report.tasks[0].mode), (None, &Mode::Skipped), "{:e}", odd.long);
        let recorded = lab.output().record().tasks[0].configuration.clone();
        assert_eq!(serde_json::from_value::<Odd>(recorded.clone()).unwrap(), odd);
        lab.set_tasks(vec![task("t").configured(recorded)]);
        assert_eq!(lab.rebuild(1).unwrap().verdict, Verdict::Equal, "{:e}", odd.long);
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Level {
    level: u8,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Other {
    level: u8,
    other: u8,
}

/// However the calls are ordered, what a task was made with is in its fingerprint, or is refused.
#[test]
fn no_setting_is_dropped_on_its_way_to_the_task() {
    let sections = || [("t".to_owned(), json!({ "level": 3 }))].into();
    let mut setup = Setup::new(sections());
    setup.add(task("t")).unwrap();
    let _: Level = setup.config("t").unwrap();
    assert_eq!(setup.finish().unwrap()[0].configuration(), &json!({ "level": 3 }));

    let mut setup = Setup::new(sections());
    let _: Level = setup.config("t").unwrap();
    setup.add(task("t").configured(json!({ "threshold": 5 }))).unwrap();
    let error = setup.finish().unwrap_err().to_string();
    assert_eq!(error, "compiler.t: the task was given another configuration besides this section: put both into one");

    let mut setup = Setup::new(sections());
    let _: Level = setup.config("t").unwrap();
    let _: Level = setup.config("t").unwrap();
    let error = setup.config::<Other>("t").unwrap_err().to_string();
    assert_eq!(error, "compiler.t: it is read twice, with types whose settings differ");
}
