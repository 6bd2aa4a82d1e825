//! Data sets, operator by operator: which partitions ran after one change, and the output.

use deltic::prelude::*;
use deltic_testkit::Lab;
use expect_test::{Expect, expect};

use crate::dataset::{TILES, number, numbers, prefixed, show, show_as, tasks, tiles};

/// A lab with a few numbers, once run.
fn lab(build: fn(&DataPlan) -> Result<()>) -> Lab {
    let tasks = tasks(build);
    let reads = |layer: &str| tasks.iter().any(|task| task.readable().iter().any(|read| read.to_string() == layer));
    let (a, b, t) = (reads("in/a"), reads("in/b"), reads(TILES));
    let mut lab = Lab::new(tasks);
    if a {
        for (name, number) in [("01", "1"), ("02", "2"), ("11", "1"), ("12", "4")] {
            lab.put("in/a", name, number);
        }
    }
    if b {
        for (name, number) in [("01", "5"), ("11", "6"), ("21", "7")] {
            lab.put("in/b", name, number);
        }
    }
    if t {
        lab = lab.tiles(TILES, Grid::Mercator);
        for (tile, number) in [("00", "1"), ("01", "2"), ("03", "3"), ("22", "4")] {
            lab.put(TILES, tile.parse::<Tile>().unwrap(), number);
        }
    }
    lab.run();
    lab
}

/// Runs, states what ran, and holds the result against scratch.
fn ran(lab: &mut Lab, expected: &Expect) {
    let log = lab.run().log();
    expected.assert_eq(&log);
    lab.assert_equals_scratch();
}

fn text(lab: &Lab, layer: &str, name: &str) -> Option<String> {
    lab.text(layer, name)
}

fn tile(quadkey: &str) -> Tile {
    quadkey.parse().unwrap()
}

#[test]
fn map_values_runs_what_changed_and_makes_no_stage() {
    let mut lab = lab(|plan| {
        let steps = numbers(plan, "in/a")
            .map_values(|number| Ok(number + 1))
            .map_values_with_key(|key, number| Ok(format!("{key}:{number}")));
        show(&steps);
        Ok(())
    });
    lab.put("in/a", "02", "7");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/02
    "#]],
    );
    assert_eq!(text(&lab, "out", "02").as_deref(), Some("\"02:8\""));
}

#[test]
fn filter_takes_out_what_no_longer_passes() {
    let mut lab = lab(|plan| {
        show(&numbers(plan, "in/a").filter(|_, number| Ok(*number < 4)));
        Ok(())
    });
    assert_eq!(text(&lab, "out", "12"), None);
    lab.put("in/a", "12", "3");
    lab.put("in/a", "01", "5");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/01
        back   p.out  out/12
        gone   p.out  out/01
    "#]],
    );
    assert_eq!((text(&lab, "out", "12").as_deref(), text(&lab, "out", "01")), (Some("3"), None));
}

#[test]
fn filter_by_key_never_looks_at_what_it_drops() {
    let mut lab = lab(|plan| {
        show(&numbers(plan, "in/a").filter_by_key(|key| key.starts_with('0')));
        Ok(())
    });
    lab.put("in/a", "12", "no number at all");
    lab.put("in/a", "02", "9");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/02
    "#]],
    );
    assert_eq!(text(&lab, "out", "02").as_deref(), Some("9"));
}

#[test]
fn map_keys_renames() {
    let mut lab = lab(|plan| {
        show(&prefixed(&numbers(plan, "in/a"), "x"));
        Ok(())
    });
    lab.put("in/a", "02", "9");
    lab.delete("in/a", "11");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/x02
        gone   p.out  out/x11
    "#]],
    );
    assert_eq!(text(&lab, "out", "x02").as_deref(), Some("9"));
}

#[test]
fn flat_map_keys_runs_each_key_that_comes_of_the_change() {
    let mut lab = lab(|plan| {
        show(&tiles(plan).flat_map_keys(|tile| tile.descendants(3).collect(), |tile| tile.ancestor(2)));
        Ok(())
    });
    lab.put(TILES, tile("03"), "8");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/030
        back   p.out  out/031
        back   p.out  out/032
        back   p.out  out/033
    "#]],
    );
    assert_eq!(lab.text("out", tile("032")).as_deref(), Some("8"));
}

