//! Plans and sets that get other ids keep the state of their earlier ids. Names of sets and names of layers are separate.

use std::collections::BTreeMap;

use deltic::driver::{TaskReport, Verdict};
use deltic::prelude::*;
use deltic_testkit::{Lab, LabRun};
use expect_test::{Expect, expect};
use serde_json::json;

use crate::dataset::{numbers, show_as};
use crate::rebuild_settings::rebuild;

type Groups = DataSet<String, Vec<String>>;

fn by_number(plan: &DataPlan) -> Groups {
    numbers(plan, "in/a").group_by(|key, number| Ok([(number.to_string(), key.clone())]))
}

/// Groups in a private layer, and two layers made of these.
fn chain(plan: DataPlan, named: fn(Groups) -> Groups) -> Vec<Task> {
    let plan = plan.version("1");
    let groups = named(by_number(&plan));
    show_as("members", &groups);
    show_as("counts", &groups.map_values(|members| Ok(members.len())));
    plan.finish().unwrap().into_tasks()
}

fn run_once(tasks: Vec<Task>) -> Lab {
    let mut lab = Lab::new(tasks);
    for (name, number) in [("01", "1"), ("02", "2"), ("11", "1"), ("12", "4")] {
        lab.put("in/a", name, number);
    }
    lab.run();
    lab
}

fn modes(run: &LabRun) -> String {
    let mode = |task: &TaskReport| format!("{} {:?}\n", task.task, task.mode);
    run.report.tasks.iter().map(mode).collect()
}

/// Runs tasks over one more change: what ran and how, if nothing was left behind and all is as from scratch.
fn goes_on(lab: &mut Lab, tasks: Vec<Task>, expected: &Expect) {
    lab.set_tasks(tasks);
    lab.put("in/a", "12", "5");
    let run = lab.run();
    expected.assert_eq(&format!("{}{}", modes(&run), run.log()));
    assert_eq!(run.report.orphans, []);
    lab.assert_equals_scratch();
    assert_eq!(lab.run().report.version, None);
}

