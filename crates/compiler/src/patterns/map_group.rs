//! Map-group compilers: a front-end reads an input and emits typed values for output keys; a back-end makes a payload of all
//! values of one key.

use std::sync::Arc;

use deltic_core::{Layer, LayerRef, Payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::io::context::Context;
use crate::io::emit::{Emit, Emitted};
use crate::io::layers::HasLayers;
use crate::io::out_key::OutKey;
use crate::io::partition::Input;
use crate::io::publish::Publish;
use crate::io::value_types;
use crate::io::values::{ValueSource, Values};
use crate::patterns::stage::{BackEnd, GroupStage, Pattern};

/// A compiler whose output keys depend on content.
///
/// When a front-end runs again and emits the same values for an output as before, that output is not compiled. When an output is
/// compiled, the front-ends of its unchanged inputs run again to emit their values again. So keep front-ends cheap and values small, or
/// memoize the values ([`Task::memo`](crate::Task::memo)).
pub trait MapGroupCompiler: HasLayers + Send + Sync + 'static {
    /// What the front-end sends to the back-end. Maps in it must iterate in a fixed order.
    type Value: Serialize + DeserializeOwned;

    /// The front-end: reads one input and emits values for output keys.
    fn compile_in(&self, input: &Input, out: &mut Emit<'_, Self::Value>, context: &Context<'_>) -> Result<()>;

    /// Reads ahead what the front-ends of these inputs will read, through [`Context::read_ahead`]. Called before a batch of front-ends
    /// where each read takes a round trip, and never where reads are local. It influences only the time that a run takes: its reads are
    /// not recorded, and its errors and panics are ignored, since the front-end that has the same error reports it.
    fn read_ahead(&self, _inputs: &[Input], _context: &Context<'_>) -> Result<()> {
        Ok(())
    }

    /// The back-end: makes the payload of one output from all values for it, ordered by input key; there is at least one. `None` means that
    /// the output does not exist; a published one is deleted.
    fn compile_out(
        &self,
        output: &OutKey,
        values: Values<'_, Self::Value>,
        context: &Context<'_>,
    ) -> Result<Option<Payload>>;
}

/// Registers a [`MapGroupCompiler`].
#[derive(Debug, Clone)]
pub struct MapGroup<C>(pub C);

impl<C: MapGroupCompiler> From<MapGroup<C>> for Pattern {
    fn from(group: MapGroup<C>) -> Pattern {
        Pattern::Group(Arc::new(Erased(group.0)))
    }
}

struct Erased<C>(C);

impl<C: MapGroupCompiler> GroupStage for Erased<C> {
    fn declared(&self) -> &dyn HasLayers {
        &self.0
    }

    fn front(&self, input: &Input, layers: &[Layer], context: &Context<'_>) -> Result<Emitted> {
        Emit::collect(layers, |out| self.0.compile_in(input, out, context))
    }

    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()> {
        self.0.read_ahead(inputs, context)
    }
}

impl<C: MapGroupCompiler> BackEnd for Erased<C> {
    fn back(
        &self,
        output: &OutKey,
        values: &mut dyn ValueSource,
        layers: &[(LayerRef, Layer)],
        context: &Context<'_>,
        out: &mut Publish<'_>,
    ) -> Result<()> {
        let payload = Values::feed(values, layers, |values| self.0.compile_out(output, values, context))?;
        out.put_optional(output, payload);
        Ok(())
    }

    fn values_need(&self) -> Option<&'static str> {
        value_types::needs::<C::Value>()
    }
}
