//! The ends of stages: private layers between stages, and published layers.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::ensure;
use deltic_core::{Layer, LayerId, LayerRef, Payload, Scheme, Tile};

use crate::dataset::compilers::Encode;
use crate::dataset::plan::DataPlan;
use crate::dataset::set::Kind;
use crate::dataset::value::Encoded;
use crate::dataset::{Data, DataKey, DataSet, merge};
use crate::error::Result;
use crate::io::partition::Partition;

/// A layer that a plan publishes.
#[derive(Debug, Clone)]
pub struct Published<K> {
    plan: DataPlan,
    layer: LayerId,
    keys: PhantomData<fn() -> K>,
}

impl<K: DataKey> Published<K> {
    /// The layer as it is after publishing, as a new set.
    pub fn read_back(&self) -> DataSet<K, Partition> {
        DataSet::of_layer(&self.plan, &LayerRef { catalog: None, layer: self.layer.clone() })
    }
}

impl<K: DataKey, V: Data> DataSet<K, V> {
    /// Keeps the set in a private layer. Later steps see a change only where a value differs, and earlier steps run once, however many
    /// sets follow.
    pub fn persist(&self) -> DataSet<K, V> {
        let from = self.clone();
        self.derive("persist", Kind::Boundary, &[], move |builder| from.flow(builder))
    }

    /// Lets a change through only where the result of `relevant` differs. Later steps see that result, not the value.
    ///
    /// So return the part of the value that matters, not a digest of it. With a digest, later steps would still need the whole value,
    /// and would not run again when the part that the digest leaves out changes.
    pub fn detect_changes<D: Data>(
        &self,
        relevant: impl Fn(&K, V) -> Result<D> + Send + Sync + 'static,
    ) -> DataSet<K, D> {
        let from = self.clone();
        let relevant = Arc::new(relevant);
        self.derive("detect-changes", Kind::Boundary, &[], move |builder| {
            let relevant = Arc::clone(&relevant);
            Ok(from.flow(builder)?.then(true, Arc::new(move |key, value, _| relevant(key, value).map(Some))))
        })
    }

    /// Publishes the values as the partitions of a layer.
    pub fn publish(&self, layer: Layer) -> Published<K>
    where
        V: Into<Payload>,
    {
        self.publish_with(layer, |_, value| Ok(Some(value.into())))
    }

    /// Publishes the result of `f` for each value; for `None` there is no partition.
    pub fn publish_with(
        &self,
        layer: Layer,
        f: impl Fn(&K, V) -> Result<Option<Payload>> + Send + Sync + 'static,
    ) -> Published<K> {
        self.used();
        let from = self.clone();
        let published = Published { plan: self.plan.clone(), layer: layer.id.clone(), keys: PhantomData };
        let encode: Encode<K, V> = Arc::new(f);
        let of = [Rc::clone(self.info())];
        self.plan.add_goal(layer.id.clone(), of, move |builder| {
            let flow = from.flow(builder)?;
            builder.publish(flow, layer, encode)
        });
        published
    }
}

/// A part of a tile layer: the tiles of some levels.
#[derive(Clone)]
pub struct Part {
    levels: BTreeSet<u8>,
    set: DataSet<Tile, Encoded>,
}

impl<V: Data + Into<Payload>> DataSet<Tile, V> {
    /// Makes the set the part of a layer that holds these levels; a tile of another level is an error. See
    /// [`DataPlan::publish_parts`].
    pub fn publish_part(&self, levels: impl IntoIterator<Item = u8>) -> Part {
        let levels: BTreeSet<u8> = levels.into_iter().collect();
        let allowed = levels.clone();
        let check = move |tile: &Tile| {
            let level = tile.level();
            ensure!(
                allowed.contains(&level),
                "tile `{tile}` has level {level}, which is not one of its part {allowed:?}"
            );
            Ok(vec![*tile])
        };
        let of_levels = self.rekey_or_fail(&format!("part {levels:?}"), check, |tile| Some(*tile));
        Part { levels, set: of_levels.map_values(|value| Ok(Encoded(value.into()))) }
    }
}

impl DataPlan {
    /// Publishes a tile layer that consists of several parts, each with levels of its own.
    ///
    /// Parts from narrow sets and joins are compiled directly into the layer. A part that ends in a shuffle is first kept in a private
    /// layer, and then copied.
    pub fn publish_parts(&self, layer: Layer, parts: impl IntoIterator<Item = Part>) -> Published<Tile> {
        let parts: Vec<Part> = parts.into_iter().collect();
        let mut taken = BTreeSet::new();
        for part in &parts {
            part.set.used();
            self.expect_own(&part.set);
            for level in &part.levels {
                if !taken.insert(*level) {
                    self.problem(format!("layer `{}`: two parts have level {level}", layer.id));
                }
                if !matches!(&layer.scheme, Scheme::Tile(_, levels) if levels.contains(*level)) {
                    self.problem(format!(
                        "layer `{}`: a part has level {level}, which the layer does not have",
                        layer.id
                    ));
                }
            }
        }
        if parts.is_empty() {
            self.problem(format!("layer `{}` has no parts", layer.id));
        }
        let published = Published { plan: self.clone(), layer: layer.id.clone(), keys: PhantomData };
        let of: Vec<_> = parts.iter().map(|part| Rc::clone(part.set.info())).collect();
        self.add_goal(layer.id.clone(), of, move |builder| {
            let flows = parts.iter().map(|part| part.set.aligned(builder)).collect::<Result<Vec<_>>>()?;
            let encode: Encode<Tile, Encoded> = Arc::new(|_, value| Ok(Some(value.0)));
            let flow = merge::union(flows, true)?;
            builder.publish(flow, layer, encode)
        });
        published
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("levels", &self.levels).finish_non_exhaustive()
    }
}
