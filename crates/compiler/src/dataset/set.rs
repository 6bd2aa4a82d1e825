//! A data set and the narrow steps: those that fuse into the stage beside them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use deltic_core::{Key, LayerRef};

use crate::dataset::flow::{self, About, Flow, Forward, Inverse, Narrow, Shape, StageName, Step, Then};
use crate::dataset::plan::{DataPlan, Info, Reported};
use crate::dataset::stages::Builder;
use crate::dataset::{Data, DataKey};
use crate::error::Result;
use crate::io::context::Context;
use crate::io::partition::{Input, Partition};

/// Values under keys, each key once: a layer, or what became of some. A cheap handle to a node of a [`DataPlan`].
///
/// Closures must be functions of what they are given alone, as all compiler code. Those that see keys alone return what
/// they make; those that see values return a `Result`, and an error ends the run with the partition it is about.
pub struct DataSet<K, V> {
    pub(super) plan: DataPlan,
    node: Rc<Node<K, V>>,
}

struct Node<K, V> {
    info: Rc<Info>,
    make: Make<K, V>,
    is_boundary: bool,
    /// The private layer, once the set is kept in one.
    kept: RefCell<Option<Flow<K, V>>>,
}

/// What a set amounts to within a stage.
type Make<K, V> = Box<dyn Fn(&mut Builder) -> Result<Flow<K, V>>>;

/// What a new set is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Fuses into what it follows.
    Narrow,
    /// A stage can be called after it.
    Core,
    /// The same, and it ends its stage: it is kept whatever follows.
    Boundary,
}

impl<K, V> Clone for DataSet<K, V> {
    fn clone(&self) -> DataSet<K, V> {
        DataSet { plan: self.plan.clone(), node: Rc::clone(&self.node) }
    }
}

impl<K, V> fmt::Debug for DataSet<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.info.fmt(f)
    }
}

impl<K: DataKey> DataSet<K, Partition> {
    pub(super) fn of_layer(plan: &DataPlan, layer: &LayerRef) -> DataSet<K, Partition> {
        let source = flow::of_layer(layer, Arc::new(|input: &Input| Ok(input.clone())));
        DataSet::source(plan, [layer.to_string()].into(), Some(source))
    }

    /// Stands for a layer whose name is none, which the plan reports.
    pub(super) fn of_no_layer(plan: &DataPlan, layer: &str) -> DataSet<K, Partition> {
        DataSet::source(plan, [layer.to_owned()].into(), None)
    }

    fn source(plan: &DataPlan, roots: BTreeSet<String>, source: Option<Flow<K, Partition>>) -> DataSet<K, Partition> {
        let info = plan.add_node("layer".to_owned(), false, roots);
        let make = Box::new(move |_: &mut Builder| source.clone().ok_or_else(|| Reported.into()));
        DataSet { plan: plan.clone(), node: Rc::new(Node { info, make, is_boundary: false, kept: RefCell::default() }) }
    }
}

impl DataSet<Key, Partition> {
    pub(super) fn of_layers(plan: &DataPlan, layers: &BTreeSet<LayerRef>) -> DataSet<Key, Partition> {
        let known = layers.clone();
        let narrow = Narrow {
            keys: Arc::new(|key: &Key| Ok(vec![key.clone()])),
            source: Arc::new(move |key: &Key| Ok(known.contains(&key.layer).then(|| key.clone()))),
            value: Arc::new(|_: &Key, input: &Input, _: &Context<'_>| Ok(Some(input.clone()))),
        };
        let about = About { inputs: layers.clone(), total: true, ..About::default() };
        let roots = layers.iter().map(ToString::to_string).collect();
        DataSet::source(plan, roots, Some(Flow { about, shape: Shape::Narrow(narrow) }))
    }
}

impl<K: DataKey, V: Data> DataSet<K, V> {
    /// Gives the set an id. A stage that keeps the set is called so, and finds its state under that name; it should stay
    /// the same for good.
    #[must_use]
    pub fn id(self, id: &str) -> DataSet<K, V> {
        let shown = self.node.info.show();
        if let Err(error) = deltic_core::TaskId::new(id) {
            self.plan.problem(format!("the id of {shown}: {error}"));
        }
        if self.node.info.explicit.replace(Some(id.to_owned())).is_some() {
            self.plan.problem(format!("{shown} is given a second id, `{id}`"));
        }
        self
    }

