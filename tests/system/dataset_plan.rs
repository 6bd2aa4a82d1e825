//! Plans of data sets: what stages they become, which ids these have, and what is refused.

use deltic::prelude::*;
use deltic_testkit::{Lab, LabRun};
use expect_test::expect;

use crate::dataset::{numbers, prefixed, show, show_as, tasks, tiles};

fn listing(build: fn(&DataPlan) -> Result<()>) -> String {
    let plan = DataPlan::new("p");
    build(&plan).unwrap();
    plan.finish().unwrap().to_string()
}

fn refused(build: fn(&DataPlan) -> Result<()>) -> String {
    let plan = DataPlan::new("p");
    build(&plan).unwrap();
    format!("{:#}", plan.finish().unwrap_err())
}

fn first(key: &String) -> String {
    key[..1].to_owned()
}

fn by_number(plan: &DataPlan, layer: &str) -> DataSet<String, Vec<String>> {
    numbers(plan, layer).group_by(|key, number| Ok([(number.to_string(), key.clone())]))
}

#[test]
fn narrow_steps_joins_and_one_shuffle_are_one_stage() {
    expect![[r#"
        p.out (direct-many)
          reads   in/a, in/b
          looks   in/c
          steps   map-values, filter-by-key, map-values, join, resolve-same (map-values, map-keys as others), group, map-values, filter
          writes  out
    "#]].assert_eq(&listing(|plan| {
        let a = numbers(plan, "in/a").filter_by_key(|key| key.len() == 2);
        let other = prefixed(&numbers(plan, "in/c"), "x").id("others");
        let joined = a.join(&numbers(plan, "in/b")).resolve_same(&other, |_, pair, _| Ok(pair));
        show(&joined.group(first).map_values(|members| Ok(members.len())).filter(|_, count| Ok(*count > 1)));
        Ok(())
    }));
}

