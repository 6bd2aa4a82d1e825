//! Compilers: code that turns partitions of input layers into partitions of output layers.
//!
//! A compiler declares its input and output layers ([`HasLayers`], [`Layers`]) and follows one of these patterns:
//!
//! | pattern | output keys come from | one output has | intermediate values |
//! |---|---|---|---|
//! | [`Direct`] | the input's key alone | one input (checked) | none: the back-end gets the input itself |
//! | [`DirectMany`] | the input's key alone | any number of inputs | none: the back-end gets the inputs themselves |
//! | [`MapGroup`] | the input's content | any number of inputs | typed, serialised by serde |
//! | [`RefTree`] | the content of the input and of what it refers to | any number of inputs | the same |
//! | [`MapSplit`] | as for a map-group; a group becomes any number of outputs | any number of inputs | the same |
//! | [`Dep`] | the content of the whole input | the whole input | the same |
//! | [`Global`] | anything | the whole input | none |
//! | [`IncrementalDep`] | a dependency graph that the user's code keeps up to date | any number of inputs | none |
//!
//! Every pattern becomes a *stage*: a front-end for each input, a shuffle by output key, a back-end for each output. The driver runs
//! a front-end again when its input has changed, or something that it read through its [`Context`]. It runs a back-end again when the
//! values for it have changed, or something that the back-end read.
//!
//! Only these influence an output: its inputs, what was read through the context, the task's configuration, and the version of the
//! code. A compiler that reads a file, a clock or an environment variable breaks the promise that an incremental run equals a build
//! from scratch.
//!
//! A compiler may print for debugging: the command line sends the text to standard error. It must not end the process. Report a failure
//! as an error: an exit counts as a failure of the whole run, whatever its code.
//!
//! The crate is built in rooms:
//!
//! | room | holds | uses |
//! |---|---|---|
//! | `error` | the result of user code | |
//! | `io` | what compilers read and emit: layers, partitions, tracked reads, values, output keys | `error` |
//! | `fixture` | partitions in memory, for unit tests of compilers | `io`, `error` |
//! | `patterns` | the patterns, and the stages that they become | `io`, `error` |
//! | `tasks` | tasks, their settings, filters and policies, and how they are registered | `patterns`, `io`, `error` |
//! | `dataset` | data sets, made into tasks | `tasks`, `patterns`, `io`, `error` |
//! | `leveling` | leveling, as tasks | `tasks`, `patterns`, `io`, `error` |
//!
//! Front- and back-ends are plain methods. To test one, give it a [`Partition`] and a context over a [`Fixture`]:
//!
//! ```
//! use deltic_compiler::prelude::*;
//!
//! /// Upper-cases every text.
//! struct Shout;
//!
//! impl HasLayers for Shout {
//!     fn layers(&self) -> Result<Layers> {
//!         Ok(Layers::new().input_layers(["notes/text"]).output_layers([Layer::generic("loud")?]))
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

mod dataset;
mod error;
mod fixture;
#[cfg(test)]
mod hostile;
mod io;
mod leveling;
mod patterns;
mod tasks;

pub use dataset::{BadPlan, Data, DataKey, DataPlan, DataSet, LookUp, Member, Part, Published, Stage, Stages};
pub use error::{Error, Result};
pub use fixture::Fixture;
pub use io::codec::CODEC_VERSION;
pub use io::context::{Context, Listed, Lookup, Projected, Seen, Within};
pub use io::emit::{Emit, Emitted, Outputs, Row, Sink};
pub use io::layers::{HasLayers, Layers};
pub use io::out_key::OutKey;
pub use io::partition::{Input, Partition};
pub use io::projection::{Parts, Projection, Projections, part_digest};
pub use io::publish::{Publish, Take};
#[doc(hidden)]
pub use io::value_types::is_probing;
pub use io::values::{RawValue, ValueSource, Values};
pub use io::whole::Whole;
pub use leveling::{AdaptivePattern, FixedPattern, Leveling};
pub use patterns::dep::{Dep, DepCompiler};
pub use patterns::direct::{Direct, DirectCompiler, DirectMany};
pub use patterns::edges::{Edges, Graph, InputChange, TakeEdges};
pub use patterns::global::{Global, GlobalCompiler};
pub use patterns::incremental_dep::{IncrementalDep, IncrementalDepCompiler};
pub use patterns::map_group::{MapGroup, MapGroupCompiler};
pub use patterns::map_split::{MapSplit, MapSplitCompiler};
pub use patterns::ref_tree::{RefStructure, RefTree, RefTreeCompiler, References, Targets};
pub use patterns::stage::{
    BackEnd, CompileInputs, DepStage, DirectStage, GlobalStage, GroupStage, IncrementalDepStage, Pattern,
};
pub use tasks::config_error::ConfigError;
pub use tasks::filter::{Allow, Custom, Filter, InBox, LayerName};
pub use tasks::policy::OnError;
pub use tasks::rebuild::register_recorded;
pub use tasks::recordable::recordable;
pub use tasks::recorded::RecordedTask;
pub use tasks::setup::Setup;
pub use tasks::task::{BadTask, Task};

/// Everything that you need to write a compiler.
pub mod prelude {
    pub use crate::{
        AdaptivePattern, Context, DataKey, DataPlan, DataSet, Dep, DepCompiler, Direct, DirectCompiler, DirectMany,
        Edges, Emit, FixedPattern, Fixture, Global, GlobalCompiler, Graph, HasLayers, IncrementalDep,
        IncrementalDepCompiler, Input, InputChange, Layers, Leveling, MapGroup, MapGroupCompiler, MapSplit,
        MapSplitCompiler, OnError, OutKey, Outputs, Partition, Projection, Publish, RefStructure, RefTree,
        RefTreeCompiler, References, Result, Setup, Targets, Task, Values, Whole, Within, recordable,
    };
    pub use anyhow::{Context as _, Error, anyhow, bail, ensure};
    pub use deltic_core::{BoundingBox, Grid, IntoName, Key, Layer, LayerRef, Meta, Name, Payload, Tile};
}
