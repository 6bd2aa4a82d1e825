//! Flows: the steps of a data set within one stage.
//!
//! A flow reads partitions of some layers and yields values under keys, with at most one shuffle in between. There are three shapes.
//! In the first two, the key of an input alone decides where it goes, so they become direct compilers:
//!
//! ```text
//! narrow   input ── keys ──► key         one input a key, and a key leads back to its input: it can be looked up
//! direct   inputs ── keys ──► key        several inputs a key: joins, unions, groups
//! group    input ── front ──► (key, bytes)* ── shuffle ──► back(key, bytes*)
//! ```
//!
//! Narrow steps change keys or values of any shape in place. This is called fusing. A step on values comes after the shuffle. A step on
//! keys comes before it, and its inverse restores the key after it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use anyhow::{bail, ensure};
use deltic_core::{Key, LayerRef};

use crate::dataset::DataKey;
use crate::dataset::value::{Member, Raw};
use crate::error::Result;
use crate::io::context::Context;
use crate::io::partition::Input;

/// The keys that a partition goes to, from its key alone.
pub(super) type Keys<K> = Arc<dyn Fn(&Key) -> Result<Vec<K>> + Send + Sync>;
/// The partition that a key comes from, from the key alone.
type Source<K> = Arc<dyn Fn(&K) -> Result<Option<Key>> + Send + Sync>;
/// Decodes a partition of a layer.
pub(super) type Read<V> = Arc<dyn Fn(&Input) -> Result<V> + Send + Sync>;
/// The value of a key, from its partition.
type Value<K, V> = Arc<dyn Fn(&K, &Input, &Context<'_>) -> Result<Option<V>> + Send + Sync>;
/// The value of a key, from the partitions that go to it, sorted by key.
type Compute<K, V> = Arc<dyn Fn(&K, &[&Input], &Context<'_>) -> Result<Option<V>> + Send + Sync>;
/// Sends encoded values of a partition to keys.
pub(super) type Front<K> = Arc<dyn Fn(&Input, &Context<'_>, &mut Sender<'_, K>) -> Result<()> + Send + Sync>;
/// Takes the values that a front-end sends.
pub(super) type Sender<'a, K> = dyn FnMut(K, Raw) -> Result<()> + 'a;
/// The value of a key, from all values that were sent to it, sorted by input key.
pub(super) type Back<K, V> =
    Arc<dyn Fn(&K, &mut dyn Iterator<Item = (Key, Raw)>, &Context<'_>) -> Result<Option<V>> + Send + Sync>;
/// A step on values.
pub(super) type Then<K, V, R> = Arc<dyn Fn(&K, V, &Context<'_>) -> Result<Option<R>> + Send + Sync>;
/// A step on keys.
pub(super) type Forward<K, K2> = Arc<dyn Fn(&K) -> Result<Vec<K2>> + Send + Sync>;
/// The inverse of a step on keys.
pub(super) type Inverse<K2, K> = Arc<dyn Fn(&K2) -> Option<K> + Send + Sync>;

/// The layers that a flow reads, and its steps.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    /// The layers whose partitions are compiled.
    pub(super) inputs: BTreeSet<LayerRef>,
    /// Further layers, in which steps look something up.
    pub(super) references: BTreeSet<LayerRef>,
    /// The steps, in order; those of a join's sides one after the other.
    pub(super) steps: Vec<Step>,
    /// The steps of the set in which the next step looks something up.
    pub(super) looks: Vec<Step>,
    /// The name of a stage that ends here; none while the flow is narrow.
    pub(super) name: Option<StageName>,
    /// Whether every key that a partition goes to has a value.
    pub(super) total: bool,
}

/// The name of a stage that keeps a set, within its plan.
#[derive(Debug, Clone)]
pub(super) struct StageName {
    /// The user's id for it.
    pub(super) given: Option<String>,
    /// A name made of its operator and the layers that it comes from. Stages with equal structural names are numbered.
    pub(super) structural: String,
    /// Its earlier names, newest first.
    pub(super) earlier: Vec<String>,
}

impl StageName {
    /// Its number among the stages with the same structural name, where a present or earlier name of the user's has one.
    pub(super) fn known_number(&self) -> Option<usize> {
        self.given.iter().chain(&self.earlier).find_map(|name| {
            let number = match name.strip_prefix(&self.structural)? {
                "" => 1,
                rest => rest.strip_prefix('-')?.parse().ok()?,
            };
            (number > 0 && numbered(&self.structural, number) == *name).then_some(number)
        })
    }
}

/// The name of a stage without an id.
pub(super) fn numbered(structural: &str, number: usize) -> String {
    if number == 1 { structural.to_owned() } else { format!("{structural}-{number}") }
}

/// One step of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The operator.
    pub(super) kind: String,
    /// The id that the user gave it.
    pub(super) id: Option<String>,
    /// The version of its code, where the user stated one.
    pub(super) version: Option<String>,
    /// The steps of the set in which it looks something up.
    pub(super) looks: Vec<Step>,
}

impl Step {
    /// The step as it is part of the fingerprint: without the id, which may change.
    pub(super) fn identity(&self) -> String {
        let looks: Vec<String> = self.looks.iter().map(Step::identity).collect();
        let looks = if looks.is_empty() { String::new() } else { format!(" ({})", looks.join(", ")) };
        let version = self.version.as_ref().map(|version| format!(" version {version}")).unwrap_or_default();
        format!("{}{version}{looks}", self.kind)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.looks.is_empty() {
            let looks: Vec<String> = self.looks.iter().map(ToString::to_string).collect();
            write!(f, " ({})", looks.join(", "))?;
        }
        self.id.as_ref().map_or(Ok(()), |id| write!(f, " as {id}"))
    }
}

/// A flow; see the module's documentation.
pub(super) struct Flow<K, V> {
    pub(super) about: About,
    pub(super) shape: Shape<K, V>,
}

pub(super) enum Shape<K, V> {
    Narrow(Narrow<K, V>),
    Direct(Direct<K, V>),
    Group(Front<K>, Back<K, V>),
}

/// One input a key, and each can be found from the other.
pub(super) struct Narrow<K, V> {
    pub(super) keys: Keys<K>,
    pub(super) source: Source<K>,
    pub(super) value: Value<K, V>,
}

/// Several inputs a key.
pub(super) struct Direct<K, V> {
    pub(super) keys: Keys<K>,
    compute: Compute<K, V>,
    /// Whether each side gives at most one input to a key. Then fusing more steps costs nothing.
    pub(super) aligned: bool,
    /// Whether a key has one input, and a second one is an error.
    pub(super) one_producer: bool,
}

impl<K, V> Clone for Flow<K, V> {
    fn clone(&self) -> Flow<K, V> {
        Flow { about: self.about.clone(), shape: self.shape.clone() }
    }
}

impl<K, V> Clone for Shape<K, V> {
    fn clone(&self) -> Shape<K, V> {
        match self {
            Shape::Narrow(narrow) => Shape::Narrow(narrow.clone()),
            Shape::Direct(direct) => Shape::Direct(Direct {
                keys: Arc::clone(&direct.keys),
                compute: Arc::clone(&direct.compute),
                ..*direct
            }),
            Shape::Group(front, back) => Shape::Group(Arc::clone(front), Arc::clone(back)),
        }
    }
}

impl<K, V> Clone for Narrow<K, V> {
    fn clone(&self) -> Narrow<K, V> {
        Narrow { keys: Arc::clone(&self.keys), source: Arc::clone(&self.source), value: Arc::clone(&self.value) }
    }
}

impl<K: DataKey, V: 'static> Flow<K, V> {
    pub(super) fn is_narrow(&self) -> bool {
        matches!(self.shape, Shape::Narrow(_))
    }

    /// Whether a group, a join or a union can be fused with it.
    pub(super) fn is_aligned(&self) -> bool {
        match &self.shape {
            Shape::Narrow(_) => true,
            Shape::Direct(direct) => direct.aligned,
            Shape::Group(..) => false,
        }
    }

    /// Adds a step on values. One that drops values is not `total`.
    pub(super) fn then<R: 'static>(self, total: bool, then: Then<K, V, R>) -> Flow<K, R> {
        let shape = match self.shape {
            Shape::Narrow(Narrow { keys, source, value }) => {
                let value = move |key: &K, input: &Input, context: &Context<'_>| match value(key, input, context)? {
                    Some(value) => then(key, value, context),
                    None => Ok(None),
                };
                Shape::Narrow(Narrow { keys, source, value: Arc::new(value) })
            }
            Shape::Direct(Direct { keys, compute, aligned, one_producer }) => {
                let compute =
                    move |key: &K, inputs: &[&Input], context: &Context<'_>| match compute(key, inputs, context)? {
                        Some(value) => then(key, value, context),
                        None => Ok(None),
                    };
                Shape::Direct(Direct { keys, compute: Arc::new(compute), aligned, one_producer })
            }
            Shape::Group(front, back) => {
                let back =
                    move |key: &K, values: &mut dyn Iterator<Item = (Key, Raw)>, context: &Context<'_>| match back(
                        key, values, context,
                    )? {
                        Some(value) => then(key, value, context),
                        None => Ok(None),
                    };
                Shape::Group(front, Arc::new(back))
            }
        };
        let total = self.about.total && total;
        Flow { about: About { total, ..self.about }, shape }
    }

    /// Adds a step on keys. `inverse` maps every key that `forward` returns back to the key that it came from. Each call checks that, so
    /// no two keys can become one.
    pub(super) fn rekey<K2: DataKey>(self, forward: &Forward<K, K2>, inverse: Inverse<K2, K>) -> Flow<K2, V> {
        let forward = checked(Arc::clone(forward), Arc::clone(&inverse));
        let shape = match self.shape {
            Shape::Narrow(Narrow { keys, source, value }) => {
                let back = Arc::clone(&inverse);
                let there = Arc::clone(&forward);
                let source = move |key: &K2| match back(key) {
                    // The key of a look-up may be one that `forward` never returns.
                    Some(from) if there(&from)?.contains(key) => source(&from),
                    _ => Ok(None),
                };
                let value = move |key: &K2, input: &Input, context: &Context<'_>| match inverse(key) {
                    Some(from) => value(&from, input, context),
                    None => Ok(None),
                };
                Shape::Narrow(Narrow { keys: rekeyed(keys, forward), source: Arc::new(source), value: Arc::new(value) })
            }
            Shape::Direct(Direct { keys, compute, aligned, one_producer }) => {
                let compute = move |key: &K2, inputs: &[&Input], context: &Context<'_>| match inverse(key) {
                    Some(from) => compute(&from, inputs, context),
                    None => Ok(None),
                };
                let keys = rekeyed(keys, forward);
                Shape::Direct(Direct { keys, compute: Arc::new(compute), aligned, one_producer })
            }
            Shape::Group(front, back) => {
                let front = move |input: &Input, context: &Context<'_>, send: &mut Sender<'_, K2>| {
                    front(input, context, &mut |key, value| {
                        forward(&key)?.into_iter().try_for_each(|to| send(to, value.clone()))
                    })
                };
                let back =
                    move |key: &K2, values: &mut dyn Iterator<Item = (Key, Raw)>, context: &Context<'_>| match inverse(
                        key,
                    ) {
                        Some(from) => back(&from, values, context),
                        None => Ok(None),
                    };
                Shape::Group(Arc::new(front), Arc::new(back))
            }
        };
        Flow { about: self.about, shape }
    }

    /// Converts it into a direct flow. Errors: it has a shuffle by content; the caller must end that in a stage before.
    pub(super) fn into_direct(self) -> Result<(About, Direct<K, V>)> {
        let direct = match self.shape {
            Shape::Direct(direct) => direct,
            Shape::Narrow(Narrow { keys, value, .. }) => {
                let compute = move |key: &K, inputs: &[&Input], context: &Context<'_>| match inputs {
                    [] => Ok(None),
                    [input] => value(key, input, context),
                    [first, second, ..] => bail!("key `{key}` has two inputs, {} and {}", first.key, second.key),
                };
                Direct { keys, compute: Arc::new(compute), aligned: true, one_producer: true }
            }
            Shape::Group(..) => bail!("a shuffle by content can not be part of a direct compiler"),
        };
        Ok((self.about, direct))
    }

    /// Groups keys by what `by` returns: many keys become one, by keys alone.
    pub(super) fn gather<K2: DataKey>(
        self,
        by: impl Fn(&K) -> K2 + Send + Sync + 'static,
    ) -> Result<Flow<K2, Vec<Member<K, V>>>> {
        let (about, direct) = self.into_direct()?;
        let by = Arc::new(by);
        let (to, keys) = (Arc::clone(&by), Arc::clone(&direct.keys));
        let gathered = move |key: &Key| Ok(sorted(keys(key)?.iter().map(|key| to(key)).collect()));
        let compute = move |to: &K2, inputs: &[&Input], context: &Context<'_>| {
            let mut members: BTreeMap<K, Vec<&Input>> = BTreeMap::new();
            for input in inputs {
                for key in (direct.keys)(&input.key)?.into_iter().filter(|key| by(key) == *to) {
                    members.entry(key).or_default().push(input);
                }
            }
            let mut values = Vec::with_capacity(members.len());
            for (key, inputs) in members {
                let value = (direct.compute)(&key, &inputs, context)?;
                values.extend(value.map(|value| Member { key, value }));
            }
            Ok((!values.is_empty()).then_some(values))
        };
        let shape = Shape::Direct(Direct {
            keys: Arc::new(gathered),
            compute: Arc::new(compute),
            aligned: false,
            one_producer: false,
        });
        Ok(Flow { about, shape })
    }
}

