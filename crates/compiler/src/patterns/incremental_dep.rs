//! Incremental-dep compilers: user code keeps the dependency graph up to date.

use std::sync::Arc;

use deltic_core::Payload;

use crate::error::Result;
use crate::io::context::Context;
use crate::io::layers::HasLayers;
use crate::io::out_key::OutKey;
use crate::io::partition::Input;
use crate::io::whole::Whole;
use crate::patterns::edges::{Edges, Graph, InputChange};
use crate::patterns::stage::{CompileInputs, GraphStage, Pattern};

/// A compiler where which outputs an input goes into depends on more than the input, and the user knows best what of it
/// a change can affect.
///
/// After any chain of changes [`update`](IncrementalDepCompiler::update) must have said what
/// [`graph`](IncrementalDepCompiler::graph) says of the inputs as they are then. Nothing checks that in a run; the check
/// of incremental runs in `deltic-testkit` does, on histories, and `verify` on published data.
///
/// The graph is made from the input layers alone, because of these `update` is told what changed: it has no
/// [`Context`]. A table that it depends on is one more input layer, whose partitions need not go into any output.
pub trait IncrementalDepCompiler: HasLayers + Send + Sync + 'static {
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
    fn declared(&self) -> &dyn HasLayers {
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
