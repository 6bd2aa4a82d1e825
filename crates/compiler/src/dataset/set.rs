//! Data sets, and narrow steps, which fuse into the stage beside them.

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

/// Values under keys, each key once: a layer, or a set that derives from layers. A cheap handle to a node of a [`DataPlan`].
///
/// As all compiler code, closures must depend on their arguments alone. Closures over keys return their result directly. Closures over
/// values return a `Result`; an error ends the run and names the partition.
pub struct DataSet<K, V> {
    pub(super) plan: DataPlan,
    node: Rc<Node<K, V>>,
}

struct Node<K, V> {
    info: Rc<Info>,
    make: Make<K, V>,
    is_boundary: bool,
    /// The flow that reads the private layer, after the set was kept in one.
    kept: RefCell<Option<Flow<K, V>>>,
}

/// Makes the flow of a set within a stage.
type Make<K, V> = Box<dyn Fn(&mut Builder) -> Result<Flow<K, V>>>;

/// The kind of a new set.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Fuses into the set before.
    Narrow,
    /// Can give a stage its name.
    Core,
    /// The same, and ends its stage: it is always kept in a private layer.
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

    /// A placeholder for a layer with an illegal name, which the plan reports.
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
    /// Gives the set an id. It is the name of the stage that keeps the set, and of the stage's state; so never change it.
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

    /// States an earlier id of the set, so that its stage keeps its state: `.id("lines").previously("by-tile")`. State several earlier
    /// ids newest first. For a set that had no id, state the name that [`Stages`](crate::Stages) prints after the plan's id; similar
    /// sets keep their numbers. The private layer has the oldest name, so leave these calls in the code for good.
    ///
    /// It is a mistake, which [`DataPlan::finish`] reports, when no stage has the set's name because the set is fused into another one
    /// or published.
    #[must_use]
    pub fn previously(self, id: &str) -> DataSet<K, V> {
        match deltic_core::TaskId::new(id) {
            Ok(_) => self.node.info.earlier.borrow_mut().push(id.to_owned()),
            Err(error) => self.plan.problem(format!("the earlier id of {}: {error}", self.node.info.show())),
        }
        self
    }

    /// States the version of this step's code. A new version of a step compiles only its own stage in full; a new version of the plan
    /// compiles all of its stages in full.
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> DataSet<K, V> {
        self.node.info.version.replace(Some(version.into()));
        self
    }

    /// Makes a new value of each value.
    pub fn map_values<R: Data>(&self, f: impl Fn(V) -> Result<R> + Send + Sync + 'static) -> DataSet<K, R> {
        self.then("map-values", true, Arc::new(move |_, value, _| f(value).map(Some)))
    }

    /// Makes a new value of each value and its key.
    pub fn map_values_with_key<R: Data>(
        &self,
        f: impl Fn(&K, V) -> Result<R> + Send + Sync + 'static,
    ) -> DataSet<K, R> {
        self.then("map-values", true, Arc::new(move |key, value, _| f(key, value).map(Some)))
    }

    /// Drops the values for which `keep` returns false.
    pub fn filter(&self, keep: impl Fn(&K, &V) -> Result<bool> + Send + Sync + 'static) -> DataSet<K, V> {
        self.then("filter", false, Arc::new(move |key, value, _| Ok(keep(key, &value)?.then_some(value))))
    }

    /// Drops the keys for which `keep` returns false. Their partitions are never read.
    pub fn filter_by_key(&self, keep: impl Fn(&K) -> bool + Send + Sync + 'static) -> DataSet<K, V> {
        let keep = Arc::new(keep);
        let again = Arc::clone(&keep);
        self.rekey(
            "filter-by-key",
            move |key| if keep(key) { vec![key.clone()] } else { Vec::new() },
            move |key| again(key).then(|| key.clone()),
        )
    }

    /// Renames keys one to one. `inverse` maps every new key back to the old one, and any other key to `None`; each call checks that.
    pub fn map_keys<K2: DataKey>(
        &self,
        forward: impl Fn(&K) -> K2 + Send + Sync + 'static,
        inverse: impl Fn(&K2) -> Option<K> + Send + Sync + 'static,
    ) -> DataSet<K2, V> {
        self.rekey("map-keys", move |key| vec![forward(key)], inverse)
    }

    /// Puts each value under any number of keys. `inverse` maps every new key back to the key that it comes from, and any other key to
    /// `None`; each call checks that.
    ///
    /// The steps before it run once for each new key: [`DataSet::persist`] the set where they are costly.
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
            named.add_step(&mut flow);
            Ok(flow)
        };
        let is_boundary = matches!(what, Kind::Boundary);
        let node = Node { info, make: Box::new(make), is_boundary, kept: RefCell::default() };
        DataSet { plan: self.plan.clone(), node: Rc::new(node) }
    }

    pub(super) fn info(&self) -> &Rc<Info> {
        &self.node.info
    }

    /// Counts one more user of the set.
    pub(super) fn used(&self) {
        self.node.info.users.set(self.node.info.users.get() + 1);
    }

    /// The flow of the set. A set that is not narrow and has several users is kept, so that it is made once.
    pub(super) fn flow(&self, builder: &mut Builder) -> Result<Flow<K, V>> {
        if let Some(kept) = &*self.node.kept.borrow() {
            return Ok(kept.clone());
        }
        let flow = (self.node.make)(builder)?;
        let is_shared = !flow.is_narrow() && self.node.info.users.get() > 1;
        if self.node.is_boundary || is_shared { self.keep(builder, flow) } else { Ok(flow) }
    }

    /// The same, but kept unless it is narrow: for steps that look up keys, or shuffle by content.
    pub(super) fn narrow(&self, builder: &mut Builder) -> Result<Flow<K, V>> {
        let flow = self.flow(builder)?;
        if flow.is_narrow() { Ok(flow) } else { self.keep(builder, flow) }
    }

    /// The same, but kept if it has a shuffle: for steps that shuffle by key.
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
    /// Adds the step to the flow.
    fn add_step<K, V>(&self, flow: &mut Flow<K, V>) {
        let id = self.explicit.borrow().clone();
        let earlier = self.earlier.borrow().clone();
        let before = flow.about.name.take();
        flow.about.name = match (&self.structural, before) {
            (Some(structural), _) => Some(StageName { given: id.clone(), structural: structural.clone(), earlier }),
            // A narrow set with an id renames the stage that it fuses into.
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
