//! The expected shape of a tree, and the nodes that changes touch in it.
//!
//! A key ends a node of level `l` when `6 + 7·l` bits of its hash are zero, so the number of keys below such a node is
//! geometrically distributed with mean `m = 64·128^l`, independently of its neighbours. From that follows,
//! with `n` keys, `L = n / m` nodes, and `k` changed keys:
//!
//! | | scattered | one region |
//! |---|---|---|
//! | nodes touched | `k·L / (k + L)` | `1 + (k - 1) / m` |
//! | keys below them | `n·(1 - (L / (L + k))²)` | `k - 1 + 2·m` |
//!
//! One changed key is in both columns: one node, with twice the mean below it, because a random key is in a large node more often.

/// Mean number of entries of a leaf, and of a node of any other level.
const LEAF: f64 = 64.0;
const FANOUT: f64 = 128.0;

/// A tree of a number of keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree {
    pub(crate) keys: f64,
}

/// The distribution of changed keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    Scattered,
    Region,
}

/// Nodes and entries of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Touched {
    pub(crate) leaves: f64,
    pub(crate) leaf_entries: f64,
    pub(crate) inner: f64,
    pub(crate) inner_entries: f64,
}

impl Tree {
    /// Expected nodes of a level; the root's level has one.
    pub(crate) fn nodes(self, level: i32) -> f64 {
        (self.keys / (LEAF * FANOUT.powi(level))).max(1.0)
    }

    /// The level of the root: the first that is expected to have hardly more than one node.
    pub(crate) fn root_level(self) -> i32 {
        (0..9).find(|level| self.nodes(*level) < 1.5).unwrap_or(9)
    }

    /// The probability that some neighbouring keys do not all lie in one leaf, or end exactly where it ends: then a walk over
    /// them continues to the next leaf.
    pub(crate) fn crosses(neighbours: f64) -> f64 {
        1.0 - (1.0 - 1.0 / LEAF).powf(neighbours)
    }

    /// Nodes of all levels.
    pub(crate) fn shape(self) -> Touched {
        self.sum(|level| (self.nodes(level), if level == 0 { self.keys } else { self.nodes(level - 1) }))
    }

    /// Distinct nodes of a level above `changed` keys.
    pub(crate) fn touched_nodes(self, level: i32, changed: f64, spread: Spread) -> f64 {
        let nodes = self.nodes(level);
        if level >= self.root_level() {
            return 1.0;
        }
        match spread {
            Spread::Scattered => changed * nodes / (changed + nodes - 1.0),
            Spread::Region => 1.0 + (changed - 1.0) * nodes / self.keys,
        }
    }

    /// Keys below the nodes of a level that lie above `changed` keys.
    pub(crate) fn keys_below(self, level: i32, changed: f64, spread: Spread) -> f64 {
        let nodes = self.nodes(level);
        if level >= self.root_level() {
            return self.keys;
        }
        let keys = match spread {
            Spread::Scattered => self.keys * (1.0 - ((nodes - 1.0) / (nodes - 1.0 + changed)).powi(2)),
            Spread::Region => changed - 1.0 + 2.0 * self.keys / nodes,
        };
        keys.min(self.keys)
    }

    /// Entries of a level for each key.
    pub(crate) fn entries_a_key(self, level: i32) -> f64 {
        if level == 0 { 1.0 } else { self.nodes(level - 1) / self.keys }
    }

    /// Nodes above `changed` keys, of all levels.
    pub(crate) fn touched(self, changed: f64, spread: Spread) -> Touched {
        self.sum(|level| {
            let keys = self.keys_below(level, changed, spread);
            (self.touched_nodes(level, changed, spread), keys * self.entries_a_key(level))
        })
    }

    fn sum(self, of_level: impl Fn(i32) -> (f64, f64)) -> Touched {
        let (leaves, leaf_entries) = of_level(0);
        let mut all = Touched { leaves, leaf_entries, ..Touched::default() };
        for level in 1..=self.root_level() {
            let (nodes, entries) = of_level(level);
            all.inner += nodes;
            all.inner_entries += entries;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a line of keys at random, with the right probability, and counts the nodes that changes touch.
    fn cut(keys: u64, changed: &[u64]) -> (u64, u64) {
        let (mut touched, mut below, mut size, mut hit) = (0, 0, 0, false);
        let mut state = 1u64;
        for key in 0..keys {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            size += 1;
            hit |= changed.binary_search(&key).is_ok();
            if (state >> 40).is_multiple_of(64) {
                (touched, below) = (touched + u64::from(hit), below + if hit { size } else { 0 });
                (size, hit) = (0, false);
            }
        }
        (touched, below)
    }

    /// A number that has nothing to do with where nodes end.
    fn spread_out(n: u64) -> u64 {
        let bytes = *blake3::hash(&(n ^ 0x5eed_0000_0000).to_be_bytes()).as_bytes();
        u64::from_le_bytes(bytes[8..16].try_into().unwrap())
    }

    #[test]
    fn formulas_agree_with_random_draws() {
        let tree = Tree { keys: 2_000_000.0 };
        for (step, spread) in [(400, Spread::Scattered), (4000, Spread::Scattered), (1, Spread::Region)] {
            let changed: Vec<u64> = match spread {
                // Even steps would be too regular: each key changes or not independently.
                Spread::Scattered => (0..2_000_000).filter(|n| spread_out(*n).is_multiple_of(step)).collect(),
                // Large, because the number of nodes in a region varies by its square root.
                Spread::Region => (1_000_000..1_400_000).collect(),
            };
            let (nodes, below) = cut(2_000_000, &changed);
            let expected = tree.touched(changed.len() as f64, spread);
            let off = |measured: u64, expected: f64| (measured as f64 / expected - 1.0).abs();
            assert!(off(nodes, expected.leaves) < 0.06, "{nodes} nodes, {expected:?}");
            assert!(off(below, expected.leaf_entries) < 0.06, "{below} keys below, {expected:?}");
        }
    }

    #[test]
    fn one_change_is_a_path_with_twice_the_mean() {
        let tree = Tree { keys: 1e8 };
        assert_eq!(tree.root_level(), 3);
        let (one, same) = (tree.touched(1.0, Spread::Scattered), tree.touched(1.0, Spread::Region));
        assert_eq!((one.leaves, one.inner), (1.0, 3.0));
        assert!((one.leaf_entries - 128.0).abs() < 1.0 && (same.leaf_entries - 128.0).abs() < 1.0, "{one:?} {same:?}");
    }
}
