//! Plans of data sets: their stages, the ids of these, and the mistakes that are refused.

use std::collections::BTreeMap;

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

#[expect(clippy::ptr_arg, reason = "a step on keys is given the key")]
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
fn only_what_is_published_is_a_layer_of_the_catalog() {
    let mut lab = Lab::new(tasks(plain));
    lab.put("in/a", "01", "1");
    lab.run();
    let snapshot = lab.output();
    let layers: Vec<&str> = snapshot.layers().map(|layer| layer.id.as_str()).collect();
    assert_eq!(layers, ["also", "out"]);
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

/// What versions are compared by: fingerprints, the state and the catalog. A plan that has run once finds them all again.
#[test]
fn a_plan_keeps_its_fingerprints_its_state_and_its_digest() {
    let mut lab = Lab::new(tasks(|plan| {
        let groups = by_number(plan, "in/a").id("groups");
        show(&groups.map_values(|members| Ok(members.len())));
        show_as("also", &groups.group(first).persist().map_values(|members| Ok(members.len())));
        show_as("third", &by_number(plan, "in/a").reduce(|_, all| Ok([(first(&all[0]), all.len())]), |a, b| Ok(a + b)));
        Ok(())
    }));
    for (name, number) in [("01", "1"), ("02", "2"), ("11", "1"), ("12", "4")] {
        lab.put("in/a", name, number);
    }
    lab.run();
    let version = lab.output();
    let mut pinned: Vec<String> =
        version.record().tasks.iter().map(|task| format!("{} {}", task.id, task.fingerprint)).collect();
    pinned.push(format!("state {}", version.state_digest()));
    pinned.push(format!("catalog {}", version.digest()));
    expect![[r#"
        p.also 711bcb3267ba777ac8187815e2a0a81216fee7fb1f714a427079e51dc152bdb5
        p.group-by-43693cc4 7fd813ebbb8ff42d78914710cab5d543796dea1aaff9deea65bb82ceefe68bd4
        p.groups 01d43d200f715ce56a9932bbb6c63dac7abac71a09f7c158971eb81c27e5cf74
        p.out 41c1bf1d2acbe4ca41d0e5c8bbb3c21f146730a87f9668be4fb7493ed7b5f4f7
        p.persist-43693cc4 697a6a7594a86ee9637bff454ce64c2eb6f14645eb22fd260a3f7de97435467b
        p.third cc09e331705a86f4e9ac2570b58b22d91660035fe605f6c8caa5b809bcaf216f
        state e704e41b4b9e2638f5d5c8b38c9199ec369265fc54a4c69c68fc5b802d831053
        catalog b4c7d27ba98b6d670c58952c78705918e69741278df415529b4f2ecc164f8161"#]]
    .assert_eq(&pinned.join("\n"));
}

#[test]
fn mistakes_are_reported_together_when_the_plan_is_finished() {
    expect!["plan `p`: layer `in/a/b`: `a/b` is not a layer id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit; the id of map-values of in/a/b: `two words` is not a task id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit; layer `in/a` is listed twice in one set; nothing uses `b` (map-values of in/b): publish it or remove it; nothing uses layer of in/a: publish it or remove it; two data sets have, or had, the id `b`: `b` (map-values of in/b) and `b` (map-values of in/b)"].assert_eq(&refused(|plan| {
        let a = plan.layer::<String>("in/a/b");
        let b = numbers(plan, "in/b").id("b");
        show(&a.map_values(|partition| Ok(partition.text()?.len())).id("two words"));
        drop(b.map_values(|number| Ok(number + 1)).id("b"));
        drop(plan.layers(["in/a", "in/a"]));
        Ok(())
    }));
}

/// What only shows when stages are made comes with the rest, once for each set and layer.
#[test]
fn mistakes_of_stages_are_reported_with_all_others() {
    expect!["plan `p`: layer `in/a/b`: `a/b` is not a layer id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit; nothing uses map-values of in/d: publish it or remove it; layer `also` is published twice: filter of in/a and map-values of in/b; data set `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`: `p.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is not a layer id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit; data set `zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz`: `p.zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz` is not a layer id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit"].assert_eq(&refused(|plan| {
        let long = numbers(plan, "in/a").persist().id(&"x".repeat(49));
        show(&long);
        show_as("also", &long.filter(|_, number| Ok(*number > 1)));
        show_as("also", &numbers(plan, "in/b"));
        show_as(&"y".repeat(49), &numbers(plan, "in/c").persist().id(&"z".repeat(49)));
        show_as("unread", &plan.layer::<String>("in/a/b").map_values(|partition| Ok(partition.text()?.len())));
        drop(numbers(plan, "in/d"));
        Ok(())
    }));
}

#[test]
fn what_can_not_be_a_plan_is_refused() {
    expect!["plan `p`: it publishes nothing"].assert_eq(&refused(|_| Ok(())));
    expect!["plan `p`: layer `out` is published twice: map-values of in/a and map-values of in/b"].assert_eq(&refused(
        |plan| {
            show(&numbers(plan, "in/a"));
            show(&numbers(plan, "in/b"));
            Ok(())
        },
    ));
    expect!["plan `p`: map-values of in/a belongs to another plan, `q`, and can not be used in this one"].assert_eq(
        &refused(|plan| {
            let other = DataPlan::new("q");
            show(&numbers(plan, "in/a").join(&numbers(&other, "in/a")));
            Ok(())
        }),
    );
    expect!["plan `p`: data set `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`: `p.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is not a layer id: it takes 1 to 50 letters, digits, `-`, `_` or `.`, the first a letter or a digit"].assert_eq(&refused(|plan| {
        show(&numbers(plan, "in/a").persist().id(&"x".repeat(49)));
        Ok(())
    }));
    expect![
        "plan `p`: layer `out`: two parts have level 1; layer `out`: a part has level 3, which the layer does not have"
    ]
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
    expect!["p.out: mapping the key of in/a/12: key `12` becomes `1`, but the inverse maps that to `11`: it must map it back to `12`"].assert_eq(&lab.try_run().unwrap_err().to_string());
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

/// Two stages that differ only in their order: a new one before the other takes its name, and must not count as the same stage.
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

#[test]
fn the_version_of_a_step_is_that_of_its_stage() {
    let after = |plan: &DataPlan| {
        let groups = by_number(plan, "in/a");
        show(&groups.map_values(|members| Ok(members.len())));
        show_as("also", &groups.group(first).version("2").map_values(|members| Ok(members.len())));
        Ok(())
    };
    expect![[r#"
        p.group-by-43693cc4 Skipped
        p.out Skipped
        p.also Full { reason: "its configuration changed" }
    "#]]
    .assert_eq(&replaced(plain, after));
}

#[test]
fn the_section_of_a_plan_is_checked_and_counts() {
    let setup = |section: serde_json::Value| -> Result<Vec<Task>> {
        let mut setup = Setup::new([("p".to_owned(), section)].into());
        let (plan, least): (_, BTreeMap<String, u64>) = DataPlan::with_config(&mut setup, "p")?;
        let least = least.get("least").copied().unwrap_or_default();
        show(&numbers(&plan, "in/a").filter(move |_, number| Ok(*number >= least)));
        plan.register(&mut setup)?;
        setup.finish()
    };
    let tasks = setup(serde_json::json!({ "least": 3 })).unwrap();
    expect![[r#"{"plan":{"least":3},"steps":["map-values","filter"]}"#]]
        .assert_eq(&tasks[0].configuration().to_string());
    expect![[r#"compiler.p.least: invalid type: string "x", expected u64"#]]
        .assert_eq(&setup(serde_json::json!({ "least": "x" })).unwrap_err().to_string());
}

#[test]
fn a_memo_spares_the_front_ends_of_unchanged_inputs() {
    let mut lab = Lab::new({
        let plan = DataPlan::new("p").version("1").memo(100);
        show(&by_number(&plan, "in/a"));
        plan.finish().unwrap().into_tasks()
    });
    lab.put("in/a", "01", "1");
    lab.put("in/a", "02", "1");
    lab.run();
    lab.put("in/a", "03", "1");
    expect![[r#"
        front  p.out  in/a/03
        back   p.out  out/1
    "#]]
    .assert_eq(&lab.run().log());
    lab.assert_equals_scratch();
}

/// Where people may walk: footways, drawn by tile with the points that they name.
fn pedestrian(level: u8) -> Result<DataPlan> {
    let plan = DataPlan::new("pedestrian").version("1");

    let points = plan.layer::<String>("osm/node").map_values(|node| node.json::<[f64; 2]>());
    let lines = plan
        .layer::<String>("osm/way")
        .map_values(|way| way.json::<Vec<String>>())
        .filter(|_, nodes| Ok(nodes.len() > 1))
        .resolve(
            &points,
            |_, nodes| Ok(nodes.clone()),
            |_, _, found| Ok(found.into_iter().filter_map(|(_, point)| point).collect::<Vec<_>>()),
        );
    let by_tile = lines
        .group_by(move |id: &String, line| {
            let tile = line.first().map(|[lon, lat]| Grid::Here.tile_at(level, *lon, *lat)).transpose()?;
            Ok(tile.map(|tile| (tile, (id.clone(), line))))
        })
        .id("by-tile");
    by_tile
        .publish_with(Layer::tiles("footways", Grid::Here, [level])?, |_, lines| Ok(Some(Payload::from_json(&lines)?)));
    by_tile
        .reduce(|_, lines| Ok([("all".to_owned(), lines.len())]), |one, other| Ok(one + other))
        .publish_with(Layer::generic("counts")?, |_, count| Ok(Some(count.to_string().into())));
    Ok(plan)
}

/// The example of the manual does what the manual describes.
#[test]
fn the_example_of_the_manual() {
    let stages = pedestrian(12).unwrap().finish().unwrap();
    let manual = include_str!("../../docs/data-sets.md");
    let example = manual.split("```").nth(1).unwrap().split_once("prelude::*;").unwrap().1;
    assert!(include_str!("dataset_plan.rs").contains(example.trim()), "the manual should show what is tested here");
    assert!(manual.contains(&format!("```text\n{stages}```\n")), "the manual should say\n{stages}");

    let mut lab = Lab::new(stages.into_tasks());
    for (node, point) in [("n1", "[7.4,46.9]"), ("n2", "[7.5,47.0]"), ("n3", "[8.5,47.3]")] {
        lab.put("osm/node", node, point);
    }
    for (way, nodes) in [("w1", r#"["n1","n2"]"#), ("w2", r#"["n3","n4"]"#), ("w3", r#"["n1"]"#)] {
        lab.put("osm/way", way, nodes);
    }
    lab.run();
    assert_eq!(lab.text("counts", "all").as_deref(), Some("2"));
    let tile = Grid::Here.tile_at(12, 7.4, 46.9).unwrap();
    assert_eq!(lab.text("footways", tile).as_deref(), Some(r#"[["w1",[[7.4,46.9],[7.5,47.0]]]]"#));
    // A way waits for its second node; when it comes, only that way is drawn again.
    lab.put("osm/node", "n4", "[8.6,47.4]");
    expect![[r#"
        front  pedestrian.by-tile   osm/way/w2
        back   pedestrian.by-tile   pedestrian.by-tile/122001122020
        front  pedestrian.counts    pedestrian.by-tile/122001122020
        back   pedestrian.footways  footways/122001122020
    "#]]
    .assert_eq(&lab.run().log());
    lab.assert_equals_scratch();
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
