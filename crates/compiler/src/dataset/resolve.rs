//! References: values of another set that a step looks up. Every look-up is a tracked read, so the step runs again when what it saw
//! changes, appears or goes.
//!
//! Where the other set is a layer with narrow steps, the look-up reads the layer itself, and the steps run on the partition that is
//! found. Any other set is kept in a private layer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::bail;
use deltic_core::{LayerRef, Name, Tile};

use crate::dataset::flow::{Flow, Narrow, Shape, Then};
use crate::dataset::set::Kind;
use crate::dataset::{Data, DataKey, DataSet};
use crate::error::Result;
use crate::io::context::Context;

/// Looks up keys of a set.
pub struct LookUp<'a, K, V> {
    narrow: &'a Narrow<K, V>,
    total: bool,
    context: &'a Context<'a>,
}

impl<K: DataKey, V: 'static> LookUp<'_, K, V> {
    /// The value of a key. The caller runs again when what it is made from changes, appears or goes.
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        let Some(from) = (self.narrow.source)(key)? else { return Ok(None) };
        match self.context.read(&from.layer.to_string(), &from.name)? {
            Some(partition) => (self.narrow.value)(key, &partition, self.context),
            None => Ok(None),
        }
    }

    /// Reads ahead, with few requests, what [`LookUp::get`] will read for these keys.
    pub fn read_ahead<'k>(&self, keys: impl IntoIterator<Item = &'k K>) -> Result<()>
    where
        K: 'k,
    {
        let mut wanted: BTreeMap<LayerRef, Vec<Name>> = BTreeMap::new();
        for key in keys {
            if let Some(from) = (self.narrow.source)(key)? {
                wanted.entry(from.layer).or_default().push(from.name);
            }
        }
        wanted.iter().try_for_each(|(layer, names)| self.context.read_ahead(&layer.to_string(), names))
    }

    /// Whether the set has a key. The caller runs again only when the key appears or goes, unless the set's values decide whether it has
    /// the key.
    pub fn contains(&self, key: &K) -> Result<bool> {
        if !self.total {
            return Ok(self.get(key)?.is_some());
        }
        let Some(from) = (self.narrow.source)(key)? else { return Ok(false) };
        self.context.exists(&from.layer.to_string(), &from.name)
    }
}

impl<K, V> fmt::Debug for LookUp<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookUp").finish_non_exhaustive()
    }
}

impl<K: DataKey, V: Data> DataSet<K, V> {
    /// Makes a new value of each value, its key, and what `f` looks up in `other`.
    pub fn look_up<K2: DataKey, W: Data, R: Data>(
        &self,
        other: &DataSet<K2, W>,
        f: impl Fn(&K, V, &LookUp<'_, K2, W>) -> Result<R> + Send + Sync + 'static,
    ) -> DataSet<K, R> {
        self.looking("look-up", other, f)
    }

    /// Follows references: `references` returns the keys of `other` that a value refers to, `f` gets their values.
    pub fn resolve<K2: DataKey, W: Data, R: Data>(
        &self,
        other: &DataSet<K2, W>,
        references: impl Fn(&K, &V) -> Result<Vec<K2>> + Send + Sync + 'static,
        f: impl Fn(&K, V, Vec<(K2, Option<W>)>) -> Result<R> + Send + Sync + 'static,
    ) -> DataSet<K, R> {
        self.looking("resolve", other, move |key, value, look| {
            let references = references(key, &value)?;
            look.read_ahead(&references)?;
            let found = references.into_iter().map(|to| {
                let found = look.get(&to)?;
                Ok((to, found))
            });
            let found = found.collect::<Result<_>>()?;
            f(key, value, found)
        })
    }

    /// Looks up the same key in `other`.
    pub fn resolve_same<W: Data, R: Data>(
        &self,
        other: &DataSet<K, W>,
        f: impl Fn(&K, V, Option<W>) -> Result<R> + Send + Sync + 'static,
    ) -> DataSet<K, R> {
        self.looking("resolve-same", other, move |key, value, look| f(key, value, look.get(key)?))
    }

    fn looking<K2: DataKey, W: Data, R: Data>(
        &self,
        kind: &str,
        other: &DataSet<K2, W>,
        f: impl Fn(&K, V, &LookUp<'_, K2, W>) -> Result<R> + Send + Sync + 'static,
    ) -> DataSet<K, R> {
        let (from, to) = (self.clone(), other.clone());
        let f = Arc::new(f);
        self.plan.expect_own(other);
        self.derive(kind, Kind::Narrow, &[other.info()], move |builder| {
            let mut flow = from.flow(builder)?;
            let Flow { about, shape } = to.narrow(builder)?;
            let Shape::Narrow(narrow) = shape else { bail!("a set that is looked up needs one input a key") };
            flow.about.references.extend(about.inputs);
            flow.about.references.extend(about.references);
            flow.about.looks = about.steps;
            let (f, total) = (Arc::clone(&f), about.total);
            let then: Then<K, V, R> = Arc::new(move |key, value, context| {
                f(key, value, &LookUp { narrow: &narrow, total, context }).map(Some)
            });
            Ok(flow.then(true, then))
        })
    }
}

impl<V: Data> DataSet<Tile, V> {
    /// Looks up a tile and its neighbours in `other`: those that exist, at most `radius` columns and rows away, sorted. Cost:
    /// `(2 * radius + 1)^2` look-ups, with few requests.
    pub fn resolve_neighbours<W: Data, R: Data>(
        &self,
        other: &DataSet<Tile, W>,
        radius: u32,
        f: impl Fn(&Tile, V, Vec<(Tile, W)>) -> Result<R> + Send + Sync + 'static,
    ) -> DataSet<Tile, R> {
        let kind = format!("resolve-neighbours {radius}");
        self.looking(&kind, other, move |tile, value, look| {
            let mut around = tile.neighbours(radius);
            around.push(*tile);
            around.sort_unstable();
            look.read_ahead(&around)?;
            let mut found = Vec::new();
            for tile in around {
                found.extend(look.get(&tile)?.map(|value| (tile, value)));
            }
            f(tile, value, found)
        })
    }
}
