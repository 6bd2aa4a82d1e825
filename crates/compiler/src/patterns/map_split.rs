//! Map-split compilers: a map-group whose back-end makes any number of partitions of a group.

use std::sync::Arc;

use deltic_core::{Layer, LayerRef};
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

/// A map-group whose groups become several partitions: for example the pages of a large one, or several layers under one name.
///
/// A group has a key of one of the output layers, which it need not publish. Each partition belongs to one group: when two groups publish
/// the same key, that is an error that names both. A partition that a group published in an earlier run, and does not publish any more,
/// is deleted.
pub trait MapSplitCompiler: HasLayers + Send + Sync + 'static {
    /// What the front-end sends to the back-end. Maps in it must iterate in a fixed order.
    type Value: Serialize + DeserializeOwned;

    /// The front-end: reads one input and emits values for groups.
    fn compile_in(&self, input: &Input, out: &mut Emit<'_, Self::Value>, context: &Context<'_>) -> Result<()>;

    /// Reads ahead what the front-ends of these inputs will read, as
    /// [`MapGroupCompiler::read_ahead`](crate::MapGroupCompiler::read_ahead) does.
    fn read_ahead(&self, _inputs: &[Input], _context: &Context<'_>) -> Result<()> {
        Ok(())
    }

    /// The back-end: makes the partitions of one group from all values for it, ordered by input key; there is at least one.
    fn compile_out(
        &self,
        group: &OutKey,
        values: Values<'_, Self::Value>,
        out: &mut Publish<'_>,
        context: &Context<'_>,
    ) -> Result<()>;
}

/// Registers a [`MapSplitCompiler`].
#[derive(Debug, Clone)]
pub struct MapSplit<C>(pub C);

impl<C: MapSplitCompiler> From<MapSplit<C>> for Pattern {
    fn from(split: MapSplit<C>) -> Pattern {
        Pattern::Group(Arc::new(Erased(split.0)))
    }
}

struct Erased<C>(C);

impl<C: MapSplitCompiler> GroupStage for Erased<C> {
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

impl<C: MapSplitCompiler> BackEnd for Erased<C> {
    fn back(
        &self,
        group: &OutKey,
        values: &mut dyn ValueSource,
        layers: &[(LayerRef, Layer)],
        context: &Context<'_>,
        out: &mut Publish<'_>,
    ) -> Result<()> {
        Values::feed(values, layers, |values| self.0.compile_out(group, values, out, context))
    }

    fn splits(&self) -> bool {
        true
    }

    fn values_need(&self) -> Option<&'static str> {
        value_types::needs::<C::Value>()
    }
}
