//! Data sets, operator by operator: over any history, incremental runs give the same result as a run from scratch.

use deltic::compiler::{Data, DataKey};
use deltic::core::Scheme;
use deltic::prelude::*;
use deltic_testkit::{RandomHistory, Step, check_incremental};

/// The layer whose names are tiles.
pub(crate) const TILES: &str = "in/t";

/// The tasks of a plan with a version that stays.
pub(crate) fn tasks(build: fn(&DataPlan) -> Result<()>) -> Vec<Task> {
    let plan = DataPlan::new("p").version("1");
    build(&plan).unwrap();
    plan.finish().unwrap().into_tasks()
}

/// The numbers in a layer, under strings.
pub(crate) fn numbers(plan: &DataPlan, layer: &str) -> DataSet<String, u64> {
    plan.layer(layer).map_values(number)
}

/// The numbers in the layer of tiles.
pub(crate) fn tiles(plan: &DataPlan) -> DataSet<Tile, u64> {
    plan.layer(TILES).map_values(number)
}

/// The number that a partition holds, in its user field too.
#[expect(clippy::needless_pass_by_value, reason = "a step on values takes them")]
pub(crate) fn number(partition: Partition) -> Result<u64> {
    let field = partition.payload.fields().get(RandomHistory::FIELD);
    Ok(partition.text()?.parse::<u64>()? + field.map_or(0, |field| 5 * field.len() as u64 + u64::from(field == "b")))
}

/// Publishes what a set holds, as text.
pub(crate) fn show<K: DataKey, V: Data + std::fmt::Debug>(set: &DataSet<K, V>) {
    show_as("out", set);
}

pub(crate) fn show_as<K: DataKey, V: Data + std::fmt::Debug>(layer: &str, set: &DataSet<K, V>) {
    let mut layer = K::private_layer(layer).unwrap();
    // The grid that has all tiles.
    if let Scheme::Tile(_, levels) = layer.scheme {
        layer.scheme = Scheme::Tile(Grid::Mercator, levels);
    }
    set.publish_with(layer, |_, value| Ok(Some(format!("{value:?}").into())));
}

#[expect(clippy::ptr_arg, reason = "a step on keys is given the key")]
fn first(key: &String) -> String {
    key[..1].to_owned()
}

fn above(tile: &Tile) -> Tile {
    tile.parent().unwrap_or(Tile::ROOT)
}

/// A prefix before each key.
pub(crate) fn prefixed<V: Data>(set: &DataSet<String, V>, prefix: &'static str) -> DataSet<String, V> {
    set.map_keys(move |key| format!("{prefix}{key}"), move |key| key.strip_prefix(prefix).map(str::to_owned))
}

fn history(tasks: &[Task], seed: u64) -> Vec<Step> {
    let mut layers: Vec<String> = tasks
        .iter()
        .flat_map(Task::readable)
        .filter(|layer| layer.catalog.is_some())
        .map(|layer| layer.to_string())
        .collect();
    layers.sort();
    layers.dedup();
    let names = |layer: &String| match layer == TILES {
        true => RandomHistory::tile_names(3),
        false => RandomHistory::generic_names(3),
    };
    let layers = layers.into_iter().map(|layer| (layer.clone(), names(&layer))).collect();
    let mut random = RandomHistory { layers, steps: 6, contents: 5 };
    let steps = random.make(seed);
    // A first step that fills the layers a little, so that later ones meet something.
    random.steps = 8;
    let mut history = vec![random.make(seed ^ 1 << 32).concat()];
    history.extend(steps);
    history
}

fn check(build: fn(&DataPlan) -> Result<()>, seed: u64) {
    let tasks = tasks(build);
    check_incremental(&tasks, &history(&tasks, seed));
}

