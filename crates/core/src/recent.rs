//! A cache that keeps what was used last, bounded by weight.

use std::hash::Hash;

use quick_cache::sync::{Cache, DefaultLifecycle, GuardResult};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// The least weight of a value that shards are made for, about.
const USUAL_WEIGHT: u64 = 4 << 10;

/// The part of the limit that is for what was used again. The other half is for newcomers: what was read ahead is not to be
/// pushed out before it is used.
const USED_AGAIN: f64 = 0.5;

/// More than any machine has. The crate adds to its limit, and must not overflow.
const MAX_LIMIT: u64 = 1 << 50;

/// A cache that threads share, for values with weights, often their bytes. What was not used since it was inserted goes first.
///
/// It is divided into shards of equal limits, which threads lock one by one. The weights of what is held sum up to at most
/// `limit`, unless one value alone has more than half of a shard: it counts as half. Cost: a look-up, and a clone of the value.
#[derive(Debug)]
pub struct Recent<K, V> {
    cache: Cache<K, Weighed<V>, ByWeight>,
    /// The most that a value counts: a shard refuses what has more.
    most: u64,
}

#[derive(Debug, Clone)]
struct Weighed<V> {
    value: V,
    weight: u64,
}

#[derive(Debug, Clone)]
struct ByWeight;

impl<K, V> Weighter<K, Weighed<V>> for ByWeight {
    fn weight(&self, _: &K, value: &Weighed<V>) -> u64 {
        value.weight
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Recent<K, V> {
    /// An empty cache. With one shard, what it drops depends on the order of calls alone; with more, on a random hash too.
    pub fn new(limit: u64, shards: usize) -> Recent<K, V> {
        let limit = limit.min(MAX_LIMIT);
        let options = OptionsBuilder::new()
            .shards(shards)
            .weight_capacity(limit)
            .estimated_items_capacity((limit / USUAL_WEIGHT) as usize)
            .hot_allocation(USED_AGAIN)
            .build()
            .expect("both capacities are set");
        let cache = Cache::with_options(options, ByWeight, DefaultHashBuilder::default(), DefaultLifecycle::default());
        let most = cache.shard_capacity() / 2;
        Recent { cache, most }
    }

    /// The value of a key, which counts as a use of it.
    pub fn get(&self, key: &K) -> Option<V> {
        self.cache.get(key).map(|found| found.value)
    }

    /// The same, and waits for a value that another thread is about to get in [`Recent::get_or_insert_with`].
    pub fn get_awaited(&self, key: &K) -> Option<V> {
        match self.cache.get_value_or_guard(key, None) {
            GuardResult::Value(found) => Some(found.value),
            GuardResult::Guard(_) | GuardResult::Timeout => None,
        }
    }

    /// The value of a key, or what `get` gives, which is kept. One thread calls `get` at a time for a key. Others that ask for the
    /// key wait for its value; where it fails, the next of them calls its own.
    pub fn get_or_insert_with<E>(&self, key: &K, weight: u64, get: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        self.cache.get_or_insert_with(key, || Ok(self.weighed(get()?, weight))).map(|found| found.value)
    }

    /// Sets the value of a key.
    pub fn insert(&self, key: K, value: V, weight: u64) {
        self.cache.insert(key, self.weighed(value, weight));
    }

    /// What has no weight would never be dropped.
    fn weighed(&self, value: V, weight: u64) -> Weighed<V> {
        Weighed { value, weight: weight.min(self.most).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn used_values_stay_and_unused_values_go() {
        let cache = Recent::new(20, 1);
        for key in 0..100 {
            cache.insert(key, key * 10, 1);
            assert_eq!(cache.get(&0), Some(0), "used all the time, with {key} others");
            assert!(cache.cache.weight() <= 20);
        }
        assert_eq!(cache.get(&99), Some(990));
        assert_eq!(cache.get(&50), None);
    }

    #[test]
    fn no_limit_is_too_large() {
        let cache = Recent::new(u64::MAX, 1);
        cache.insert(1, 1, u64::MAX);
        cache.insert(2, 2, u64::MAX);
        assert_eq!(cache.get(&1), Some(1));
    }

    #[test]
    fn what_is_read_ahead_stays_until_it_is_used() {
        let cache = Recent::new(100, 1);
        for key in 0..1000 {
            cache.insert(key, (), 1);
            cache.get(&key);
        }
        for ahead in 1..20 {
            let keys = ahead * 1000..ahead * 1000 + 25;
            keys.clone().for_each(|key| cache.insert(key, (), 1));
            keys.clone().for_each(|key| cache.insert(-key, (), 1));
            keys.for_each(|key| assert_eq!(cache.get(&key), Some(()), "{key}"));
        }
    }

    #[test]
    fn the_weight_of_values_counts() {
        let cache = Recent::new(20, 1);
        cache.insert("a", 1, 6);
        cache.insert("a", 2, 4);
        cache.insert("b", 1, 6);
        assert_eq!((cache.get(&"a"), cache.get(&"b")), (Some(2), Some(1)), "the two have half of the limit");
        assert_eq!(cache.cache.weight(), 10);
        cache.insert("large", 1, 1000);
        assert_eq!(cache.get(&"large"), Some(1), "one alone may have more");
        assert_eq!(cache.cache.weight(), 20, "it counts as half");
        cache.insert("larger", 1, 2000);
        assert_eq!(cache.get(&"larger"), Some(1), "another one takes its place, or that of the two");
        assert_eq!(cache.cache.weight(), 20);
    }

    #[test]
    fn what_has_no_weight_is_dropped_too() {
        let cache = Recent::new(20, 1);
        (0..100).for_each(|key| cache.insert(key, (), 0));
        assert_eq!(cache.cache.len(), 20);
    }

    #[test]
    fn a_value_is_got_once_and_again_where_it_failed() {
        let (cache, calls) = (Recent::new(20, 1), AtomicU32::new(0));
        let failing = || if calls.fetch_add(1, Ordering::Relaxed) < 3 { Err(()) } else { Ok(7) };
        let failed = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| cache.get_or_insert_with(&1, 1, failing))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(Result::is_err).count()
        });
        assert_eq!((failed, calls.into_inner(), cache.get_awaited(&1), cache.get_awaited(&2)), (3, 4, Some(7), None));
    }
}
