//! Shuffles: groups by key alone, and groups by content.

use std::sync::Arc;

use anyhow::bail;
use deltic_core::Key;

use crate::dataset::flow::{About, Back, Flow, Front, Sender, Shape};
use crate::dataset::set::Kind;
use crate::dataset::stages::Builder;
use crate::dataset::value::{Member, Raw, decode, encode};
use crate::dataset::{Data, DataKey, DataSet};
use crate::error::Result;
use crate::io::context::Context;
use crate::io::partition::Input;

impl<K: DataKey, V: Data> DataSet<K, V> {
    /// Gathers all values whose keys map to the same key: many to one, by the key alone. They come sorted by key.
    ///
    /// Only keys are decoded and shuffled. A change runs the steps before it for all members of its group.
    pub fn group<K2: DataKey>(&self, by: impl Fn(&K) -> K2 + Send + Sync + 'static) -> DataSet<K2, Vec<Member<K, V>>> {
        let from = self.clone();
        let by = Arc::new(by);
        self.derive("group", Kind::Core, &[], move |builder| {
            let by = Arc::clone(&by);
            from.aligned(builder)?.gather(move |key| by(key))
        })
    }

    /// Sends any number of values to keys that depend on content, and gathers them, ordered by the inputs that they came from.
    ///
    /// `by` may return a `Vec`, an `Option`, an array.
    pub fn group_by<K2: DataKey, T: Data, I: IntoIterator<Item = (K2, T)>>(
        &self,
        by: impl Fn(&K, V) -> Result<I> + Send + Sync + 'static,
    ) -> DataSet<K2, Vec<T>> {
        self.shuffle("group-by", by, |_, values| values.map(|(_, value)| decode(&value.0)).collect::<Result<_>>())
    }

    /// Sends any number of values to keys that depend on content, and merges the values of each key into one.
    ///
    /// Values are merged in the order of the inputs that they came from, so `merge` need not be commutative. Only one value is in
    /// memory.
    pub fn reduce<K2: DataKey, T: Data, I: IntoIterator<Item = (K2, T)>>(
        &self,
        by: impl Fn(&K, V) -> Result<I> + Send + Sync + 'static,
        merge: impl Fn(T, T) -> Result<T> + Send + Sync + 'static,
    ) -> DataSet<K2, T> {
        self.shuffle("reduce", by, move |key, values| {
            let mut merged: Option<T> = None;
            for (_, value) in values {
                let value = decode(&value.0)?;
                merged = Some(match merged {
                    Some(before) => merge(before, value)?,
                    None => value,
                });
            }
            merged.ok_or_else(|| anyhow::anyhow!("no value came for key `{key}`"))
        })
    }

    /// Sends any number of values to keys that depend on content. All keys must differ: two values for one key are an error that names
    /// where both came from.
    pub fn unique<K2: DataKey, T: Data, I: IntoIterator<Item = (K2, T)>>(
        &self,
        by: impl Fn(&K, V) -> Result<I> + Send + Sync + 'static,
    ) -> DataSet<K2, T> {
        self.shuffle("unique", by, |key, values| {
            let Some((first, value)) = values.next() else { bail!("no value came for key `{key}`") };
            if let Some((second, _)) = values.next() {
                bail!("key `{key}` is not unique: it comes from {first} and from {second}");
            }
            decode(&value.0)
        })
    }

    fn shuffle<K2: DataKey, T: Data, R: Data, I: IntoIterator<Item = (K2, T)>>(
        &self,
        kind: &str,
        by: impl Fn(&K, V) -> Result<I> + Send + Sync + 'static,
        make: impl Fn(&K2, &mut dyn Iterator<Item = (Key, Raw)>) -> Result<R> + Send + Sync + 'static,
    ) -> DataSet<K2, R> {
        let from = self.clone();
        let (by, make) = (Arc::new(by), Arc::new(make));
        self.derive(kind, Kind::Core, &[], move |builder: &mut Builder| {
            let Flow { about, shape } = from.narrow(builder)?;
            let Shape::Narrow(narrow) = shape else { bail!("a shuffle by content needs one input a key") };
            let (by, make) = (Arc::clone(&by), Arc::clone(&make));
            let front: Front<K2> = Arc::new(move |input: &Input, context: &Context<'_>, send: &mut Sender<'_, K2>| {
                for key in (narrow.keys)(&input.key)? {
                    let Some(value) = (narrow.value)(&key, input, context)? else { continue };
                    for (to, value) in by(&key, value)? {
                        send(to, encode(&value)?)?;
                    }
                }
                Ok(())
            });
            let back: Back<K2, R> =
                Arc::new(move |key: &K2, values: &mut dyn Iterator<Item = (Key, Raw)>, _: &Context<'_>| {
                    make(key, values).map(Some)
                });
            // A key exists because a value was sent to it, so every key has a value.
            Ok(Flow { about: About { total: true, ..about }, shape: Shape::Group(front, back) })
        })
    }
}
