//! Several flows under the same keys: joins and unions.
//!
//! Each side recognises its inputs by their layer. Where sides share a layer, the keys that an input goes to decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::bail;
use deltic_core::{Key, LayerRef};

use crate::dataset::DataKey;
use crate::dataset::flow::{About, Direct, Flow, Keys, Shape};
use crate::error::Result;
use crate::io::context::Context;
use crate::io::partition::Input;

/// One side of a join or a union.
struct Side<K, V> {
    layers: BTreeSet<LayerRef>,
    direct: Direct<K, V>,
    /// Whether another side reads one of the layers too.
    shared: bool,
}

impl<K: DataKey, V: 'static> Side<K, V> {
    fn keys(&self, key: &Key) -> Result<Vec<K>> {
        if self.layers.contains(&key.layer) { (self.direct.keys)(key) } else { Ok(Vec::new()) }
    }

    fn inputs<'a>(&self, key: &K, inputs: &[&'a Input]) -> Result<Vec<&'a Input>> {
        let mut mine = Vec::new();
        for input in inputs {
            if self.layers.contains(&input.key.layer) && (!self.shared || self.keys(&input.key)?.contains(key)) {
                mine.push(*input);
            }
        }
        Ok(mine)
    }

    fn value(&self, key: &K, inputs: &[&Input], context: &Context<'_>) -> Result<Option<V>> {
        let inputs = self.inputs(key, inputs)?;
        if inputs.is_empty() { Ok(None) } else { self.direct.compute(key, &inputs, context) }
    }
}

/// Joins two flows: `join` gets the value that each side has under a key.
pub(super) fn join<K: DataKey, A: 'static, B: 'static, R: 'static>(
    left: Flow<K, A>,
    right: Flow<K, B>,
    join: impl Fn(Option<A>, Option<B>) -> Option<R> + Send + Sync + 'static,
) -> Result<Flow<K, R>> {
    let shared = !left.about.inputs.is_disjoint(&right.about.inputs);
    let (left_about, left) = left.into_direct()?;
    let (right_about, right) = right.into_direct()?;
    let left = Arc::new(Side { layers: left_about.inputs.clone(), direct: left, shared });
    let right = Arc::new(Side { layers: right_about.inputs.clone(), direct: right, shared });
    let (a, b) = (Arc::clone(&left), Arc::clone(&right));
    let keys: Keys<K> = Arc::new(move |key| {
        let mut keys = a.keys(key)?;
        keys.extend(b.keys(key)?);
        Ok(keys)
    });
    let compute = move |key: &K, inputs: &[&Input], context: &Context<'_>| {
        Ok(join(left.value(key, inputs, context)?, right.value(key, inputs, context)?))
    };
    let about = About { total: false, ..combined([left_about, right_about]) };
    Ok(Flow { about, shape: Shape::Direct(Direct::new(keys, Arc::new(compute), false)) })
}

/// Unites flows whose keys must differ. `disjoint`: the caller knows that they do.
///
/// Where every key has one input, and that input always gives a value, the driver checks that no key has two. Then no state is needed.
pub(super) fn union<K: DataKey, V: 'static>(flows: Vec<Flow<K, V>>, disjoint: bool) -> Result<Flow<K, V>> {
    let layers: Vec<BTreeSet<LayerRef>> = flows.iter().map(|flow| flow.about.inputs.clone()).collect();
    let shares = |one: usize| (0..layers.len()).any(|other| other != one && !layers[one].is_disjoint(&layers[other]));
    let mut abouts = Vec::with_capacity(flows.len());
    let mut sides = Vec::with_capacity(flows.len());
    for (index, flow) in flows.into_iter().enumerate() {
        let (about, direct) = flow.into_direct()?;
        sides.push(Side { layers: about.inputs.clone(), direct, shared: shares(index) });
        abouts.push(about);
    }
    let total = abouts.iter().all(|about| about.total);
    let one_producer = (total || disjoint) && sides.iter().all(|side| side.direct.one_producer);
    let sides = Arc::new(sides);
    let all = Arc::clone(&sides);
    let keys: Keys<K> = Arc::new(move |key| {
        let mut keys = Vec::new();
        for side in all.iter() {
            keys.extend(side.keys(key)?);
        }
        Ok(keys)
    });
    let compute = move |key: &K, inputs: &[&Input], context: &Context<'_>| {
        let mut found: Option<(V, &Side<K, V>)> = None;
        for side in sides.iter() {
            let Some(value) = side.value(key, inputs, context)? else { continue };
            if let Some((_, other)) = found {
                let sources = |side: &Side<K, V>| -> Result<String> {
                    let inputs = side.inputs(key, inputs)?;
                    Ok(inputs.iter().map(|input| input.key.to_string()).collect::<Vec<_>>().join(", "))
                };
                bail!("key `{key}` is in two sets of a union, from {} and from {}", sources(other)?, sources(side)?);
            }
            found = Some((value, side));
        }
        Ok(found.map(|(value, _)| value))
    };
    let about = About { total, ..combined(abouts) };
    Ok(Flow { about, shape: Shape::Direct(Direct::new(keys, Arc::new(compute), one_producer)) })
}

fn combined(abouts: impl IntoIterator<Item = About>) -> About {
    let mut all = About::default();
    for about in abouts {
        all.inputs.extend(about.inputs);
        all.references.extend(about.references);
        all.steps.extend(about.steps);
    }
    all
}