#[test]
fn a_plan_that_got_another_id_keeps_its_state() {
    let expected = expect![[r#"
        new.groups Incremental { changed: ["in/a"] }
        new.members Incremental { changed: ["old.groups"] }
        new.counts Incremental { changed: ["old.groups"] }
        back   new.counts   counts/5
        gone   new.counts   counts/4
        front  new.groups   in/a/12
        back   new.groups   old.groups/5
        gone   new.groups   old.groups/4
        back   new.members  members/5
        gone   new.members  members/4
    "#]];
    for plan in [DataPlan::new("new").previously("old"), DataPlan::new("new").previously("newer").previously("old")] {
        let mut lab = run_once(chain(DataPlan::new("old"), |groups| groups.id("groups")));
        goes_on(&mut lab, chain(plan, |groups| groups.id("groups")), &expected);
    }
}

/// Ids that were given up and taken again.
#[test]
fn a_plan_and_a_set_that_got_their_ids_back_keep_their_state() {
    let mut lab = run_once(chain(DataPlan::new("p"), |groups| groups.id("groups")));
    lab.set_tasks(chain(DataPlan::new("q").previously("p"), |groups| groups.id("lists").previously("groups")));
    lab.run().assert_ran(&[]);
    let back = DataPlan::new("p").previously("q").previously("p");
    lab.set_tasks(chain(back, |groups| groups.id("groups").previously("lists").previously("groups")));
    lab.run().assert_ran(&[]);
    lab.assert_equals_scratch();
}

fn unchanged(groups: Groups) -> Groups {
    groups
}

/// Two sets that differ only by a number, and two layers made from each.
fn alike(first: fn(Groups) -> Groups, second: fn(Groups) -> Groups) -> Vec<Task> {
    let plan = DataPlan::new("p").version("1");
    for (layer, shift, named) in [("one", 0, first), ("two", 1, second)] {
        let groups = numbers(&plan, "in/a").group_by(move |key, n| Ok([((n + shift).to_string(), key.clone())]));
        let groups = named(groups);
        show_as(layer, &groups);
        show_as(&format!("{layer}-counts"), &groups.map_values(|members| Ok(members.len())));
    }
    plan.finish().unwrap().into_tasks()
}

fn ids(tasks: &[Task]) -> [&str; 2] {
    [tasks[0].id().as_str(), tasks[3].id().as_str()]
}

/// Whichever of them gets an id, with any earlier id: each keeps its own state, and nothing runs.
#[test]
fn sets_that_differ_by_a_number_keep_their_state() {
    let before = alike(unchanged, unchanged);
    assert_eq!(ids(&before), ["p.group-by-43693cc4", "p.group-by-43693cc4-2"]);
    for (after, expected) in [
        (alike(|first| first.id("a").previously("group-by-43693cc4"), unchanged), ["p.a", "p.group-by-43693cc4-2"]),
        (alike(unchanged, |second| second.id("b").previously("group-by-43693cc4-2")), ["p.group-by-43693cc4", "p.b"]),
        (
            alike(
                |first| first.id("a").previously("group-by-43693cc4"),
                |second| second.id("b").previously("group-by-43693cc4-2"),
            ),
            ["p.a", "p.b"],
        ),
        (alike(|first| first.id("group-by-43693cc4"), unchanged), ["p.group-by-43693cc4", "p.group-by-43693cc4-2"]),
        (
            alike(unchanged, |second| second.previously("group-by-43693cc4-2")),
            ["p.group-by-43693cc4", "p.group-by-43693cc4-2"],
        ),
    ] {
        assert_eq!(ids(&after), expected);
        let mut lab = run_once(before.clone());
        lab.set_tasks(after);
        let run = lab.run();
        assert_eq!((run.log(), run.report.orphans.len()), (String::new(), 0), "{expected:?}");
        lab.put("in/a", "12", "5");
        let run = lab.run();
        assert!(!modes(&run).contains("Full"), "{expected:?}: {}", modes(&run));
        lab.assert_equals_scratch();
    }
}

/// The first set in the code has the first number, unless it states an earlier one.
#[test]
fn sets_that_change_places_keep_the_numbers_that_they_state() {
    let build = |is_turned: bool| {
        let plan = DataPlan::new("p").version("1");
        let mut sets = [("one", 0, "group-by-43693cc4"), ("two", 1, "group-by-43693cc4-2")];
        if is_turned {
            sets.reverse();
        }
        for (layer, shift, number) in sets {
            let groups = numbers(&plan, "in/a").group_by(move |key, n| Ok([((n + shift).to_string(), key.clone())]));
            let groups = if is_turned { groups.previously(number) } else { groups };
            show_as(layer, &groups);
            show_as(&format!("{layer}-counts"), &groups.map_values(|members| Ok(members.len())));
        }
        plan.finish().unwrap().into_tasks()
    };
    let mut lab = run_once(build(false));
    let turned = build(true);
    assert_eq!(ids(&turned), ["p.group-by-43693cc4-2", "p.group-by-43693cc4"]);
    lab.set_tasks(turned);
    lab.run().assert_ran(&[]);
    lab.assert_equals_scratch();
}

/// A further one that is alike does not take a number that another had, and takes nothing over.
#[test]
fn a_set_that_comes_to_be_alike_gets_a_number_that_none_had() {
    let mut lab = run_once(chain(DataPlan::new("p"), unchanged));
    let named = |groups: Groups| groups.id("a").previously("group-by-43693cc4");
    lab.set_tasks(chain(DataPlan::new("p"), named));
    lab.run().assert_ran(&[]);
    let plan = DataPlan::new("p").version("1");
    let other = numbers(&plan, "in/a").group_by(|key, number| Ok([((number + 1).to_string(), key.clone())]));
    show_as("more", &other);
    show_as("more-counts", &other.map_values(|members| Ok(members.len())));
    let groups = named(by_number(&plan));
    show_as("members", &groups);
    show_as("counts", &groups.map_values(|members| Ok(members.len())));
    lab.set_tasks(plan.finish().unwrap().into_tasks());
    let run = lab.run();
    expect![[r#"
        p.group-by-43693cc4-2 Full { reason: "it has not run before" }
        p.more Full { reason: "it has not run before" }
        p.more-counts Full { reason: "it has not run before" }
        p.a Full { reason: "its configuration changed" }
        p.members Skipped
        p.counts Skipped
    "#]]
    .assert_eq(&modes(&run));
    lab.assert_equals_scratch();
}

/// The set that gets the id need not be the one that had it: the statement of any set of a stage counts.
#[test]
fn what_a_stage_was_called_is_kept_behind_a_step_with_another_id() {
    let build = |shuffled: fn(Groups) -> Groups, named: fn(Groups) -> Groups| {
        let plan = DataPlan::new("p").version("1");
        let groups = named(shuffled(by_number(&plan)).map_values(Ok));
        show_as("members", &groups);
        show_as("counts", &groups.map_values(|members| Ok(members.len())));
        plan.finish().unwrap().into_tasks()
    };
    let mut lab = run_once(build(unchanged, |groups| groups.id("x")));
    lab.set_tasks(build(|groups| groups.previously("x"), |groups| groups.id("y")));
    lab.run().assert_ran(&[]);
    lab.set_tasks(build(|groups| groups.previously("x"), |groups| groups.id("z").previously("y")));
    let run = lab.run();
    assert_eq!((run.log(), run.report.orphans.len()), (String::new(), 0));
    lab.assert_equals_scratch();
}

/// Nothing is compiled, and what is published stays as it is.
#[test]
fn another_id_alone_runs_nothing() {
    let mut lab = run_once(chain(DataPlan::new("old"), |groups| groups.id("groups")));
    let before = lab.output();
    lab.set_tasks(chain(DataPlan::new("new").previously("old"), |groups| groups.id("lists").previously("groups")));
    let run = lab.run();
    run.assert_ran(&[]);
    assert!(run.report.version.is_some() && lab.output().digest() == before.digest());
    lab.assert_equals_scratch();
}

/// Once and once more, the plan and the set, from an id that was made up for it.
#[test]
fn sets_that_got_other_ids_keep_their_state() {
    let mut lab = run_once(chain(DataPlan::new("p"), |groups| groups));
    let named = chain(DataPlan::new("p"), |groups| groups.id("groups").previously("group-by-43693cc4"));
    goes_on(
        &mut lab,
        named,
        &expect![[r#"
        p.groups Incremental { changed: ["in/a"] }
        p.members Incremental { changed: ["p.group-by-43693cc4"] }
        p.counts Incremental { changed: ["p.group-by-43693cc4"] }
        back   p.counts   counts/5
        gone   p.counts   counts/4
        front  p.groups   in/a/12
        back   p.groups   p.group-by-43693cc4/5
        gone   p.groups   p.group-by-43693cc4/4
        back   p.members  members/5
        gone   p.members  members/4
    "#]],
    );
    let again = chain(DataPlan::new("q").previously("p"), |groups| {
        groups.id("lists").previously("groups").previously("group-by-43693cc4")
    });
    lab.put("in/a", "12", "4");
    lab.set_tasks(again.clone());
    lab.run();
    goes_on(
        &mut lab,
        again,
        &expect![[r#"
        q.lists Incremental { changed: ["in/a"] }
        q.members Incremental { changed: ["p.group-by-43693cc4"] }
        q.counts Incremental { changed: ["p.group-by-43693cc4"] }
        back   q.counts   counts/5
        gone   q.counts   counts/4
        front  q.lists    in/a/12
        back   q.lists    p.group-by-43693cc4/5
        gone   q.lists    p.group-by-43693cc4/4
        back   q.members  members/5
        gone   q.members  members/4
    "#]],
    );
    let without = chain(DataPlan::new("q").previously("p"), |groups| {
        groups.previously("lists").previously("groups").previously("group-by-43693cc4")
    });
    lab.set_tasks(without);
    lab.run().assert_ran(&[]);
}

/// Without a word about it the groups and all that is made of them are compiled again: what the others show matters.
#[test]
fn another_id_without_an_earlier_one_compiles_everything() {
    let mut lab = run_once(chain(DataPlan::new("old"), |groups| groups.id("groups")));
    lab.set_tasks(chain(DataPlan::new("new"), |groups| groups.id("groups")));
    lab.take_over(true);
    expect![[r#"
        new.groups Full { reason: "it has not run before" }
        new.members Full { reason: "it has not run before" }
        new.counts Full { reason: "it has not run before" }
    "#]]
    .assert_eq(&modes(&lab.run()));
}

/// Versions from before are made under the ids and with the settings of then.
#[test]
fn a_version_from_before_is_rebuilt() {
    let register = |setup: &mut Setup, id: &str, earlier: Option<&str>| -> Result<()> {
        let (plan, settings): (_, BTreeMap<String, u64>) = DataPlan::with_config(setup, id)?;
        let plan = earlier.into_iter().fold(plan.version("1"), DataPlan::previously);
        let least = settings.get("least").copied().unwrap_or_default();
        let groups = by_number(&plan).id("groups");
        show_as("members", &groups);
        show_as("counts", &groups.filter(move |_, members| Ok(members.len() as u64 >= least)));
        // Another plan with settings of the same form, so that these can not be guessed by their form.
        let (other, _): (_, BTreeMap<String, u64>) = DataPlan::with_config(setup, "other")?;
        let other = other.version("1");
        show_as("others", &numbers(&other, "in/a"));
        plan.register(setup)?;
        other.register(setup)
    };
    let sections = |id: &str, least: u64| {
        BTreeMap::from([(id.to_owned(), json!({ "least": least })), ("other".to_owned(), json!({ "least": 7 }))])
    };
    let tasks = |id: &str, earlier, least| {
        let mut setup = Setup::new(sections(id, least));
        register(&mut setup, id, earlier).unwrap();
        setup.finish().unwrap()
    };
    let mut lab = run_once(tasks("old", None, 2));
    lab.set_tasks(tasks("new", Some("old"), 2));
    lab.put("in/a", "12", "5");
    let run = lab.run();
    assert!(
        !run.report.tasks.iter().any(|task| modes(&run).contains(&format!("{} Full", task.task))),
        "{}",
        modes(&run)
    );
    for (version, id) in [(1, "old.groups"), (2, "new.groups")] {
        let today = sections("new", 99);
        let statement = rebuild(&mut lab, version, &today, &mut |setup| register(setup, "new", Some("old")));
        assert_eq!(statement.verdict, Verdict::Equal, "{statement:#?}");
        assert!(statement.tasks.iter().any(|task| task.task.as_str() == id), "{statement:#?}");
    }
}

/// A set and the layer that is published of it, or of another, may be called the same: also as another rename left them.
#[test]
fn a_set_and_a_layer_may_have_one_name() {
    let build = |plan: DataPlan| {
        let plan = plan.version("1");
        let groups = by_number(&plan).id("out");
        show_as("out", &groups.map_values(|members| Ok(members.len())));
        show_as("p.kept", &groups);
        show_as("also", &numbers(&plan, "in/a").persist().id("kept"));
        plan.finish().unwrap()
    };
    let stages = build(DataPlan::new("p"));
    expect![[r#"
        p.out.set (map-group)
          reads   in/a
          steps   map-values, group-by as out
          writes  p.out.set (private)
        p.out (direct)
          reads   p.out.set
          steps   map-values
          writes  out
        p.p.kept (direct)
          reads   p.out.set
          writes  p.kept
        p.kept.set (direct)
          reads   in/a
          steps   map-values, persist as kept
          writes  p.kept.set (private)
        p.also (direct)
          reads   p.kept.set
          writes  also
    "#]]
    .assert_eq(&stages.to_string());
    let mut lab = run_once(stages.into_tasks());
    let mut layers: Vec<String> = lab.output().layers().map(|layer| layer.id.to_string()).collect();
    layers.sort();
    assert_eq!(layers, ["also", "out", "p.kept"]);
    let expected = expect![[r#"
        q.out.set Incremental { changed: ["in/a"] }
        q.out Incremental { changed: ["p.out.set"] }
        q.p.kept Incremental { changed: ["p.out.set"] }
        q.kept.set Incremental { changed: ["in/a"] }
        q.also Incremental { changed: ["p.kept.set"] }
        back   q.also      also/12
        back   q.kept.set  p.kept.set/12
        back   q.out       out/5
        gone   q.out       out/4
        front  q.out.set   in/a/12
        back   q.out.set   p.out.set/5
        gone   q.out.set   p.out.set/4
        back   q.p.kept    p.kept/5
        gone   q.p.kept    p.kept/4
    "#]];
    goes_on(&mut lab, build(DataPlan::new("q").previously("p")).into_tasks(), &expected);
}

/// The task that kept the set makes the layer from now on.
#[test]
fn a_layer_takes_the_name_of_a_set_that_has_run() {
    let build = |with_layer: bool| {
        let plan = DataPlan::new("p").version("1");
        let groups = by_number(&plan).id("out");
        show_as("counts", &groups.map_values(|members| Ok(members.len())));
        show_as("members", &groups);
        if with_layer {
            show_as("out", &groups.map_values(|members| Ok(members.len())));
        }
        plan.finish().unwrap().into_tasks()
    };
    let mut lab = run_once(build(false));
    lab.set_tasks(build(true));
    expect![[r#"
        p.out.set Full { reason: "it has not run before" }
        p.counts Full { reason: "its input layer settings and input layers changed" }
        p.members Full { reason: "its input layer settings and input layers changed" }
        p.out Full { reason: "its configuration and input layer settings and input layers and output layers and pattern and private layers changed" }
    "#]].assert_eq(&modes(&lab.run()));
    assert_eq!(lab.text("out", "1"), lab.text("counts", "1"));
    lab.assert_equals_scratch();
}

#[test]
fn what_can_not_have_been_called_so() {
    let refused = |plan: &DataPlan| format!("{:#}", plan.finish().unwrap_err());
    let plan = DataPlan::new("p").previously("two words");
    show_as("one", &numbers(&plan, "in/a").persist().id("a").previously("b"));
    show_as("two", &numbers(&plan, "in/b").persist().id("b").previously("c d"));
    expect!["plan `p`: its earlier id: `two words` is not a task id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit; the earlier id of `b` (persist of in/b): `c d` is not a task id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit; two data sets have, or had, the id `b`: `a` (persist of in/a) and `b` (persist of in/b)"].assert_eq(&refused(&plan));
    // A set that fuses into its user, one whose stage is called after a layer, and one behind which another is kept.
    let plan = DataPlan::new("p");
    show_as("one", &numbers(&plan, "in/a").id("a").previously("b"));
    show_as("two", &by_number(&plan).previously("c"));
    let joined = numbers(&plan, "in/a").join(&numbers(&plan, "in/b")).previously("d").previously("e");
    show_as("three", &joined.group(|key| key[..1].to_owned()).persist().previously("f"));
    expect!["plan `p`: `a` (map-values of in/a) was previously `b`, but no stage has its name: call `previously` on the set that is kept in a private layer, or remove the call; group-by of in/a was previously `c`, but no stage has its name: call `previously` on the set that is kept in a private layer, or remove the call; join of in/a, in/b was previously `d`, but no stage has its name: call `previously` on the set that is kept in a private layer, or remove the call"].assert_eq(&refused(&plan));
}
