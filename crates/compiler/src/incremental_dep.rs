//! Incremental-dep compilers: the user keeps the dependency graph up to date.

use std::fmt;
use std::sync::Arc;

use deltic_core::{IntoName, Key, Layer, Name, Payload};

use crate::pattern::{CompileInputs, Declared};
use crate::publish::layer_number;
use crate::{Context, GraphStage, Input, InputLayers, OutKey, OutputLayers, Pattern, Result, Whole};

/// A compiler where which outputs an input goes into depends on more than the input, and the user knows best what of it
/// a change can affect.
///
/// After any chain of changes [`update`](IncrementalDepCompiler::update) must have said what
/// [`graph`](IncrementalDepCompiler::graph) says of the inputs as they are then. Nothing checks that in a run; the check
/// of incremental runs in `deltic-testkit` does, on histories, and `verify` on published data.
///
/// The graph is made from the input layers alone, because of these `update` is told what changed: it has no
/// [`Context`]. A table that it depends on is one more input layer, whose partitions need not go into any output.
pub trait IncrementalDepCompiler: InputLayers + OutputLayers + Send + Sync + 'static {
    /// Says of every input which outputs are made from it.
    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()>;

    /// Says of every input that goes into other outputs than before which these are; `changes` are what changed in the
    /// input layers, in order. Inputs that nothing is said of keep
    /// theirs; those that are gone need not be mentioned.
    fn update(
        &self,
        input: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        before: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()>;

    /// Reads together what the outputs of these inputs are going to read; as
    /// [`DirectCompiler::read_ahead`](crate::DirectCompiler::read_ahead).
    fn read_ahead(&self, _inputs: &[Input], _context: &Context<'_>) -> Result<()> {
        Ok(())
    }

    /// Compiles one output from all its inputs, which are sorted by key and never none. `None` means the output does
    /// not exist; a published one is deleted.
    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>>;
}

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

/// Registers an [`IncrementalDepCompiler`].
#[derive(Debug, Clone)]
pub struct IncrementalDep<C>(pub C);

impl<C: IncrementalDepCompiler> From<IncrementalDep<C>> for Pattern {
    fn from(dep: IncrementalDep<C>) -> Pattern {
        Pattern::Graph(Arc::new(Erased(dep.0)))
    }
}

struct Erased<C>(C);

impl<C: IncrementalDepCompiler> CompileInputs for Erased<C> {
    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        self.0.compile(output, inputs, context)
    }

    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()> {
        self.0.read_ahead(inputs, context)
    }
}

impl<C: IncrementalDepCompiler> GraphStage for Erased<C> {
    fn declared(&self) -> &dyn Declared {
        &self.0
    }

    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()> {
        self.0.graph(input, out)
    }

    fn update(
        &self,
        input: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        before: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()> {
        self.0.update(input, changes, before, out)
    }
}
