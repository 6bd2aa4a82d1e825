//! Compilers: code that turns partitions of input layers into partitions of output layers.
//!
//! A compiler declares its layers ([`InputLayers`], [`OutputLayers`]) and follows one of these patterns:
//!
//! | pattern | output keys come from | one output has | intermediate values |
//! |---|---|---|---|
//! | [`Direct`] | the input's key alone | one input (checked) | none: the back-end gets the input itself |
//! | [`DirectMany`] | the input's key alone | any number of inputs | none: the back-end gets the inputs themselves |
//! | [`MapGroup`] | the input's content | any number of inputs | typed, serialised by serde |
//! | [`RefTree`] | the same and that of what the input refers to | any number of inputs | the same |
//! | [`MapSplit`] | as of a map-group; a group becomes any number of outputs | any number of inputs | the same |
//! | [`Dep`] | the content of the whole input | the whole input | the same |
//! | [`Global`] | whatever it likes | the whole input | none |
//! | [`IncrementalDep`] | a dependency graph that the user keeps | any number of inputs | none |
//!
//! Every pattern becomes the same thing, a *stage*: a front-end for each input, a shuffle by output key, a back-end
//! for each output. The driver runs a front-end again when its input changed or something it read through its
//! [`Context`] did, and a back-end when what the front-ends said to it changed or something *it* read did.
//!
//! What can influence an output is its inputs, what was read through the context, the task's configuration and the
//! code's version. There is no fourth: a compiler that reads a file, a clock or an environment variable breaks the
//! promise that an incremental run equals a build from scratch.
//!
//! A compiler may print, to look into it: the command line sends what it prints to standard error. It must not end the process:
//! what fails is an error, and an exit counts as a failure of the whole run, whatever its code.
//!
//! Front- and back-ends are plain methods. To test one, give it a [`Partition`] and a context over a [`Fixture`]:
//!
//! ```
//! use deltic_compiler::prelude::*;
//!
//! /// Upper-cases every text.
//! struct Shout;
//!
//! impl InputLayers for Shout {
//!     fn input_layers(&self) -> Result<Vec<LayerRef>> {
//!         layers(["notes/text"])
//!     }
//! }
//!
//! impl OutputLayers for Shout {
//!     fn output_layers(&self) -> Result<Vec<Layer>> {
//!         Ok(vec![Layer::generic("loud")?])
//!     }
//! }
//!
//! impl DirectCompiler for Shout {
//!     fn map_key(&self, key: &Key, out: &mut Outputs) {
//!         out.add("loud", &key.name);
//!     }
//!
//!     fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context) -> Result<Option<Payload>> {
//!         Ok(Some(inputs[0].text()?.to_uppercase().into()))
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let fixture = Fixture::new(&Shout)?;
//! let note = fixture.input("notes/text", "a", "hello")?;
//! let loud = Shout.compile(&OutKey::new("loud", "a")?, &[note], &fixture.context())?;
//! assert_eq!(loud, Some("HELLO".into()));
//! # Ok(())
//! # }
//! ```

mod codec;
mod context;
mod dataset;
mod dep;
mod direct;
mod emit;
mod filter;
mod fixture;
mod global;
#[cfg(test)]
mod hostile;
mod incremental_dep;
mod layers;
mod leveling;
mod map_group;
mod map_split;
mod partition;
mod pattern;
mod policy;
mod projection;
mod publish;
mod recordable;
mod recorded;
mod ref_tree;
mod setup;
mod task;
mod value_types;
mod values;
mod whole;

pub use codec::CODEC_VERSION;
pub use context::{Context, Listed, Lookup, Projected, Seen, Within};
pub use dataset::{BadPlan, Data, DataKey, DataPlan, DataSet, LookUp, Member, Part, Published, Stage, Stages};
pub use dep::{Dep, DepCompiler};
pub use direct::{Direct, DirectCompiler, DirectMany};
pub use emit::{Emit, Emitted, OutKey, Outputs, Row, Sink};
pub use filter::{Allow, Custom, Filter, InBox, LayerName};
pub use fixture::Fixture;
pub use global::{Global, GlobalCompiler};
pub use incremental_dep::{Edges, Graph, IncrementalDep, IncrementalDepCompiler, InputChange, TakeEdges};
pub use layers::{InputLayers, OutputLayers, layers};
pub use leveling::{AdaptivePattern, FixedPattern, Leveling};
pub use map_group::{MapGroup, MapGroupCompiler};
pub use map_split::{MapSplit, MapSplitCompiler};
pub use partition::{Input, Partition};
pub use pattern::{
    BackEnd, CompileInputs, Declared, DepStage, DirectStage, GlobalStage, GraphStage, GroupStage, Pattern,
};
pub use policy::OnError;
pub use projection::{Parts, Projection, Projections, part_digest};
pub use publish::{Publish, Take};
pub use recordable::recordable;
pub use recorded::{RecordedTask, register_recorded};
pub use ref_tree::{RefStructure, RefTree, RefTreeCompiler, References, Targets};
pub use setup::{ConfigError, Setup};
pub use task::{BadTask, Task};
#[doc(hidden)]
pub use value_types::is_probing;
pub use values::{RawValue, ValueSource, Values};
pub use whole::Whole;

/// The error of user code: `?` makes it of any other.
pub use anyhow::Error;

/// The result of user code: any error will do, the driver adds task, stage and key.
pub type Result<T, E = anyhow::Error> = std::result::Result<T, E>;

/// Everything a compiler is written with.
pub mod prelude {
    pub use crate::{
        AdaptivePattern, Context, DataKey, DataPlan, DataSet, Dep, DepCompiler, Direct, DirectCompiler, DirectMany,
        Edges, Emit, FixedPattern, Fixture, Global, GlobalCompiler, Graph, IncrementalDep, IncrementalDepCompiler,
        Input, InputChange, InputLayers, Leveling, MapGroup, MapGroupCompiler, MapSplit, MapSplitCompiler, OnError,
        OutKey, OutputLayers, Outputs, Partition, Projection, Publish, RefStructure, RefTree, RefTreeCompiler,
        References, Result, Setup, Targets, Task, Values, Whole, Within, layers, recordable,
    };
    pub use anyhow::{Context as _, Error, anyhow, bail, ensure};
    pub use deltic_core::{BoundingBox, Grid, IntoName, Key, Layer, LayerRef, Meta, Name, Payload, Tile};
}
