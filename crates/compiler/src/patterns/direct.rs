//! Direct compilers: output keys follow from the input's key, so only keys are shuffled, and nothing is decoded.

use std::sync::Arc;

use deltic_core::{Key, Payload};

use crate::error::Result;
use crate::io::context::Context;
use crate::io::emit::Outputs;
use crate::io::layers::HasLayers;
use crate::io::out_key::OutKey;
use crate::io::partition::Input;
use crate::patterns::stage::{CompileInputs, DirectStage, Pattern};

/// A compiler whose output keys depend on input keys alone.
///
/// `map_key` must be a function of the key and the task's configuration: it is asked again for a partition that no
/// longer exists. Register it as [`Direct`] when every output has one input, as [`DirectMany`] when it may have several.
pub trait DirectCompiler: HasLayers + Send + Sync + 'static {
    /// Names the outputs that an input goes into.
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>);

    /// Reads together what the outputs of these inputs are going to read, through [`Context::read_ahead`]. Called before a
    /// batch of outputs where reads take a round trip each, and never where they are local. It changes how long a run takes,
    /// and nothing else: what it looks at is not recorded, and its errors and panics are passed over, since the output that
    /// meets them again reports them.
    fn read_ahead(&self, _inputs: &[Input], _context: &Context<'_>) -> Result<()> {
        Ok(())
    }

    /// Compiles one output from all its inputs, which are sorted by key and never none. `None` means the output does
    /// not exist; a published one is deleted.
    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>>;
}

/// A direct compiler where each output has exactly one input: a second input for the same output is an error that
/// names both. Where outputs are published and read nothing else, no state is kept at all.
#[derive(Debug, Clone)]
pub struct Direct<C>(pub C);

/// A direct compiler where an output may have any number of inputs; which ones is kept in state.
#[derive(Debug, Clone)]
pub struct DirectMany<C>(pub C);

impl<C: DirectCompiler> From<Direct<C>> for Pattern {
    fn from(direct: Direct<C>) -> Pattern {
        Pattern::Direct { stage: Arc::new(Erased(direct.0)), one_producer: true }
    }
}

impl<C: DirectCompiler> From<DirectMany<C>> for Pattern {
    fn from(direct: DirectMany<C>) -> Pattern {
        Pattern::Direct { stage: Arc::new(Erased(direct.0)), one_producer: false }
    }
}

struct Erased<C>(C);

impl<C: DirectCompiler> DirectStage for Erased<C> {
    fn declared(&self) -> &dyn HasLayers {
        &self.0
    }

    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        self.0.map_key(key, out);
    }
}

impl<C: DirectCompiler> CompileInputs for Erased<C> {
    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        self.0.compile(output, inputs, context)
    }

    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()> {
        self.0.read_ahead(inputs, context)
    }
}
