//! Errors that are found before anything runs.

use deltic::prelude::*;
use deltic_testkit::Lab;
use expect_test::expect;

use crate::patterns::{Groups, Shape};

fn task(id: &str, inputs: &[&'static str], output: &'static str) -> Task {
    let shape = Shape { salt: 1, inputs: inputs.to_vec(), references: Vec::new(), output };
    Task::new(id, MapGroup(Groups(shape))).unwrap()
}

fn error(tasks: Vec<Task>) -> String {
    Lab::new(tasks).try_run().unwrap_err().to_string()
}

#[test]
fn two_producers_of_a_layer() {
    expect!["layer `x` is written by two tasks, `one` and `two`: a layer belongs to one task"]
        .assert_eq(&error(vec![task("one", &["in/a"], "x"), task("two", &["in/a"], "x")]));
}

#[test]
fn two_tasks_of_one_name() {
    expect!["two tasks are called `one`"]
        .assert_eq(&error(vec![task("one", &["in/a"], "x"), task("one", &["in/a"], "y")]));
}

#[test]
fn a_layer_that_nobody_writes() {
    expect!["task `one` reads layer `nowhere`, which no task writes: for a layer of an input catalog write `catalog/nowhere`"]
        .assert_eq(&error(vec![task("one", &["in/a", "nowhere"], "x")]));
}

#[test]
fn a_circle() {
    let tasks = vec![task("one", &["in/a", "y"], "x"), task("two", &["x"], "y"), task("three", &["x"], "z")];
    expect!["tasks read each other's output in a circle: `one`, `two`"].assert_eq(&error(tasks));
    expect!["tasks read each other's output in a circle: `one`"].assert_eq(&error(vec![task(
        "one",
        &["in/a", "x"],
        "x",
    )]));
}

#[test]
fn the_state_layer_is_reserved() {
    expect!["task `one` writes layer `state`, which is reserved for state: choose another name, or another state layer with `driver.state_layer`"]
        .assert_eq(&error(vec![task("one", &["in/a"], "state")]));
}

/// Else a run of other code would find its output up to date.
#[test]
fn a_task_whose_code_nothing_names() {
    let run = |tasks, code| {
        let mut lab = Lab::new(tasks);
        lab.code(code);
        lab.try_run().map(drop).map_err(|error| error.to_string())
    };
    let tasks = || vec![task("one", &["in/a"], "x").version("1"), task("two", &["in/a"], "y")];
    expect!["task `two` states no version, and the job names no code: state one with `Task::version`, or set `Options::code` to what names the binary"]
        .assert_eq(&run(tasks(), "").unwrap_err());
    let without = vec![task("one", &["in/a"], "x").version("")];
    assert!(run(without, "").unwrap_err().contains("task `one` states no version"));
    run(tasks(), "binary 1").unwrap();
    run(tasks().into_iter().map(|task| task.version("1")).collect(), "").unwrap();
}

#[test]
fn tasks_run_after_those_they_read() {
    let mut lab = Lab::new(vec![task("late", &["x"], "y"), task("early", &["in/a"], "x")]);
    for name in ["00", "01", "02"] {
        lab.put("in/a", name, name);
    }
    let order: Vec<String> = lab.run().report.tasks.iter().map(|task| task.task.to_string()).collect();
    assert_eq!(order, ["early", "late"]);
}