#[test]
fn a_second_shuffle_a_look_behind_one_and_several_users_end_a_stage() {
    expect![[r#"
        p.groups (map-group)
          reads   in/a
          steps   map-values, group-by as groups
          writes  p.groups (private)
        p.out (map-group)
          reads   p.groups
          steps   map-values, reduce
          writes  out
        p.also (direct)
          reads   p.groups
          steps   filter
          writes  also
        p.group-29d6ec43 (direct-many)
          reads   in/b
          steps   map-values, group
          writes  p.group-29d6ec43 (private)
        p.looked (direct)
          reads   in/b
          looks   p.group-29d6ec43
          steps   map-values, look-up
          writes  looked
    "#]]
    .assert_eq(&listing(|plan| {
        let groups = by_number(plan, "in/a").id("groups");
        let lengths = groups.map_values(|members| Ok(members.len() as u64));
        show(&lengths.reduce(|key, length| Ok([(first(key), length)]), |a, b| Ok(a + b)));
        show_as("also", &groups.filter(|_, members| Ok(members.len() > 1)));
        let sums = numbers(plan, "in/b").group(first);
        show_as("looked", &numbers(plan, "in/b").look_up(&sums, |key, _, sums| sums.contains(&first(key))));
        Ok(())
    }));
}

#[test]
fn equal_sets_are_numbered_unless_they_have_ids() {
    let ids = |build| {
        let plan = tasks(build);
        plan.iter().map(|task| task.id().to_string()).filter(|id| id.contains("group-by")).collect::<Vec<_>>()
    };
    let two = ids(|plan| {
        show(&by_number(plan, "in/a").join(&by_number(plan, "in/a")));
        Ok(())
    });
    assert_eq!(two.len(), 2);
    assert_eq!(two[1], format!("{}-2", two[0]));
    let one = ids(|plan| {
        show(&by_number(plan, "in/a").id("named").join(&by_number(plan, "in/a")));
        Ok(())
    });
    assert_eq!(one, two[..1]);
}

#[test]
fn mistakes_are_reported_together_when_the_plan_is_finished() {
    expect!["plan `p`: `a/b` is not a layer id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit; the id of a data set: `two words` is not a task id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit; layer `in/a` is listed twice; nothing uses `b` (map-values of in/b): publish it or remove it; two data sets have the id `b`; nothing uses layer of in/a: publish it or remove it"].assert_eq(&refused(|plan| {
        let a = plan.layer::<String>("in/a/b");
        let b = numbers(plan, "in/b").id("b");
        show(&a.map_values(|partition| Ok(partition.text()?.len())).id("two words"));
        drop(b.map_values(|number| Ok(number + 1)).id("b"));
        drop(plan.layers(["in/a", "in/a"]));
        Ok(())
    }));
}

#[test]
fn what_can_not_be_a_plan_is_refused() {
    expect!["plan `p`: it publishes nothing"].assert_eq(&refused(|_| Ok(())));
    expect!["plan `p`: two stages are called `out`, after a layer or the id of a data set: rename one of them"]
        .assert_eq(&refused(|plan| {
            show(&numbers(plan, "in/a"));
            show(&numbers(plan, "in/b"));
            Ok(())
        }));
    expect!["plan `p`: a data set of another plan is used"].assert_eq(&refused(|plan| {
        let other = DataPlan::new("q");
        show(&numbers(plan, "in/a").join(&numbers(&other, "in/a")));
        Ok(())
    }));
    expect!["plan `p`: data set `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`: `p.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is not a layer id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit"].assert_eq(&refused(|plan| {
        show(&numbers(plan, "in/a").persist().id(&"x".repeat(49)));
        Ok(())
    }));
    expect!["plan `p`: layer `out`: two parts have level 1; layer `out`: a part has level 3, the layer has not"]
        .assert_eq(&refused(|plan| {
            let part = |levels: &[u8]| tiles(plan).map_values(|n| Ok(n.to_string())).publish_part(levels.to_vec());
            plan.publish_parts(Layer::tiles("out", Grid::Here, [1, 2])?, [part(&[1]), part(&[1, 2, 3])]);
            Ok(())
        }));
}

#[test]
fn a_layer_that_nobody_writes_is_refused_before_the_run() {
    let mut lab = Lab::new(tasks(|plan| {
        show(&numbers(plan, "nowhere"));
        Ok(())
    }));
    expect!["task `p.out` reads layer `nowhere`, which no task writes: for a layer of an input catalog write `catalog/nowhere`"].assert_eq(&lab.try_run().unwrap_err().to_string());
}

#[test]
fn an_inverse_that_does_not_fit_is_an_error_of_the_run() {
    let mut lab = Lab::new(tasks(|plan| {
        show(&numbers(plan, "in/a").map_keys(first, |key| Some(format!("{key}1"))));
        Ok(())
    }));
    lab.put("in/a", "11", "1");
    lab.run();
    lab.put("in/a", "12", "1");
    expect!["p.out: mapping the key of in/a/12: key `12` becomes `1`, which the inverse takes to `11`: it must take it back to `12`"].assert_eq(&lab.try_run().unwrap_err().to_string());
}

#[test]
fn a_key_of_another_kind_is_an_error_of_the_run() {
    let mut lab = Lab::new(tasks(|plan| {
        show(&plan.layer::<Tile>("in/a").map_values(|partition| Ok(partition.text()?.to_owned())));
        Ok(())
    }));
    lab.put("in/a", "11", "1");
    expect!["p.out: mapping the key of in/a/11: the key is a tile, but `11` is a string"]
        .assert_eq(&lab.try_run().unwrap_err().to_string());
}

/// A lab that has run the first tasks, and then runs the second over one more change: how each task ran.
fn replaced(before: fn(&DataPlan) -> Result<()>, after: fn(&DataPlan) -> Result<()>) -> String {
    let mut lab = Lab::new(tasks(before));
    for (name, number) in [("01", "1"), ("02", "2"), ("11", "1"), ("12", "4")] {
        lab.put("in/a", name, number);
    }
    lab.run();
    lab.set_tasks(tasks(after));
    let text = modes(&lab.run());
    lab.assert_equals_scratch();
    text
}

fn modes(run: &LabRun) -> String {
    let mode = |task: &deltic::driver::TaskReport| format!("{} {:?}\n", task.task, task.mode);
    run.report.tasks.iter().map(mode).collect()
}

fn plain(plan: &DataPlan) -> Result<()> {
    let groups = by_number(plan, "in/a");
    show(&groups.map_values(|members| Ok(members.len())));
    show_as("also", &groups.group(first).map_values(|members| Ok(members.len())));
    Ok(())
}

#[test]
fn a_narrow_step_that_is_added_makes_its_own_stage_full_and_no_other() {
    let after = |plan: &DataPlan| {
        let groups = numbers(plan, "in/a")
            .filter(|_, number| Ok(*number < 4))
            .group_by(|key, number| Ok([(number.to_string(), key.clone())]));
        show(&groups.map_values(|members| Ok(members.len())));
        show_as("also", &groups.group(first).map_values(|members| Ok(members.len())));
        Ok(())
    };
    expect![[r#"
        p.group-by-43693cc4 Full { reason: "its configuration changed" }
        p.out Incremental { changed: ["p.group-by-43693cc4"] }
        p.also Incremental { changed: ["p.group-by-43693cc4"] }
    "#]]
    .assert_eq(&replaced(plain, after));
}

#[test]
fn a_stage_that_is_put_before_another_keeps_the_ids_of_all() {
    let after = |plan: &DataPlan| {
        let groups = numbers(plan, "in/a")
            .detect_changes(|_, number| Ok(number / 2))
            .group_by(|key, number| Ok([(number.to_string(), key.clone())]));
        show(&groups.map_values(|members| Ok(members.len())));
        show_as("also", &groups.group(first).map_values(|members| Ok(members.len())));
        Ok(())
    };
    expect![[r#"
        p.detect-changes-43693cc4 Full { reason: "it has not run before" }
        p.group-by-43693cc4 Full { reason: "its configuration and input layer settings and input layers changed" }
        p.out Incremental { changed: ["p.group-by-43693cc4"] }
        p.also Incremental { changed: ["p.group-by-43693cc4"] }
    "#]]
    .assert_eq(&replaced(plain, after));
}

#[test]
fn a_set_that_is_made_earlier_in_the_program_changes_nothing() {
    let after = |plan: &DataPlan| {
        show_as("more", &numbers(plan, "in/a").group(first).persist().map_values(|members| Ok(members.len())));
        plain(plan)
    };
    expect![[r#"
        p.persist-43693cc4 Full { reason: "it has not run before" }
        p.more Full { reason: "it has not run before" }
        p.group-by-43693cc4 Skipped
        p.out Skipped
        p.also Skipped
    "#]]
    .assert_eq(&replaced(plain, after));
}

/// Two stages that only their order tells apart: one before the other takes its name, and must not pass for it.
#[test]
fn an_equal_stage_that_is_made_earlier_does_not_pass_for_another() {
    let after = |plan: &DataPlan| {
        let other = numbers(plan, "in/a").group_by(|key, number| Ok([((number + 1).to_string(), key.clone())]));
        show_as("more", &other);
        show_as("even-more", &other.map_values(|members| Ok(members.len())));
        plain(plan)
    };
    expect![[r#"
        p.group-by-43693cc4 Full { reason: "its configuration changed" }
        p.more Full { reason: "it has not run before" }
        p.even-more Full { reason: "it has not run before" }
        p.group-by-43693cc4-2 Full { reason: "it has not run before" }
        p.out Full { reason: "its input layer settings and input layers changed" }
        p.also Full { reason: "its input layer settings and input layers changed" }
    "#]]
    .assert_eq(&replaced(plain, after));
}

/// With an id of its own the first keeps its state.
#[test]
fn a_stage_with_an_id_keeps_it_whatever_is_made_before() {
    let before = |plan: &DataPlan| {
        let groups = by_number(plan, "in/a").id("groups");
        show(&groups);
        show_as("also", &groups.map_values(|members| Ok(members.len())));
        Ok(())
    };
    let after = |plan: &DataPlan| {
        show_as("more", &by_number(plan, "in/a").group(first));
        let groups = by_number(plan, "in/a").id("groups");
        show(&groups);
        show_as("also", &groups.map_values(|members| Ok(members.len())));
        Ok(())
    };
    expect![[r#"
        p.group-by-43693cc4 Full { reason: "it has not run before" }
        p.more Full { reason: "it has not run before" }
        p.groups Skipped
        p.out Skipped
        p.also Skipped
    "#]]
    .assert_eq(&replaced(before, after));
}

#[test]
fn the_configuration_of_a_plan_is_that_of_all_its_tasks() {
    let plan = |least: u64| {
        let plan = DataPlan::new("p").version("1").configured(&serde_json::json!({ "least": least }));
        show(&numbers(&plan, "in/a").filter(move |_, number| Ok(*number >= least)));
        plan.finish().unwrap().into_tasks()
    };
    let mut lab = Lab::new(plan(1));
    lab.put("in/a", "01", "1");
    lab.run();
    lab.set_tasks(plan(1));
    assert_eq!(modes(&lab.run()), "p.out Skipped\n");
    lab.set_tasks(plan(2));
    expect![[r#"
        p.out Full { reason: "its configuration changed" }
    "#]]
    .assert_eq(&modes(&lab.run()));
    assert_eq!(lab.text("out", "01"), None);
}

/// The state of a plan: a second run over a new process' handles does nothing, and private values are found again.
#[test]
fn state_lasts_between_processes() {
    let mut lab = Lab::new(tasks(plain));
    lab.put("in/a", "01", "1");
    lab.put("in/a", "11", "1");
    lab.run();
    lab.forget_caches();
    lab.put("in/a", "11", "2");
    lab.run();
    assert_eq!(lab.text("out", "2").as_deref(), Some("1"));
    lab.assert_equals_scratch();
}
