//! The dependency graph of an incremental-dep compiler: changed inputs, the graph of the base, and new edges.

use std::fmt;

use deltic_core::{Key, Layer, Name};

use crate::error::Result;
use crate::io::emit::Outputs;
use crate::io::out_key::OutKey;

/// A partition of an input layer that appeared, changed or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputChange {
    /// The partition.
    pub key: Key,
    /// Whether it existed when the base was made.
    pub existed: bool,
    /// Whether it exists now.
    pub exists: bool,
}

/// The dependency graph of the base.
pub trait Graph {
    /// The outputs that an input goes into, in order; none for an input that is not in the base.
    fn outputs_of(&self, input: &Key) -> Result<Vec<OutKey>>;
    /// The inputs that an output is made from, in order.
    fn inputs_of(&self, output: &OutKey) -> Result<Vec<Key>>;
}

/// Takes the outputs of inputs. Inputs may come in any order, each once.
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

    /// Sets the outputs that an input goes into: those that `outputs` adds, and no earlier ones.
    /// `edges.set(&key, |outputs| outputs.add("shelves", shelf))`. For an input that goes into none, the closure adds none.
    ///
    /// Errors: the input does not exist or was set already, or a key is not legal in its layer.
    pub fn set(&mut self, input: &Key, outputs: impl FnOnce(&mut Outputs<'_>)) -> Result<()> {
        let mut all = Outputs::new(self.layers);
        outputs(&mut all);
        (self.take)(input, all.into_keys()?)
    }
}

impl fmt::Debug for Edges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edges").field("layers", &self.layers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use deltic_core::LayerRef;

    use super::*;

    #[test]
    fn outputs_are_sorted_and_once_and_an_illegal_one_passes_nothing_on() {
        let layers = ["a", "b"].map(|id| Layer::generic(id).unwrap());
        let key = |name: &str| Key { layer: LayerRef::parse("in/texts").unwrap(), name: Name::generic(name).unwrap() };
        let mut taken = Vec::new();
        let mut take = |input: &Key, outputs: Vec<(u16, Name)>| {
            taken.push(format!("{input} {outputs:?}"));
            Ok(())
        };
        let mut edges = Edges::new(&layers, &mut take);
        edges.set(&key("x"), |to| ["2", "1", "2"].into_iter().for_each(|name| to.add("b", name))).unwrap();
        edges.set(&key("y"), |_| {}).unwrap();
        let wrong = edges.set(&key("z"), |to| {
            to.add("c", "1");
            to.add("a", "1");
        });
        assert_eq!(wrong.unwrap_err().to_string(), "`c` is not an output layer of this task: it has `a`, `b`");
        assert_eq!(taken, ["in/texts/x [(1, 1), (1, 2)]", "in/texts/y []"]);
    }
}