macro_rules! operators {
    ($($name:ident: |$plan:ident| $build:block)*) => {
        $(
            #[test]
            fn $name() {
                (0..8).for_each(|seed| check(plans::$name, seed));
            }
        )*

        /// The plans by name.
        mod plans {
            use super::*;

            $(
                pub(super) fn $name($plan: &DataPlan) -> Result<()> {
                    $build
                    Ok(())
                }
            )*
        }

        const ALL: &[(&str, fn(&DataPlan) -> Result<()>)] = &[$((stringify!($name), plans::$name)),*];
    };
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-tests -- --ignored many_seeds` looks longer.
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn dataset_many_seeds() {
    for seed in crate::seeds::seeds("0..100") {
        for (name, build) in ALL {
            let caught = std::panic::catch_unwind(|| check(*build, seed));
            assert!(caught.is_ok(), "{name}, seed {seed}");
        }
    }
}

operators! {
    a_layer: |plan| {
        plan.layer::<String>("in/a").publish(Layer::generic("out")?);
    }

    several_layers: |plan| {
        show(&plan.layers(["in/a", "in/b", TILES]).map_values(number));
    }

    map_values: |plan| {
        show(&numbers(plan, "in/a").map_values(|number| Ok(number / 2)));
    }

    map_values_with_key: |plan| {
        show(&tiles(plan).map_values_with_key(|tile, number| Ok((tile.level(), number))));
    }

    filter: |plan| {
        show(&numbers(plan, "in/a").filter(|key, number| Ok(!number.is_multiple_of(2) || key.starts_with('0'))));
    }

    filter_by_key: |plan| {
        show(&tiles(plan).filter_by_key(|tile| tile.level() == 2));
    }

    map_keys: |plan| {
        show(&prefixed(&numbers(plan, "in/a"), "x"));
    }

    flat_map_keys: |plan| {
        show(&tiles(plan).filter_by_key(|tile| tile.level() == 2).flat_map_keys(
            |tile| tile.descendants(3).collect(),
            // Only one level, or a key would have several sources.
            |tile| tile.ancestor(2).filter(|_| tile.level() == 3),
        ).filter(|_, number| Ok(*number > 0)));
    }

    group: |plan| {
        show(&numbers(plan, "in/a").group(first).map_values(|members| Ok(members.len())));
        show_as("up", &tiles(plan).filter(|_, number| Ok(*number != 1)).group(above));
    }

    groups_of_partitions: |plan| {
        let partitions = plan.layer::<String>("in/a");
        show(&partitions.group_by(|key, partition| Ok([(first(key), partition)])));
        show_as("also", &partitions.persist().resolve_same(&partitions, |_, kept, own| Ok((kept, own))));
    }

    group_over_layers: |plan| {
        show(&plan.layers(["in/a", "in/b"]).map_values(number).group(|key| first(&key.name.to_string())));
    }

    group_by: |plan| {
        show(&numbers(plan, "in/a").group_by(|key, number| {
            Ok((0..number % 3).map(move |i| (format!("g{}", number - i), (key.clone(), i))).collect::<Vec<_>>())
        }).filter(|_, members| Ok(members.len() != 2)));
    }

    reduce: |plan| {
        let joined = numbers(plan, "in/a").reduce(
            |key, number| Ok((number != 3).then(|| (number.to_string(), key.clone()))),
            |one, other| Ok(format!("{one}+{other}")),
        );
        show(&joined);
    }

    unique: |plan| {
        show(&numbers(plan, "in/a").unique(|key, number| Ok([(format!("{number}-{key}"), key.len())])));
    }

    a_key_step_after_a_shuffle: |plan| {
        let grouped = numbers(plan, "in/a").group_by(|key, number| Ok([(number.to_string(), key.clone())]));
        show(&prefixed(&grouped, "n").filter_by_key(|key| key != "n2").flat_map_keys(
            |key| vec![format!("{key}-a"), format!("{key}-b")],
            |key| Some(key[..key.len() - 2].to_owned()),
        ).map_values_with_key(|key, members| Ok(format!("{key} {members:?}"))));
    }

    join: |plan| {
        show(&numbers(plan, "in/a").join(&numbers(plan, "in/b").filter(|_, number| Ok(*number != 2))));
    }

    left_outer_join: |plan| {
        show(&numbers(plan, "in/a").left_outer_join(&numbers(plan, "in/b").map_values(|number| Ok(number / 2))));
    }

    outer_join: |plan| {
        let both = numbers(plan, "in/a").outer_join(&numbers(plan, "in/b"));
        show(&both.outer_join(&prefixed(&numbers(plan, "in/a"), "0")).group(first));
    }

    a_join_of_a_layer_with_itself: |plan| {
        let up = numbers(plan, "in/a").map_keys(|key| format!("{key}1"), |key| key.strip_suffix('1').map(str::to_owned));
        show(&numbers(plan, "in/a").outer_join(&up));
    }

    a_join_of_shuffled_sets: |plan| {
        let by_number = numbers(plan, "in/a").group_by(|key, number| Ok([(number.to_string(), key.clone())]));
        let by_letter = numbers(plan, "in/b").group(first);
        show(&by_number.left_outer_join(&by_letter));
    }

    union: |plan| {
        show(&prefixed(&numbers(plan, "in/a"), "a").union(&prefixed(&numbers(plan, "in/b"), "b")));
    }

    a_union_of_what_values_part: |plan| {
        let odd = numbers(plan, "in/a").filter(|_, number| Ok(!number.is_multiple_of(2)));
        let even = numbers(plan, "in/a").filter(|_, number| Ok(number.is_multiple_of(2))).map_values(|n| Ok(n * 10));
        show(&odd.union(&even));
    }

    resolve: |plan| {
        let names = |key: &String, number: &u64| vec![format!("b0{}", number % 3), format!("b{number}{}", &key[1..])];
        let other = prefixed(&numbers(plan, "in/b"), "b").filter(|_, number| Ok(*number != 2));
        show(&numbers(plan, "in/a").resolve(
            &other,
            move |key, number| Ok(names(key, number)),
            |_, number, found| Ok((number, found)),
        ).group_by(|key, value| Ok([(first(key), value)])));
    }

    resolve_same: |plan| {
        show(&numbers(plan, "in/a").resolve_same(&numbers(plan, "in/b"), |_, one, other| Ok((one, other))));
    }

    resolve_neighbours: |plan| {
        show(&tiles(plan).resolve_neighbours(&tiles(plan).filter_by_key(|tile| tile.level() != 1), 1, |_, own, all| {
            Ok((own, all))
        }));
    }

    look_up_in_a_shuffled_set: |plan| {
        let sums = numbers(plan, "in/b").reduce(|key, number| Ok([(first(key), number)]), |a, b| Ok(a + b));
        show(&numbers(plan, "in/a").look_up(&sums, |key, number, sums| {
            let name = number.to_string();
            Ok((sums.get(&first(key))?, sums.contains(&name)?))
        }));
    }

    detect_changes: |plan| {
        let parity = numbers(plan, "in/a").detect_changes(|_, number| Ok(number % 2));
        show(&parity.group(first));
    }

    persist: |plan| {
        let kept = numbers(plan, "in/a").map_values(|number| Ok(number / 2)).persist();
        show(&kept.group(first));
        show_as("also", &kept);
    }

    a_shuffled_set_with_two_users: |plan| {
        let grouped = numbers(plan, "in/a").group_by(|key, number| Ok([(number.to_string(), key.clone())]));
        show(&grouped.map_values(|members| Ok(members.len())));
        show_as("also", &grouped.filter(|_, members| Ok(members.len() > 1)));
    }

    parts_by_level: |plan| {
        let level = |level: u8| tiles(plan).filter_by_key(move |tile| tile.level() == level);
        let text = |set: &DataSet<Tile, u64>| set.map_values(|number| Ok(number.to_string()));
        let twos = level(3).group(above).map_values(|members| Ok(members.into_iter().map(|member| member.value).sum::<u64>()));
        let ones = twos.group(above).map_values(|members| Ok(members.into_iter().map(|member| member.value).max().unwrap_or(0)));
        let parts = [text(&ones).publish_part([1]), text(&twos).publish_part([2]), text(&level(3)).publish_part([3])];
        plan.publish_parts(Layer::tiles("out", Grid::Here, [1, 2, 3])?, parts);
    }

    parts_of_layers_alone: |plan| {
        let level = |level: u8| tiles(plan).filter_by_key(move |tile| tile.level() == level);
        let some = level(2).filter(|_, number| Ok(*number != 1)).map_values(|number| Ok(format!("two {number}")));
        let all = level(3).map_values(|number| Ok(format!("three {number}")));
        plan.publish_parts(Layer::tiles("out", Grid::Here, [2, 3])?, [some.publish_part([2]), all.publish_part([3])]);
    }

    read_back: |plan| {
        let small = numbers(plan, "in/a").filter(|_, number| Ok(*number < 3));
        let published = small.map_values(|number| Ok(number.to_string())).publish(Layer::generic("small")?);
        show(&published.read_back().map_values(number).group_by(|key, number| Ok([(number.to_string(), key.clone())])));
    }
}