    /// Says what the set was called until now, so that its stage keeps its state: `.id("lines").previously("by-tile")`. Of
    /// several earlier ids say the newest first. What [`Stages`](crate::Stages) prints behind the plan's id can be said too,
    /// of a set that had no id; others that are alike keep their numbers. Its private layer keeps the oldest name, so leave
    /// these in the code for good.
    ///
    /// That no stage is called after the set, because it is fused into another or published, is a mistake that
    /// [`DataPlan::finish`] reports.
    #[must_use]
    pub fn previously(self, id: &str) -> DataSet<K, V> {
        match deltic_core::TaskId::new(id) {
            Ok(_) => self.node.info.earlier.borrow_mut().push(id.to_owned()),
            Err(error) => self.plan.problem(format!("the earlier id of {}: {error}", self.node.info.show())),
        }
        self
    }

    /// States the version of this step's code. A step that gets another version makes its own stage full, where another
    /// version of the plan makes all of its stages so.
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> DataSet<K, V> {
        self.node.info.version.replace(Some(version.into()));
        self
    }

    /// Makes another value of each value.
    pub fn map_values<R: Data>(&self, f: impl Fn(V) -> Result<R> + Send + Sync + 'static) -> DataSet<K, R> {
        self.then("map-values", true, Arc::new(move |_, value, _| f(value).map(Some)))
    }

    /// Makes another value of each value and its key.
    pub fn map_values_with_key<R: Data>(
        &self,
        f: impl Fn(&K, V) -> Result<R> + Send + Sync + 'static,
    ) -> DataSet<K, R> {
        self.then("map-values", true, Arc::new(move |key, value, _| f(key, value).map(Some)))
    }

    /// Drops what `keep` says no to.
    pub fn filter(&self, keep: impl Fn(&K, &V) -> Result<bool> + Send + Sync + 'static) -> DataSet<K, V> {
        self.then("filter", false, Arc::new(move |key, value, _| Ok(keep(key, &value)?.then_some(value))))
    }

    /// Drops the keys that `keep` says no to. Their partitions are never read.
    pub fn filter_by_key(&self, keep: impl Fn(&K) -> bool + Send + Sync + 'static) -> DataSet<K, V> {
        let keep = Arc::new(keep);
        let again = Arc::clone(&keep);
        self.rekey(
            "filter-by-key",
            move |key| if keep(key) { vec![key.clone()] } else { Vec::new() },
            move |key| again(key).then(|| key.clone()),
        )
    }

    /// Renames keys one to one. `inverse` takes every new key back to the old one, and says `None` to what is no new key;
    /// it is checked at each call.
    pub fn map_keys<K2: DataKey>(
        &self,
        forward: impl Fn(&K) -> K2 + Send + Sync + 'static,
        inverse: impl Fn(&K2) -> Option<K> + Send + Sync + 'static,
    ) -> DataSet<K2, V> {
        self.rekey("map-keys", move |key| vec![forward(key)], inverse)
    }

    /// Puts each value under any number of keys. `inverse` takes every new key back to the one that it comes from, and
    /// says `None` to what is no new key; it is checked at each call.
    ///
    /// Steps before it run once for each new key: [`DataSet::persist`] what is costly.
    pub fn flat_map_keys<K2: DataKey>(
        &self,
        forward: impl Fn(&K) -> Vec<K2> + Send + Sync + 'static,
        inverse: impl Fn(&K2) -> Option<K> + Send + Sync + 'static,
    ) -> DataSet<K2, V> {
        self.rekey("flat-map-keys", forward, inverse)
    }

    fn then<R: Data>(&self, kind: &str, total: bool, then: Then<K, V, R>) -> DataSet<K, R> {
        let from = self.clone();
        self.derive(kind, Kind::Narrow, &[], move |builder| Ok(from.flow(builder)?.then(total, Arc::clone(&then))))
    }

    pub(super) fn rekey<K2: DataKey>(
        &self,
        kind: &str,
        forward: impl Fn(&K) -> Vec<K2> + Send + Sync + 'static,
        inverse: impl Fn(&K2) -> Option<K> + Send + Sync + 'static,
    ) -> DataSet<K2, V> {
        self.rekey_or_fail(kind, move |key| Ok(forward(key)), inverse)
    }

