//! Leveling: the points are those of the definition, and a change runs only the inputs that get another point.

use std::collections::{BTreeMap, BTreeSet};

use deltic::core::Tile;
use deltic::prelude::*;
use deltic_testkit::{Lab, RandomHistory, check_incremental};
use expect_test::{Expect, expect};
use proptest::prelude::*;

const FINEST: u8 = 4;

/// Gathers the names of tiles by their leveling point.
struct Gathers;

impl HasLayers for Gathers {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/places"]).reference_layers(["density"]).output_layers([Layer::tiles(
            "gathered",
            Grid::Here,
            0..=Tile::MAX_LEVEL,
        )?]))
    }
}

impl MapGroupCompiler for Gathers {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, context: &Context<'_>) -> Result<()> {
        let tile = input.tile()?;
        let point = AdaptivePattern::new("density").point_of(tile, context)?;
        out.emit("gathered", point.unwrap_or(tile), tile.to_string());
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, tiles: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(tiles.collect::<Vec<_>>().join(" ").into()))
    }
}

/// A tile weighs the number that it holds.
fn leveling(coarsest: u8, threshold: u64) -> Leveling {
    Leveling::new("density", ["in/t"], Grid::Here, coarsest..=FINEST, threshold)
        .weigh_by(|input| Ok(vec![(input.tile()?, input.text()?.trim().parse()?)]))
        .version("1")
}

fn tasks(coarsest: u8, threshold: u64) -> Vec<Task> {
    let mut tasks = leveling(coarsest, threshold).tasks().unwrap();
    tasks.push(Task::new("gathers", MapGroup(Gathers)).unwrap().version("1"));
    tasks
}

fn tile(text: &str) -> Tile {
    text.parse().unwrap()
}

fn empty_lab(tasks: Vec<Task>) -> Lab {
    Lab::new(tasks).tiles("in/t", Grid::Here).tiles("in/places", Grid::Here)
}

/// Weights 4, 3, 2 and 1 below tile `00`, and 5 elsewhere; more than 6 is too much. A place at each of them.
fn lab() -> Lab {
    let mut lab = empty_lab(tasks(0, 6));
    for (at, weight) in [("0000", "4"), ("0001", "3"), ("0010", "2"), ("0020", "1"), ("0300", "5")] {
        lab.put("in/t", tile(at), weight);
        lab.put("in/places", tile(at), "");
    }
    lab.run();
    assert_eq!(lab.names("density"), ["0000", "0001", "001", "002", "03"]);
    lab
}

fn ran(lab: &mut Lab, expected: &Expect) {
    expected.assert_eq(&lab.run().log());
    lab.assert_equals_scratch();
}

#[test]
fn a_fixed_pattern_gathers_by_ancestor() {
    let pattern = FixedPattern::new(2);
    assert_eq!(
        ["0123", "01", "0", "root"].map(|text| pattern.point_of(tile(text)).to_string()),
        ["01", "01", "0", "root"]
    );
}