#[test]
fn group_runs_the_group_of_the_change() {
    let mut lab =
        lab(|plan| {
            let groups = tiles(plan).group(|tile| tile.parent().unwrap_or(Tile::ROOT));
            show(&groups.map_values(|members| {
                Ok(members.into_iter().map(|m| (m.key.to_string(), m.value)).collect::<Vec<_>>())
            }));
            Ok(())
        });
    lab.put(TILES, tile("03"), "8");
    lab.delete(TILES, tile("22"));
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/0
        gone   p.out  out/2
    "#]],
    );
    assert_eq!(lab.text("out", tile("0")).as_deref(), Some(r#"[("00", 1), ("01", 2), ("03", 8)]"#));
}

#[test]
fn a_group_has_its_own_keys_of_an_input_that_goes_to_several() {
    let mut lab = lab(|plan| {
        let both = numbers(plan, "in/a")
            .flat_map_keys(|key| vec![format!("a{key}"), format!("b{key}")], |key| Some(key[1..].to_owned()));
        show(
            &both
                .group(|key| key[..2].to_owned())
                .map_values(|members| Ok(members.into_iter().map(|member| member.key).collect::<Vec<_>>())),
        );
        Ok(())
    });
    assert_eq!(text(&lab, "out", "b0").as_deref(), Some(r#"["b01", "b02"]"#));
    lab.delete("in/a", "02");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/a0
        back   p.out  out/b0
    "#]],
    );
    assert_eq!(text(&lab, "out", "a0").as_deref(), Some(r#"["a01"]"#));
}

#[test]
fn group_by_runs_the_groups_whose_values_changed() {
    let mut lab = lab(|plan| {
        show(&numbers(plan, "in/a").group_by(|key, number| Ok([(format!("g{}", number % 3), key.clone())])));
        Ok(())
    });
    assert_eq!(text(&lab, "out", "g1").as_deref(), Some(r#"["01", "11", "12"]"#));
    // From one group to another.
    lab.put("in/a", "12", "2");
    ran(
        &mut lab,
        &expect![[r#"
        front  p.out  in/a/01
        front  p.out  in/a/02
        front  p.out  in/a/11
        front  p.out  in/a/12
        back   p.out  out/g1
        back   p.out  out/g2
    "#]],
    );
    assert_eq!(text(&lab, "out", "g2").as_deref(), Some(r#"["02", "12"]"#));
    // Another number, the same group, the same value: cut off.
    lab.put("in/a", "12", "5");
    ran(
        &mut lab,
        &expect![[r#"
        front  p.out  in/a/12
    "#]],
    );
}

#[test]
fn reduce_runs_the_keys_whose_values_changed() {
    let mut lab = lab(|plan| {
        show(
            &numbers(plan, "in/a")
                .reduce(|key, number| Ok([(key[..1].to_owned(), number.to_string())]), |a, b| Ok(a + &b)),
        );
        Ok(())
    });
    assert_eq!(text(&lab, "out", "1").as_deref(), Some(r#""14""#));
    lab.put("in/a", "12", "9");
    ran(
        &mut lab,
        &expect![[r#"
        front  p.out  in/a/11
        front  p.out  in/a/12
        back   p.out  out/1
    "#]],
    );
    assert_eq!(text(&lab, "out", "1").as_deref(), Some(r#""19""#));
}

#[test]
fn unique_runs_what_changed_and_refuses_a_second_value() {
    let mut lab = lab(|plan| {
        show(
            &numbers(plan, "in/a")
                .filter_by_key(|key| key != "11")
                .unique(|key, number| Ok([(format!("n{number}"), key.clone())])),
        );
        Ok(())
    });
    lab.put("in/a", "12", "9");
    ran(
        &mut lab,
        &expect![[r#"
        front  p.out  in/a/12
        back   p.out  out/n9
        gone   p.out  out/n4
    "#]],
    );
    let both = "p.out: back-end of out/n9: key `n9` is not unique: it comes from in/a/02 and from in/a/12";
    lab.put("in/a", "02", "9");
    assert_eq!(lab.try_run().unwrap_err().to_string(), both);
    lab.full(true);
    assert_eq!(lab.try_run().unwrap_err().to_string(), both);
}

#[test]
fn joins_run_the_key_of_the_change() {
    let mut lab = lab(|plan| {
        let (a, b) = (numbers(plan, "in/a"), numbers(plan, "in/b"));
        show_as("inner", &a.join(&b));
        show_as("left", &a.left_outer_join(&b));
        show_as("outer", &a.outer_join(&b));
        Ok(())
    });
    let at = |lab: &Lab, name: &str| ["inner", "left", "outer"].map(|layer| text(lab, layer, name).unwrap_or_default());
    assert_eq!(at(&lab, "01"), ["(1, 5)", "(1, Some(5))", "(Some(1), Some(5))"]);
    assert_eq!(at(&lab, "02"), ["", "(2, None)", "(Some(2), None)"]);
    assert_eq!(at(&lab, "21"), ["", "", "(None, Some(7))"]);
    lab.put("in/b", "02", "9");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.inner  inner/02
        back   p.left   left/02
        back   p.outer  outer/02
    "#]],
    );
    assert_eq!(at(&lab, "02"), ["(2, 9)", "(2, Some(9))", "(Some(2), Some(9))"]);
    lab.delete("in/a", "01");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.inner  inner/01
        gone   p.inner  inner/01
        back   p.left   left/01
        gone   p.left   left/01
        back   p.outer  outer/01
    "#]],
    );
}

#[test]
fn a_join_of_a_layer_with_itself_distinguishes_the_sides() {
    let mut lab = lab(|plan| {
        let all = numbers(plan, "in/a");
        // `01` is joined with `02`.
        let next = all.map_keys(
            |key| format!("{}{}", &key[..1], if &key[1..] == "1" { "2" } else { "3" }),
            |key| Some(format!("{}{}", &key[..1], if &key[1..] == "2" { "1" } else { "2" })),
        );
        show(&all.outer_join(&next));
        Ok(())
    });
    assert_eq!(text(&lab, "out", "01").as_deref(), Some("(Some(1), None)"));
    assert_eq!(text(&lab, "out", "02").as_deref(), Some("(Some(2), Some(1))"));
    assert_eq!(text(&lab, "out", "03").as_deref(), Some("(None, Some(2))"));
    lab.put("in/a", "02", "7");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/02
        back   p.out  out/03
    "#]],
    );
    assert_eq!(text(&lab, "out", "02").as_deref(), Some("(Some(7), Some(1))"));
}

#[test]
fn a_union_runs_what_changed_and_refuses_a_common_key() {
    let mut lab = lab(|plan| {
        let a = numbers(plan, "in/a").filter_by_key(|key| !key.ends_with('1'));
        show(&a.union(&numbers(plan, "in/b")));
        Ok(())
    });
    lab.put("in/b", "01", "9");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/01
    "#]],
    );
    lab.put("in/b", "02", "9");
    let error = lab.try_run().unwrap_err().to_string();
    assert!(error.contains("in/a/02") && error.contains("in/b/02"), "{error}");
}

/// Where values decide what a set holds, they also decide what is common.
#[test]
fn a_union_of_filtered_sets_refuses_common_values_alone() {
    let mut lab = lab(|plan| {
        let small = numbers(plan, "in/a").filter(|_, number| Ok(*number < 3));
        let large = numbers(plan, "in/b").filter(|_, number| Ok(*number > 6));
        show(&small.union(&large));
        Ok(())
    });
    assert_eq!(text(&lab, "out", "01").as_deref(), Some("1"));
    lab.put("in/b", "02", "6");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/02
    "#]],
    );
    let both = "p.out: back-end of out/02: key `02` is in two sets of a union, from in/a/02 and from in/b/02";
    lab.put("in/b", "02", "7");
    assert!(lab.try_run().unwrap_err().to_string().starts_with(both));
    lab.full(true);
    assert!(lab.try_run().unwrap_err().to_string().starts_with(both));
}

#[test]
fn resolve_runs_who_names_what_changed() {
    let mut lab = lab(|plan| {
        show(&numbers(plan, "in/a").resolve(
            &prefixed(&numbers(plan, "in/b"), "b"),
            |_, number| Ok(vec![format!("b{number}1")]),
            |_, number, found| Ok((number, found)),
        ));
        Ok(())
    });
    assert_eq!(text(&lab, "out", "01").as_deref(), Some(r#"(1, [("b11", Some(6))])"#));
    lab.put("in/b", "11", "8");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/01
        back   p.out  out/11
    "#]],
    );
    // What was missing appears.
    lab.put("in/b", "41", "9");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/12
    "#]],
    );
    assert_eq!(text(&lab, "out", "12").as_deref(), Some(r#"(4, [("b41", Some(9))])"#));
}

#[test]
fn resolve_same_runs_the_same_key() {
    let mut lab = lab(|plan| {
        show(&numbers(plan, "in/a").resolve_same(&numbers(plan, "in/b"), |_, own, other| Ok((own, other))));
        Ok(())
    });
    lab.put("in/b", "11", "8");
    lab.put("in/b", "21", "8");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/11
    "#]],
    );
    assert_eq!(text(&lab, "out", "11").as_deref(), Some("(1, Some(8))"));
}

#[test]
fn resolve_neighbours_runs_the_tiles_around() {
    let mut lab = lab(|plan| {
        show(&tiles(plan).resolve_neighbours(&tiles(plan), 1, |_, _, around| {
            Ok(around.into_iter().map(|(_, number)| number).collect::<Vec<_>>())
        }));
        Ok(())
    });
    assert_eq!(lab.text("out", tile("00")).as_deref(), Some("[1, 2, 3]"));
    lab.put(TILES, tile("22"), "9");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/22
    "#]],
    );
    lab.put(TILES, tile("03"), "9");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/00
        back   p.out  out/01
        back   p.out  out/03
    "#]],
    );
}

#[test]
fn a_look_up_runs_who_looked() {
    let mut lab = lab(|plan| {
        let b = numbers(plan, "in/b");
        show(&numbers(plan, "in/a").look_up(&b, |key, number, look| {
            Ok(if number == 1 { look.get(key)? } else { look.contains(&"21".to_owned())?.then_some(0) })
        }));
        Ok(())
    });
    lab.put("in/b", "11", "8");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/11
    "#]],
    );
    // Who asked whether it exists does not care what it is.
    lab.put("in/b", "21", "8");
    ran(&mut lab, &expect![""]);
    lab.delete("in/b", "21");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/02
        back   p.out  out/12
    "#]],
    );
    assert_eq!(text(&lab, "out", "12").as_deref(), Some("None"));
}

#[test]
fn a_look_sees_the_set_and_not_the_layer_beneath() {
    let mut lab = lab(|plan| {
        // The inverse is defined for every string.
        let set = numbers(plan, "in/b")
            .filter(|_, number| Ok(*number < 7))
            .map_keys(|key| format!("b{key}"), |key| Some(key.trim_start_matches('b').to_owned()));
        show(&numbers(plan, "in/a").filter_by_key(|key| key == "01").look_up(&set, |_, _, look| {
            let of = |key: &str| -> Result<_> { Ok((look.get(&key.to_owned())?, look.contains(&key.to_owned())?)) };
            Ok((of("b01")?, of("01")?, of("b21")?))
        }));
        Ok(())
    });
    let seen = "((Some(5), true), (None, false), (None, false))";
    assert_eq!(text(&lab, "out", "01").as_deref(), Some(seen));
    // What values decide is looked at, however it is asked for.
    lab.put("in/b", "21", "6");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out  out/01
    "#]],
    );
    let seen = "((Some(5), true), (None, false), (Some(6), true))";
    assert_eq!(text(&lab, "out", "01").as_deref(), Some(seen));
}

#[test]
fn a_look_into_a_shuffled_set_is_cut_off_by_its_values() {
    let mut lab = lab(|plan| {
        let sums = numbers(plan, "in/b").reduce(|key, number| Ok([(key[..1].to_owned(), number)]), |a, b| Ok(a + b));
        show(&numbers(plan, "in/a").look_up(&sums.id("sums"), |key, _, sums| sums.get(&key[..1].to_owned())));
        Ok(())
    });
    assert_eq!(text(&lab, "out", "11").as_deref(), Some("Some(6)"));
    lab.put("in/b", "12", "1");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.out   out/11
        back   p.out   out/12
        front  p.sums  in/b/11
        front  p.sums  in/b/12
        back   p.sums  p.sums/1
    "#]],
    );
    // Two changes that make the same sum.
    lab.put("in/b", "12", "2");
    lab.put("in/b", "11", "5");
    ran(
        &mut lab,
        &expect![[r#"
        front  p.sums  in/b/11
        front  p.sums  in/b/12
        back   p.sums  p.sums/1
    "#]],
    );
}

#[test]
fn detect_changes_lets_through_what_counts() {
    let mut lab = lab(|plan| {
        let small = numbers(plan, "in/a").detect_changes(|_, number| Ok(number / 2)).id("halves");
        let groups = small.group(|key| key[..1].to_owned());
        show(&groups.map_values(|members| Ok(members.into_iter().map(|m| (m.key, m.value)).collect::<Vec<_>>())));
        Ok(())
    });
    lab.put("in/a", "12", "5");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.halves  p.halves/12
    "#]],
    );
    lab.put("in/a", "12", "6");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.halves  p.halves/12
        back   p.out     out/1
    "#]],
    );
    assert_eq!(text(&lab, "out", "1").as_deref(), Some(r#"[("11", 0), ("12", 3)]"#));
}

#[test]
fn persist_runs_what_comes_before_once() {
    let mut lab = lab(|plan| {
        let kept = numbers(plan, "in/a").map_values(|number| Ok(number / 2)).persist().id("kept");
        show(&kept);
        show_as("also", &kept.map_values(|number| Ok(number + 1)));
        Ok(())
    });
    lab.put("in/a", "12", "6");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.also  also/12
        back   p.kept  p.kept/12
        back   p.out   out/12
    "#]],
    );
    lab.put("in/a", "12", "7");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.kept  p.kept/12
    "#]],
    );
}

#[test]
fn parts_run_the_level_of_the_change_and_those_above() {
    let mut lab = lab(|plan| {
        let count = |set: &DataSet<Tile, u64>| {
            let groups = set.group(|tile| tile.parent().unwrap_or(Tile::ROOT));
            groups.map_values(|members| Ok(members.into_iter().map(|member| member.value).max().unwrap_or(0)))
        };
        let ones = count(&tiles(plan)).id("ones");
        let root = count(&ones).id("root");
        let part = |set: &DataSet<Tile, u64>, level| set.map_values(|n| Ok(n.to_string())).publish_part([level]);
        let parts = [part(&root, 0), part(&ones, 1), part(&tiles(plan), 2)];
        plan.publish_parts(Layer::tiles("out", Grid::Mercator, [0, 1, 2])?, parts);
        Ok(())
    });
    assert_eq!(lab.text("out", Tile::ROOT).as_deref(), Some("4"));
    lab.put(TILES, tile("03"), "9");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.ones  p.ones/0
        back   p.out   out/0
        back   p.out   out/03
        back   p.out   out/root
        back   p.root  p.root/root
    "#]],
    );
    assert_eq!(lab.text("out", Tile::ROOT).as_deref(), Some("9"));
    // The maximum of its parent stays.
    lab.put(TILES, tile("01"), "8");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.ones  p.ones/0
        back   p.out   out/01
    "#]],
    );
    lab.put(TILES, tile("011"), "8");
    let error = lab.try_run().unwrap_err().to_string();
    assert!(error.contains("tile `0` has level 1, which is not one of its part {0}"), "{error}");
}

#[test]
fn read_back_runs_what_was_published_otherwise() {
    let mut lab = lab(|plan| {
        let halves = numbers(plan, "in/a").map_values(|number| Ok((number / 2).to_string()));
        let published = halves.publish(Layer::generic("halves")?);
        show(&published.read_back().map_values(number).reduce(|_, n| Ok([("sum".to_owned(), n)]), |a, b| Ok(a + b)));
        Ok(())
    });
    assert_eq!(text(&lab, "out", "sum").as_deref(), Some("3"));
    lab.put("in/a", "12", "6");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.halves  halves/12
        front  p.out     halves/01
        front  p.out     halves/02
        front  p.out     halves/11
        front  p.out     halves/12
        back   p.out     out/sum
    "#]],
    );
    lab.put("in/a", "12", "7");
    ran(
        &mut lab,
        &expect![[r#"
        back   p.halves  halves/12
    "#]],
    );
}
