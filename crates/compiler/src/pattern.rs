//! Patterns with their types erased: what the driver's one executor runs.

use std::fmt;
use std::sync::Arc;

use deltic_core::{Key, Layer, LayerRef, Payload};

use crate::{Context, Emitted, Input, OutKey, Outputs, Result, ValueSource};

/// A compiler as the driver sees it.
#[derive(Clone)]
pub enum Pattern {
    /// Output keys from the input's key alone; with `one_producer`, two inputs for one output are an error.
    Direct {
        /// The user's code.
        stage: Arc<dyn DirectStage>,
        /// Whether an output may have one input only.
        one_producer: bool,
    },
    /// Output keys from content, with intermediate values.
    Group(Arc<dyn GroupStage>),
}

impl Pattern {
    /// The pattern's name, part of the fingerprint.
    pub fn name(&self) -> &'static str {
        match self {
            Pattern::Direct { one_producer: true, .. } => "direct",
            Pattern::Direct { one_producer: false, .. } => "direct-many",
            Pattern::Group(_) => "map-group",
        }
    }

    pub(crate) fn declared(&self) -> &dyn Declared {
        match self {
            Pattern::Direct { stage, .. } => stage.declared(),
            Pattern::Group(stage) => stage.declared(),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The layers that a compiler declared.
pub trait Declared {
    /// See [`InputLayers::input_layers`](crate::InputLayers::input_layers).
    fn inputs(&self) -> Result<Vec<LayerRef>>;
    /// See [`InputLayers::reference_layers`](crate::InputLayers::reference_layers).
    fn references(&self) -> Result<Vec<LayerRef>>;
    /// See [`OutputLayers::output_layers`](crate::OutputLayers::output_layers).
    fn outputs(&self) -> Result<Vec<Layer>>;
}

impl<C: crate::InputLayers + crate::OutputLayers> Declared for C {
    fn inputs(&self) -> Result<Vec<LayerRef>> {
        self.input_layers()
    }

    fn references(&self) -> Result<Vec<LayerRef>> {
        self.reference_layers()
    }

    fn outputs(&self) -> Result<Vec<Layer>> {
        self.output_layers()
    }
}

/// A direct compiler, types erased.
pub trait DirectStage: Send + Sync {
    /// The declared layers.
    fn declared(&self) -> &dyn Declared;
    /// The output keys of an input key.
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>);
    /// Compiles one output from its inputs, sorted by key.
    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>>;
}

/// A map-group compiler, types erased.
pub trait GroupStage: Send + Sync {
    /// The declared layers.
    fn declared(&self) -> &dyn Declared;
    /// The front-end: one input to emitted rows.
    fn front(&self, input: &Input, layers: &[Layer], context: &Context<'_>) -> Result<Emitted>;
    /// The back-end: all values of one output key to its payload.
    fn back(
        &self,
        output: &OutKey,
        values: &mut dyn ValueSource,
        layers: &[(LayerRef, Layer)],
        context: &Context<'_>,
    ) -> Result<Option<Payload>>;
}
