//! Global compilers: the whole input to the whole output.

use std::sync::Arc;

use crate::error::Result;
use crate::io::context::Context;
use crate::io::layers::HasLayers;
use crate::io::publish::Publish;
use crate::io::whole::Whole;
use crate::patterns::stage::{GlobalStage, Pattern};

/// A compiler that makes everything of everything.
///
/// It runs in every run in which something that the task reads has changed. Publishing is by difference still: what
/// comes out as it is published already is neither uploaded nor a change to whoever reads it.
pub trait GlobalCompiler: HasLayers + Send + Sync + 'static {
    /// Goes through the input and publishes all partitions of the output, in any order. Payloads are hashed and stored
    /// as they come, so the output need not fit into memory. What is not published is deleted.
    fn compile(&self, input: &Whole<'_>, out: &mut Publish<'_>, context: &Context<'_>) -> Result<()>;
}

/// Registers a [`GlobalCompiler`].
#[derive(Debug, Clone)]
pub struct Global<C>(pub C);

impl<C: GlobalCompiler> From<Global<C>> for Pattern {
    fn from(global: Global<C>) -> Pattern {
        Pattern::Global(Arc::new(Erased(global.0)))
    }
}

struct Erased<C>(C);

impl<C: GlobalCompiler> GlobalStage for Erased<C> {
    fn declared(&self) -> &dyn HasLayers {
        &self.0
    }

    fn compile(&self, input: &Whole<'_>, out: &mut Publish<'_>, context: &Context<'_>) -> Result<()> {
        self.0.compile(input, out, context)
    }
}
