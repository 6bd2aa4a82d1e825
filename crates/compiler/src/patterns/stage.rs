//! Stages: compilers of all patterns with their types erased, as the driver runs them.

use std::fmt;
use std::sync::Arc;

use deltic_core::{Key, Layer, LayerRef, Payload};

use crate::error::Result;
use crate::io::context::Context;
use crate::io::emit::{Emitted, Outputs, Sink};
use crate::io::layers::HasLayers;
use crate::io::out_key::OutKey;
use crate::io::partition::Input;
use crate::io::publish::Publish;
use crate::io::values::ValueSource;
use crate::io::whole::Whole;
use crate::patterns::edges::{Edges, Graph, InputChange};

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
    /// The same, with one front-end for the whole input.
    Dep(Arc<dyn DepStage>),
    /// From the whole input to the whole output.
    Global(Arc<dyn GlobalStage>),
    /// A dependency graph that the user's code keeps up to date.
    IncrementalDep(Arc<dyn IncrementalDepStage>),
}

impl Pattern {
    /// The pattern's name, part of the fingerprint.
    pub fn name(&self) -> &'static str {
        match self {
            Pattern::Direct { one_producer: true, .. } => "direct",
            Pattern::Direct { one_producer: false, .. } => "direct-many",
            Pattern::Group(stage) if stage.splits() => "map-split",
            Pattern::Group(_) => "map-group",
            Pattern::Dep(_) => "dep",
            Pattern::Global(_) => "global",
            Pattern::IncrementalDep(_) => "incremental-dep",
        }
    }

    /// Whether a group's back-end may make any number of partitions, not only the one with the group's key.
    pub fn splits(&self) -> bool {
        match self {
            Pattern::Direct { .. } | Pattern::Global(_) | Pattern::IncrementalDep(_) => false,
            Pattern::Group(stage) => stage.splits(),
            Pattern::Dep(stage) => stage.splits(),
        }
    }

    /// Why its intermediate values can not be written and read back, where their type shows it.
    pub(crate) fn values_need(&self) -> Option<&'static str> {
        match self {
            Pattern::Direct { .. } | Pattern::Global(_) | Pattern::IncrementalDep(_) => None,
            Pattern::Group(stage) => stage.values_need(),
            Pattern::Dep(stage) => stage.values_need(),
        }
    }

    pub(crate) fn declared(&self) -> &dyn HasLayers {
        match self {
            Pattern::Direct { stage, .. } => stage.declared(),
            Pattern::Group(stage) => stage.declared(),
            Pattern::Dep(stage) => stage.declared(),
            Pattern::Global(stage) => stage.declared(),
            Pattern::IncrementalDep(stage) => stage.declared(),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The back-end of a pattern without intermediate values, types erased.
pub trait CompileInputs: Send + Sync {
    /// Compiles one output from its inputs, sorted by key.
    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>>;
    /// Reads ahead what the outputs of these inputs will read; see
    /// [`DirectCompiler::read_ahead`](crate::DirectCompiler::read_ahead).
    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()>;
}

/// A direct compiler, types erased.
pub trait DirectStage: CompileInputs {
    /// The declared layers.
    fn declared(&self) -> &dyn HasLayers;
    /// The output keys of an input key.
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>);
}

/// An incremental-dep compiler, types erased.
pub trait IncrementalDepStage: CompileInputs {
    /// The declared layers.
    fn declared(&self) -> &dyn HasLayers;
    /// The outputs of every input.
    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()>;
    /// The outputs of inputs whose outputs have changed.
    fn update(
        &self,
        input: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        before: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()>;
}

/// The back-end of a pattern with intermediate values, types erased.
pub trait BackEnd: Send + Sync {
    /// Makes the partitions of one group from all of its values.
    fn back(
        &self,
        output: &OutKey,
        values: &mut dyn ValueSource,
        layers: &[(LayerRef, Layer)],
        context: &Context<'_>,
        out: &mut Publish<'_>,
    ) -> Result<()>;

    /// Whether a group may become any number of partitions. Else it becomes at most the one with the group's key.
    fn splits(&self) -> bool {
        false
    }

    /// Why its values can not be written and read back, where their type shows it.
    fn values_need(&self) -> Option<&'static str> {
        None
    }
}

/// A map-group compiler, types erased.
pub trait GroupStage: BackEnd {
    /// The declared layers.
    fn declared(&self) -> &dyn HasLayers;
    /// The front-end: makes rows from one input.
    fn front(&self, input: &Input, layers: &[Layer], context: &Context<'_>) -> Result<Emitted>;
    /// Reads ahead what the front-ends of these inputs will read; see
    /// [`MapGroupCompiler::read_ahead`](crate::MapGroupCompiler::read_ahead).
    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()>;
}

/// A dep compiler, types erased.
pub trait DepStage: BackEnd {
    /// The declared layers.
    fn declared(&self) -> &dyn HasLayers;
    /// The front-end: makes rows from the whole input.
    fn front(&self, input: &Whole<'_>, layers: &[Layer], context: &Context<'_>, rows: &mut Sink<'_>) -> Result<()>;
}

/// A global compiler, types erased.
pub trait GlobalStage: Send + Sync {
    /// The declared layers.
    fn declared(&self) -> &dyn HasLayers;
    /// Makes the whole output from the whole input.
    fn compile(&self, input: &Whole<'_>, out: &mut Publish<'_>, context: &Context<'_>) -> Result<()>;
}
