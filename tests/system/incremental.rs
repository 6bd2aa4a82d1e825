//! Invariant 1: for any tasks and any history, incremental runs give the same result as a run from scratch.

use deltic::prelude::*;
use deltic_testkit::{Edit, RandomHistory, Step, check_incremental};
use proptest::prelude::*;

use crate::patterns::{TILES, random_tasks};

fn history(steps: usize) -> RandomHistory {
    let names = RandomHistory::generic_names(4);
    let layers = vec![("in/a".to_owned(), names), (TILES.to_owned(), RandomHistory::tile_names(3))];
    RandomHistory { layers, steps, contents: 5 }
}

/// A history that begins with a step which fills the layers a little, so that later ones meet something, and which has
/// a tile, by which the layer of tiles is known to be one.
fn filled(steps: usize, seed: u64) -> Vec<Step> {
    let mut first = vec![Edit { layer: TILES.to_owned(), name: Name::Tile(Tile::ROOT), payload: Some("1".into()) }];
    first.extend(history(6).make(seed ^ 1).concat());
    [vec![first], history(steps).make(seed)].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn random_tasks_over_random_histories_equal_scratch(seed: u64, steps in 2usize..9) {
        check_incremental(&random_tasks(seed), &filled(steps, seed));
    }
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-tests -- --ignored many_seeds` looks longer.
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn many_seeds() {
    for seed in crate::seeds::seeds("0..1000") {
        let caught = std::panic::catch_unwind(|| check_incremental(&random_tasks(seed), &filled(8, seed)));
        assert!(caught.is_ok(), "seed {seed}");
    }
}
