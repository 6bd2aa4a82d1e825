//! The compilers of stages: each runs a flow for given inputs and output keys.

use std::sync::Arc;

use deltic_core::{IntoName, Key, Layer, LayerRef, Name, Payload};

use crate::dataset::DataKey;
use crate::dataset::flow::{Back, Direct, Front};
use crate::dataset::value::Raw;
use crate::error::Result;
use crate::io::context::Context;
use crate::io::emit::{Emit, Outputs};
use crate::io::layers::{HasLayers, Layers};
use crate::io::out_key::OutKey;
use crate::io::partition::Input;
use crate::io::values::Values;
use crate::patterns::direct::DirectCompiler;
use crate::patterns::map_group::MapGroupCompiler;

/// Makes the payload of a value.
pub(super) type Encode<K, V> = Arc<dyn Fn(&K, V) -> Result<Option<Payload>> + Send + Sync>;

/// The layers of a stage.
pub(super) struct Ends {
    pub(super) inputs: Vec<LayerRef>,
    pub(super) references: Vec<LayerRef>,
    pub(super) output: Layer,
}

/// A stage without values between a front-end and a back-end.
pub(super) struct DirectFlow<K, V> {
    pub(super) ends: Ends,
    pub(super) direct: Direct<K, V>,
    pub(super) encode: Encode<K, V>,
}

/// A stage whose front-end sends values to its back-end.
pub(super) struct GroupFlow<K, V> {
    pub(super) ends: Ends,
    pub(super) front: Front<K>,
    pub(super) back: Back<K, V>,
    pub(super) encode: Encode<K, V>,
}

macro_rules! layers_of {
    ($name:ident) => {
        impl<K, V> HasLayers for $name<K, V> {
            fn layers(&self) -> Result<Layers> {
                Ok(Layers::new()
                    .input_layers(&self.ends.inputs)
                    .reference_layers(&self.ends.references)
                    .output_layers([self.ends.output.clone()]))
            }
        }
    };
}

layers_of!(DirectFlow);
layers_of!(GroupFlow);

impl<K: DataKey, V: 'static> DirectCompiler for DirectFlow<K, V> {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        let layer = self.ends.output.id.as_str();
        match (self.direct.keys)(key) {
            Ok(keys) => keys.iter().for_each(|key| out.add(layer, Checked(key.to_name()))),
            Err(error) => out.add(layer, Checked(Err(error))),
        }
    }

    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let key = K::from_name(&output.name)?;
        match self.direct.compute(&key, &inputs.iter().collect::<Vec<_>>(), context)? {
            Some(value) => (self.encode)(&key, value),
            None => Ok(None),
        }
    }
}

impl<K: DataKey, V: 'static> MapGroupCompiler for GroupFlow<K, V> {
    type Value = Raw;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, Raw>, context: &Context<'_>) -> Result<()> {
        (self.front)(input, context, &mut |key, value| {
            out.emit(self.ends.output.id.as_str(), key.to_name()?, value);
            Ok(())
        })
    }

    fn compile_out(&self, output: &OutKey, values: Values<'_, Raw>, context: &Context<'_>) -> Result<Option<Payload>> {
        let key = K::from_name(&output.name)?;
        match (self.back)(&key, &mut values.with_keys(), context)? {
            Some(value) => (self.encode)(&key, value),
            None => Ok(None),
        }
    }
}

/// A name, or the error that prevented one: the mapping of keys reports the error.
struct Checked(Result<Name>);

impl IntoName for Checked {
    fn into_name(self) -> deltic_core::Result<Name> {
        self.0.map_err(|error| deltic_core::Error::new(format!("{error:#}")))
    }
}
