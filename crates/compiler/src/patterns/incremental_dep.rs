//! Incremental-dep compilers: the user's code keeps the dependency graph up to date.

use std::sync::Arc;

use deltic_core::Payload;

use crate::error::Result;
use crate::io::context::Context;
use crate::io::layers::HasLayers;
use crate::io::out_key::OutKey;
use crate::io::partition::Input;
use crate::io::whole::Whole;
use crate::patterns::edges::{Edges, Graph, InputChange};
use crate::patterns::stage::{CompileInputs, IncrementalDepStage, Pattern};

/// A compiler where the outputs of an input depend on more than that input, and where the user's code knows best which outputs a change
/// affects.
///
/// After any chain of changes, [`update`](IncrementalDepCompiler::update) must have produced the graph that
/// [`graph`](IncrementalDepCompiler::graph) makes of the inputs at that time. No run checks that. The test kit `deltic-testkit` checks it on
/// histories, and `verify` checks it on published data.
///
/// The graph depends on the input layers alone, since `update` gets only their changes. So both methods have no [`Context`]. If the graph
/// depends on a table, make the table one more input layer, whose partitions need not go into any output.
pub trait IncrementalDepCompiler: HasLayers + Send + Sync + 'static {
    /// Sets, for every input, the outputs that it goes into.
    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()>;

    /// Sets the outputs of every input that now goes into other outputs than before. `changes`: the changed partitions of the input layers,
    /// in order. Inputs that are not set keep their outputs. Deleted inputs need not be set.
    fn update(
        &self,
        input: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        before: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()>;

    /// Reads ahead what the outputs of these inputs will read; as [`DirectCompiler::read_ahead`](crate::DirectCompiler::read_ahead).
    fn read_ahead(&self, _inputs: &[Input], _context: &Context<'_>) -> Result<()> {
        Ok(())
    }

    /// Compiles one output from all its inputs, sorted by key; there is at least one. `None` means that the output does not exist; a
    /// published one is deleted.
    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>>;
}

/// Registers an [`IncrementalDepCompiler`].
#[derive(Debug, Clone)]
pub struct IncrementalDep<C>(pub C);

impl<C: IncrementalDepCompiler> From<IncrementalDep<C>> for Pattern {
    fn from(dep: IncrementalDep<C>) -> Pattern {
        Pattern::IncrementalDep(Arc::new(Erased(dep.0)))
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

impl<C: IncrementalDepCompiler> IncrementalDepStage for Erased<C> {
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
