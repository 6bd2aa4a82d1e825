//! Publishing from a back-end that makes any number of partitions.

use std::fmt;

use deltic_core::{IntoName, Layer, Name, Payload};

use crate::error::Result;
use crate::io::out_key::{OutKey, layer_number};

/// Takes partitions for output layers, in any order, each key once.
///
/// A partition that the same group published in an earlier run, and does not put again, is deleted. A key that is not legal is an error
/// of the back-end, which is reported when it returns.
pub struct Publish<'a> {
    layers: &'a [Layer],
    take: &'a mut Take<'a>,
    problem: Option<anyhow::Error>,
}

/// Where partitions go: the number of the output layer, the name in it, the bytes.
pub type Take<'a> = dyn FnMut(u16, Name, Payload) -> Result<()> + 'a;

impl<'a> Publish<'a> {
    /// Passes partitions of a task with these output layers on to `take`.
    pub fn new(layers: &'a [Layer], take: &'a mut Take<'a>) -> Publish<'a> {
        Publish { layers, take, problem: None }
    }

    /// Publishes a partition. After an error the back-end has failed, and nothing more is published.
    pub fn put(&mut self, layer: &str, name: impl IntoName, payload: impl Into<Payload>) {
        if self.problem.is_some() {
            return;
        }
        let put = |layers: &[Layer]| -> Result<(u16, Name)> {
            let (layer, name) = (layer_number(layers, layer)?, name.into_name()?);
            layers[usize::from(layer)].check(&name)?;
            Ok((layer, name))
        };
        let taken = put(self.layers).and_then(|(layer, name)| (self.take)(layer, name, payload.into()));
        if let Err(error) = taken {
            self.problem = Some(error);
        }
    }

    /// Publishes the partition of an output key.
    pub fn put_key(&mut self, output: &OutKey, payload: impl Into<Payload>) {
        self.put(output.layer.as_str(), &output.name, payload);
    }

    /// Publishes the payload of an output, if it has one.
    pub(crate) fn put_optional(&mut self, output: &OutKey, payload: Option<Payload>) {
        if let Some(payload) = payload {
            self.put_key(output, payload);
        }
    }

    /// The first error of a put, if there was one.
    pub fn check(self) -> Result<()> {
        self.problem.map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").field("problem", &self.problem).finish_non_exhaustive()
    }
}
