//! Global compilers: from the whole input to the whole output.

use std::sync::Arc;

use crate::error::Result;
use crate::io::context::Context;
use crate::io::layers::HasLayers;
use crate::io::publish::Publish;
use crate::io::whole::Whole;
use crate::patterns::stage::{GlobalStage, Pattern};

/// A compiler that makes its whole output from its whole input.
///
/// It runs in every run in which something that the task reads has changed. Still only differences are published: an unchanged partition is
/// not uploaded, and is no change for later tasks.
pub trait GlobalCompiler: HasLayers + Send + Sync + 'static {
    /// Reads the input and publishes all partitions of the output, in any order. Payloads are hashed and stored one by one, so the output
    /// need not fit into memory. Partitions that are not published are deleted.
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
