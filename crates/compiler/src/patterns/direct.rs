//! Direct compilers: output keys depend on the input's key alone, so only keys are shuffled, and nothing is decoded.

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
/// `map_key` must be a function of the key and the task's configuration: it is also called for partitions that do not exist any more.
/// Register the compiler as [`Direct`] when every output has one input, as [`DirectMany`] when an output may have several.
pub trait DirectCompiler: HasLayers + Send + Sync + 'static {
    /// Names the outputs that an input goes into.
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>);

    /// Reads ahead what the outputs of these inputs will read, through [`Context::read_ahead`]. Called before a batch of outputs where each
    /// read takes a round trip, and never where reads are local. It influences only the time that a run takes: its reads are not
    /// recorded, and its errors and panics are ignored, since the output that has the same error reports it.
    fn read_ahead(&self, _inputs: &[Input], _context: &Context<'_>) -> Result<()> {
        Ok(())
    }

    /// Compiles one output from all its inputs, sorted by key; there is at least one. `None` means that the output does not exist; a
    /// published one is deleted.
    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>>;
}

/// Registers a [`DirectCompiler`] where each output has exactly one input: a second input for the same output is an error that names both.
/// Where outputs are published and nothing else is read, there is no state at all.
#[derive(Debug, Clone)]
pub struct Direct<C>(pub C);

/// Registers a [`DirectCompiler`] where an output may have any number of inputs; the state holds which.
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
