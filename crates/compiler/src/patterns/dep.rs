//! Dep compilers: one front-end for the whole input, and a back-end for each output.

use std::sync::Arc;

use deltic_core::{Layer, LayerRef, Payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::io::context::Context;
use crate::io::emit::{Emit, Sink};
use crate::io::layers::HasLayers;
use crate::io::out_key::OutKey;
use crate::io::publish::Publish;
use crate::io::value_types;
use crate::io::values::{ValueSource, Values};
use crate::io::whole::Whole;
use crate::patterns::stage::{BackEnd, DepStage, Pattern};

/// A compiler whose front-end needs its whole input, for example for connected components, a global sort, or statistics to scale by.
///
/// The front-end runs in every run in which something that the task reads has changed, and streams through all of it. A back-end runs only
/// when the values for its output have changed. So put cheap work into the front-end, and costly work into the back-end.
pub trait DepCompiler: HasLayers + Send + Sync + 'static {
    /// What the front-end sends to the back-end. Maps in it must iterate in a fixed order.
    type Value: Serialize + DeserializeOwned;

    /// The front-end: reads the input and emits values for output keys. Values are not held in memory.
    fn compile_in(&self, input: &Whole<'_>, out: &mut Emit<'_, Self::Value>, context: &Context<'_>) -> Result<()>;

    /// The back-end: makes the payload of one output from all values for it, in the order of emission; there is at least one. `None`
    /// means that the output does not exist; a published one is deleted. The values have no input key.
    fn compile_out(
        &self,
        output: &OutKey,
        values: Values<'_, Self::Value>,
        context: &Context<'_>,
    ) -> Result<Option<Payload>>;
}

/// Registers a [`DepCompiler`].
#[derive(Debug, Clone)]
pub struct Dep<C>(pub C);

impl<C: DepCompiler> From<Dep<C>> for Pattern {
    fn from(dep: Dep<C>) -> Pattern {
        Pattern::Dep(Arc::new(Erased(dep.0)))
    }
}

struct Erased<C>(C);

impl<C: DepCompiler> DepStage for Erased<C> {
    fn declared(&self) -> &dyn HasLayers {
        &self.0
    }

    fn front(&self, input: &Whole<'_>, layers: &[Layer], context: &Context<'_>, rows: &mut Sink<'_>) -> Result<()> {
        let mut out = Emit::streaming(layers, rows);
        self.0.compile_in(input, &mut out, context)?;
        out.flush()
    }
}

impl<C: DepCompiler> BackEnd for Erased<C> {
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
