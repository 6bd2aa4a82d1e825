//! The dependency graph of an incremental-dep compiler: what changed, what the base has, and the new edges.

use std::fmt;

use deltic_core::{IntoName, Key, Layer, Name};

use crate::error::Result;
use crate::io::out_key::{OutKey, layer_number};

/// A partition of an input layer that came, changed or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputChange {
    /// Which.
    pub key: Key,
    /// Whether the base was made from it.
    pub existed: bool,
    /// Whether it exists now.
    pub exists: bool,
}

/// The dependency graph as the base has it.
pub trait Graph {
    /// The outputs that an input goes into, in order; none for an input that the base does not know.
    fn outputs_of(&self, input: &Key) -> Result<Vec<OutKey>>;
    /// The inputs that an output is made from, in order.
    fn inputs_of(&self, output: &OutKey) -> Result<Vec<Key>>;
}

/// Takes the outputs of inputs, in any order, each input once.
pub struct Edges<'a> {
    layers: &'a [Layer],
    take: &'a mut TakeEdges<'a>,
}

/// Where edges go: an input, and its outputs as (number of the layer, name).
pub type TakeEdges<'a> = dyn FnMut(&Key, Vec<(u16, Name)>) -> Result<()> + 'a;

impl<'a> Edges<'a> {
    /// Passes edges of a task with these output layers on to `take`.
    pub fn new(layers: &'a [Layer], take: &'a mut TakeEdges<'a>) -> Edges<'a> {
        Edges { layers, take }
    }

    /// Says which outputs an input goes into, instead of those that it went into before.
    ///
    /// Errors: the input does not exist or was mentioned already, a key is not legal in its layer.
    pub fn set<'k, N: IntoName>(&mut self, input: &Key, outputs: impl IntoIterator<Item = (&'k str, N)>) -> Result<()> {
        let mut all = Vec::new();
        for (layer, name) in outputs {
            let (layer, name) = (layer_number(self.layers, layer)?, name.into_name()?);
            self.layers[usize::from(layer)].check(&name)?;
            all.push((layer, name));
        }
        all.sort_unstable();
        all.dedup();
        (self.take)(input, all)
    }
}

impl fmt::Debug for Edges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edges").field("layers", &self.layers).finish_non_exhaustive()
    }
}
