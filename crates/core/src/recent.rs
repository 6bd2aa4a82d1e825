//! A cache that keeps what was used last, bounded by weight.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A cache of two generations. A value that is used moves to the young generation. When that is full, it becomes the old one, and what was
/// left in the old one is dropped.
///
/// The weights of the values add up to at most `limit`, unless a single value has more than half of it. Cost: at most two look-ups.
#[derive(Debug)]
pub struct Recent<K, V> {
    limit: u64,
    young: HashMap<K, (V, u64)>,
    old: HashMap<K, (V, u64)>,
    young_weight: u64,
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    /// An empty cache for values of this total weight, which is often their bytes.
    pub fn new(limit: u64) -> Recent<K, V> {
        Recent { limit, young: HashMap::new(), old: HashMap::new(), young_weight: 0 }
    }

    /// The value of a key. Counts as a use.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if let Some((found, _)) = self.young.get(key) {
            return Some(found.clone());
        }
        let (key, (found, weight)) = self.old.remove_entry(key)?;
        self.insert(key, found.clone(), weight);
        Some(found)
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: K, value: V, weight: u64) {
        if self.young_weight.saturating_add(weight) > self.limit / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_weight = 0;
        }
        let before = self.young.insert(key, (value, weight)).map_or(0, |(_, weight)| weight);
        self.young_weight = self.young_weight - before + weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_values_stay_and_unused_values_go() {
        let mut cache = Recent::new(20);
        for key in 0..100 {
            cache.insert(key, key * 10, 1);
            assert_eq!(cache.get(&0), Some(0), "used all the time, with {key} others");
            assert!(cache.young.len() + cache.old.len() <= 20);
        }
        assert_eq!(cache.get(&99), Some(990));
        assert_eq!(cache.get(&50), None);
    }

    #[test]
    fn the_weight_of_values_counts() {
        let mut cache = Recent::new(20);
        cache.insert("a", 1, 6);
        cache.insert("a", 2, 4);
        cache.insert("b", 1, 6);
        assert_eq!((cache.get("a"), cache.get("b")), (Some(2), Some(1)), "the two have ten, half of the limit");
        cache.insert("c", 1, 1);
        cache.insert("large", 1, 1000);
        assert_eq!((cache.get("a"), cache.get("b")), (None, None), "neither was used since");
        assert_eq!(cache.get("large"), Some(1), "one alone may have more");
    }
}