/// The sums up to the root change; nothing became heavy or light, so neither points nor readers run.
#[test]
fn a_weight_that_crosses_no_threshold_runs_no_reader_of_points() {
    let mut lab = lab();
    lab.put("in/t", tile("0020"), "2");
    ran(
        &mut lab,
        &expect![[r#"
            back   density.heavy    density.heavy/0
            back   density.heavy    density.heavy/00
            back   density.heavy    density.heavy/002
            back   density.heavy    density.heavy/0020
            back   density.heavy    density.heavy/root
            back   density.heavy    density.top/root
            back   density.sum-0    density.sum-0/root
            back   density.sum-1    density.sum-1/0
            back   density.sum-2    density.sum-2/00
            back   density.sum-3    density.sum-3/002
            front  density.weights  in/t/0020
            back   density.weights  density.weights-4/0020
        "#]],
    );
}

#[test]
fn a_weight_that_makes_a_tile_heavy_runs_whoever_has_another_point() {
    let mut lab = lab();
    // `03` becomes too heavy: its point goes, `030` and `031` come. `0300` gets another point, all below `00` keep theirs.
    lab.put("in/t", tile("0310"), "2");
    ran(
        &mut lab,
        &expect![[r#"
        back   density.heavy    density.heavy/0
        back   density.heavy    density.heavy/03
        back   density.heavy    density.heavy/031
        back   density.heavy    density.heavy/0310
        back   density.heavy    density.heavy/root
        back   density.heavy    density.top/root
        back   density.points   density/03
        back   density.points   density/030
        back   density.points   density/031
        back   density.points   density/032
        back   density.points   density/033
        gone   density.points   density/03
        back   density.sum-0    density.sum-0/root
        back   density.sum-1    density.sum-1/0
        back   density.sum-2    density.sum-2/03
        back   density.sum-3    density.sum-3/031
        front  density.weights  in/t/0310
        back   density.weights  density.weights-4/0310
        front  gathers          in/places/0300
        back   gathers          gathered/030
        gone   gathers          gathered/03
    "#]],
    );
    assert_eq!(lab.names("density"), ["0000", "0001", "001", "002", "030", "031"]);
    // All that is in `03` goes; nobody else is asked.
    lab.delete("in/t", tile("0310"));
    lab.delete("in/t", tile("0300"));
    lab.delete("in/places", tile("0300"));
    ran(
        &mut lab,
        &expect![[r#"
        back   density.heavy    density.heavy/0
        back   density.heavy    density.heavy/root
        back   density.heavy    density.top/root
        gone   density.heavy    density.heavy/03
        back   density.points   density/03
        gone   density.points   density/030
        gone   density.points   density/031
        back   density.sum-0    density.sum-0/root
        back   density.sum-1    density.sum-1/0
        gone   density.sum-2    density.sum-2/03
        gone   density.sum-3    density.sum-3/030
        gone   density.sum-3    density.sum-3/031
        gone   density.weights  density.weights-4/0300
        gone   density.weights  density.weights-4/0310
        gone   gathers          gathered/030
    "#]],
    );
    assert_eq!(lab.names("density"), ["0000", "0001", "001", "002"]);
}

#[test]
fn one_heavy_tile_is_a_point_and_a_threshold_is_configuration_of_one_task() {
    let mut lab = lab();
    lab.put("in/t", tile("0000"), "70");
    lab.put("in/t", tile("00"), "1");
    lab.put("in/places", tile("00"), "");
    lab.run();
    // `00` is heavy and holds something itself.
    assert_eq!(lab.names("density"), ["00", "0000", "0001", "001", "002", "03"]);
    assert_eq!(lab.text("gathered", tile("00")).as_deref(), Some("00"));
    lab.assert_equals_scratch();
    lab.set_tasks(tasks(0, 100));
    let run = lab.run();
    let modes: Vec<&str> = run
        .report
        .tasks
        .iter()
        .map(|task| match task.mode {
            deltic::driver::Mode::Skipped => "skipped",
            deltic::driver::Mode::Incremental { .. } => "incremental",
            deltic::driver::Mode::Full { .. } => "full",
        })
        .collect();
    assert_eq!(modes, ["skipped", "skipped", "skipped", "skipped", "skipped", "full", "incremental", "incremental"]);
    assert_eq!(lab.names("density"), ["root"], "everything weighs 82");
    lab.assert_equals_scratch();
}

#[test]
fn what_can_not_be_levelled_is_an_error_that_says_so() {
    let mut lab = empty_lab(tasks(2, 6));
    lab.put("in/t", tile("0"), "1");
    expect!["density.weights: front-end of in/t/0: tile `0` has a weight but is of level 1: leveling points start at level 2"]
        .assert_eq(&lab.try_run().unwrap_err().to_string());
    let mut lab = empty_lab(tasks(0, 6));
    lab.put("in/t", tile("00"), u64::MAX.to_string());
    lab.put("in/t", tile("01"), "1");
    expect!["density.sum-1: back-end of density.sum-1/0: the sum of weights exceeds 64 bits"]
        .assert_eq(&lab.try_run().unwrap_err().to_string());
    expect!["leveling `density`: there are no levels 9 to 4: put the coarsest first, and the finest at most at 31"]
        .assert_eq(&leveling(9, 6).tasks().unwrap_err().to_string());
}

#[test]
fn without_a_function_a_partition_weighs_its_bytes() {
    let leveling = Leveling::new("density", ["in/t"], Grid::Here, 1..=2, 10).version("1");
    let mut lab = Lab::new(leveling.tasks().unwrap()).tiles("in/t", Grid::Here);
    lab.put("in/t", tile("012"), "1234567");
    lab.put("in/t", tile("013"), "123");
    lab.put("in/t", tile("02"), "");
    lab.run();
    assert_eq!(lab.names("density"), ["0"]);
    // Finer than the finest level: both are in `01`, which is a point however much it weighs.
    lab.put("in/t", tile("013"), "1234");
    lab.run();
    assert_eq!(lab.names("density"), ["01"]);
    lab.assert_equals_scratch();
}

/// The points by their definition, from all weights.
fn model(weights: &BTreeMap<Tile, u64>, coarsest: u8, threshold: u64) -> BTreeSet<Tile> {
    let mut own: BTreeMap<Tile, u64> = BTreeMap::new();
    for (tile, weight) in weights {
        *own.entry(tile.ancestor(FINEST).unwrap_or(*tile)).or_default() += weight;
    }
    own.retain(|_, weight| *weight > 0);
    let total = |tile: Tile| own.iter().filter(|(at, _)| tile.contains(**at)).map(|(_, weight)| weight).sum::<u64>();
    let all: BTreeSet<Tile> =
        own.keys().flat_map(|tile| (coarsest..=tile.level()).filter_map(|level| tile.ancestor(level))).collect();
    let is_point = |tile: &Tile| match total(*tile) > threshold {
        true => own.contains_key(tile),
        false => tile.level() == coarsest || tile.parent().is_some_and(|parent| total(parent) > threshold),
    };
    all.into_iter().filter(is_point).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn points_over_random_histories_are_those_of_the_definition(seed: u64, coarsest in 0u8..2, threshold in 1u64..12) {
        let layers = vec![("in/t".to_owned(), RandomHistory::tile_names(5))];
        let mut lab = empty_lab(tasks(coarsest, threshold));
        let mut weights = BTreeMap::new();
        for step in (RandomHistory { layers, steps: 8, contents: 5 }).make(seed) {
            for edit in step {
                let tile = edit.name.tile().unwrap();
                match edit.payload {
                    Some(payload) => {
                        weights.insert(tile, payload.json::<u64>().unwrap());
                        lab.put("in/t", tile, payload);
                    }
                    None => {
                        weights.remove(&tile);
                        lab.delete("in/t", tile);
                    }
                }
            }
            lab.run();
            let points: BTreeSet<Tile> = lab.names("density").iter().map(|name| name.parse().unwrap()).collect();
            prop_assert_eq!(&points, &model(&weights, coarsest, threshold));
            // What the definition promises: everything has a point, and a point covers little weight or one tile.
            let mut gathered: BTreeMap<Tile, BTreeMap<Tile, u64>> = BTreeMap::new();
            for (tile, weight) in weights.iter().filter(|(_, weight)| **weight > 0) {
                let point = (0..=tile.level()).rev().filter_map(|level| tile.ancestor(level)).find(|at| points.contains(at));
                prop_assert!(point.is_some(), "{} has no point", tile);
                let at = tile.ancestor(FINEST).unwrap_or(*tile);
                *gathered.entry(point.unwrap()).or_default().entry(at).or_default() += weight;
            }
            for (point, members) in gathered {
                prop_assert!(members.values().sum::<u64>() <= threshold || members.len() == 1, "{}: {:?}", point, members);
            }
        }
    }

    #[test]
    fn leveling_over_random_histories_equals_scratch(seed: u64, threshold in 1u64..12) {
        let layers = ["in/t", "in/places"].map(|layer| (layer.to_owned(), RandomHistory::tile_names(5))).to_vec();
        let mut history = RandomHistory { layers, steps: 4, contents: 5 };
        let mut steps = history.make(seed);
        history.steps = 10;
        steps.insert(0, history.make(seed ^ 1).concat());
        check_incremental(&tasks(0, threshold), &steps);
    }
}
