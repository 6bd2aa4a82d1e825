//! Sets under the same keys: joins and unions.

use crate::dataset::flow::Flow;
use crate::dataset::set::Kind;
use crate::dataset::{Data, DataKey, DataSet, merge};
use crate::error::Result;

impl<K: DataKey, V: Data> DataSet<K, V> {
    /// The keys that both sets have, with both values.
    pub fn join<W: Data>(&self, other: &DataSet<K, W>) -> DataSet<K, (V, W)> {
        self.joined("join", other, |left, right| Some((left?, right?)))
    }

    /// All keys of this set, with the other's value where it has one.
    pub fn left_outer_join<W: Data>(&self, other: &DataSet<K, W>) -> DataSet<K, (V, Option<W>)> {
        self.joined("left-outer-join", other, |left, right| Some((left?, right)))
    }

    /// The keys of either set, with the value of each where it has one.
    pub fn outer_join<W: Data>(&self, other: &DataSet<K, W>) -> DataSet<K, (Option<V>, Option<W>)> {
        self.joined("outer-join", other, |left, right| (left.is_some() || right.is_some()).then_some((left, right)))
    }

    /// The keys and values of both sets. A key in both sets is an error that names where both values come from.
    pub fn union(&self, other: &DataSet<K, V>) -> DataSet<K, V> {
        let (left, right) = (self.clone(), other.clone());
        self.plan.expect_own(other);
        self.derive("union", Kind::Core, &[other.info()], move |builder| {
            merge::union(vec![left.aligned(builder)?, right.aligned(builder)?], false)
        })
    }

    fn joined<W: Data, R: Data>(
        &self,
        kind: &str,
        other: &DataSet<K, W>,
        join: fn(Option<V>, Option<W>) -> Option<R>,
    ) -> DataSet<K, R> {
        let (left, right) = (self.clone(), other.clone());
        self.plan.expect_own(other);
        self.derive(kind, Kind::Core, &[other.info()], move |builder| -> Result<Flow<K, R>> {
            merge::join(left.aligned(builder)?, right.aligned(builder)?, join)
        })
    }
}