    pub(super) fn rekey_or_fail<K2: DataKey>(
        &self,
        kind: &str,
        forward: impl Fn(&K) -> Result<Vec<K2>> + Send + Sync + 'static,
        inverse: impl Fn(&K2) -> Option<K> + Send + Sync + 'static,
    ) -> DataSet<K2, V> {
        let from = self.clone();
        let forward: Forward<K, K2> = Arc::new(forward);
        let inverse: Inverse<K2, K> = Arc::new(inverse);
        self.derive(kind, Kind::Narrow, &[], move |builder| {
            Ok(from.flow(builder)?.rekey(&forward, Arc::clone(&inverse)))
        })
    }

    /// A new set that comes from this one and the `others`.
    pub(super) fn derive<K2: DataKey, R: Data>(
        &self,
        kind: &str,
        what: Kind,
        others: &[&Rc<Info>],
        make: impl Fn(&mut Builder) -> Result<Flow<K2, R>> + 'static,
    ) -> DataSet<K2, R> {
        let mut roots = self.node.info.roots.clone();
        self.used();
        for other in others {
            roots.extend(other.roots.iter().cloned());
            other.users.set(other.users.get() + 1);
        }
        let info = self.plan.add_node(kind.to_owned(), !matches!(what, Kind::Narrow), roots);
        let named = Rc::clone(&info);
        let make = move |builder: &mut Builder| {
            let mut flow = make(builder)?;
            named.enter(&mut flow);
            Ok(flow)
        };
        let is_boundary = matches!(what, Kind::Boundary);
        let node = Node { info, make: Box::new(make), is_boundary, kept: RefCell::default() };
        DataSet { plan: self.plan.clone(), node: Rc::new(node) }
    }

    pub(super) fn info(&self) -> &Rc<Info> {
        &self.node.info
    }

    /// Notes that something uses the set.
    pub(super) fn used(&self) {
        self.node.info.users.set(self.node.info.users.get() + 1);
    }

    /// What the set amounts to. One that is more than narrow and has several users is kept, so that it is made once.
    pub(super) fn flow(&self, builder: &mut Builder) -> Result<Flow<K, V>> {
        if let Some(kept) = &*self.node.kept.borrow() {
            return Ok(kept.clone());
        }
        let flow = (self.node.make)(builder)?;
        let is_shared = !flow.is_narrow() && self.node.info.users.get() > 1;
        if self.node.is_boundary || is_shared { self.keep(builder, flow) } else { Ok(flow) }
    }

    /// The same, kept if it is more than narrow: for what looks keys up, or shuffles by content.
    pub(super) fn narrow(&self, builder: &mut Builder) -> Result<Flow<K, V>> {
        let flow = self.flow(builder)?;
        if flow.is_narrow() { Ok(flow) } else { self.keep(builder, flow) }
    }

    /// The same, kept if it has a shuffle: for what shuffles by key.
    pub(super) fn aligned(&self, builder: &mut Builder) -> Result<Flow<K, V>> {
        let flow = self.flow(builder)?;
        if flow.is_aligned() { Ok(flow) } else { self.keep(builder, flow) }
    }

    fn keep(&self, builder: &mut Builder, mut flow: Flow<K, V>) -> Result<Flow<K, V>> {
        let name = flow.about.name.take();
        let name = name.ok_or_else(|| anyhow::anyhow!("a stage without a name"))?;
        let kept = builder.keep(flow, name)?;
        self.node.kept.replace(Some(kept.clone()));
        Ok(kept)
    }
}

impl Info {
    /// Notes the step in what the flow is made of.
    fn enter<K, V>(&self, flow: &mut Flow<K, V>) {
        let id = self.explicit.borrow().clone();
        let earlier = self.earlier.borrow().clone();
        let before = flow.about.name.take();
        flow.about.name = match (&self.structural, before) {
            (Some(structural), _) => Some(StageName { given: id.clone(), structural: structural.clone(), earlier }),
            // A narrow set gives its name to a stage that has one already.
            (None, Some(before)) if id.is_some() => {
                Some(StageName { given: id.clone(), earlier: [earlier, before.earlier].concat(), ..before })
            }
            (None, Some(before)) => Some(StageName { earlier: [before.earlier, earlier].concat(), ..before }),
            (None, None) => None,
        };
        let looks = std::mem::take(&mut flow.about.looks);
        let version = self.version.borrow().clone();
        flow.about.steps.push(Step { kind: self.kind.clone(), id, version, looks });
    }
}