impl<K: DataKey, V: 'static> Direct<K, V> {
    pub(super) fn compute(&self, key: &K, inputs: &[&Input], context: &Context<'_>) -> Result<Option<V>> {
        (self.compute)(key, inputs, context)
    }

    pub(super) fn new(keys: Keys<K>, compute: Compute<K, V>, one_producer: bool) -> Direct<K, V> {
        Direct { keys, compute, aligned: true, one_producer }
    }
}

/// Checks that `inverse` maps back every key that `forward` returns.
fn checked<K: DataKey, K2: DataKey>(forward: Forward<K, K2>, inverse: Inverse<K2, K>) -> Forward<K, K2> {
    Arc::new(move |key| {
        let all = sorted(forward(key)?);
        for to in &all {
            let back = inverse(to);
            ensure!(
                back.as_ref() == Some(key),
                "key `{key}` becomes `{to}`, but the inverse maps that to {}: it must map it back to `{key}`",
                back.map_or_else(|| "nothing".to_owned(), |back| format!("`{back}`"))
            );
        }
        Ok(all)
    })
}

fn rekeyed<K: 'static, K2: DataKey>(keys: Keys<K>, forward: Forward<K, K2>) -> Keys<K2> {
    Arc::new(move |key| {
        let mut all = Vec::new();
        for key in keys(key)? {
            all.extend(forward(&key)?);
        }
        Ok(all)
    })
}

fn sorted<K: Ord>(mut keys: Vec<K>) -> Vec<K> {
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A flow of the partitions of one layer.
pub(super) fn of_layer<K: DataKey, V: 'static>(layer: &LayerRef, read: Read<V>) -> Flow<K, V> {
    let place = layer.clone();
    let narrow = Narrow {
        keys: Arc::new(|key: &Key| Ok(vec![K::from_name(&key.name)?])),
        source: Arc::new(move |key: &K| Ok(Some(Key { layer: place.clone(), name: key.to_name()? }))),
        value: Arc::new(move |_: &K, input: &Input, _: &Context<'_>| read(input).map(Some)),
    };
    let about = About { inputs: BTreeSet::from([layer.clone()]), total: true, ..About::default() };
    Flow { about, shape: Shape::Narrow(narrow) }
}
