//! The intermediate values that a back-end reads: all values that front-ends emitted for its key, sorted by input key.

use std::fmt;
use std::marker::PhantomData;

use deltic_core::{Key, Layer, LayerRef};
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::io::codec;

/// Where a back-end's values come from: bytes in memory, on disk, or from another process.
pub trait ValueSource {
    /// The next value, or `None` at the end.
    fn next_value(&mut self) -> Result<Option<RawValue<'_>>>;
}

/// An encoded value and the input that it came from.
#[derive(Debug, Clone, Copy)]
pub struct RawValue<'a> {
    /// The number of the input's layer.
    pub layer: u16,
    /// The bytes of the input's name.
    pub name: &'a [u8],
    /// The encoded value.
    pub bytes: &'a [u8],
}

/// The values for one output key. Iterates over `T`, ordered by input key and, within one input, as emitted.
///
/// Values are decoded one by one, so a group may be larger than memory. When a value can not be decoded, iteration ends, and that error
/// replaces the back-end's result.
pub struct Values<'a, T> {
    source: &'a mut dyn ValueSource,
    layers: &'a [(LayerRef, Layer)],
    problem: &'a mut Option<anyhow::Error>,
    values: PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned> Values<'a, T> {
    /// Values from a source. `layers`: the task's layers, by the numbers in values; `problem` takes an error.
    pub fn new(
        source: &'a mut dyn ValueSource,
        layers: &'a [(LayerRef, Layer)],
        problem: &'a mut Option<anyhow::Error>,
    ) -> Values<'a, T> {
        Values { source, layers, problem, values: PhantomData }
    }

    /// Runs a back-end on values from a source. A value that can not be decoded is the error, whatever the back-end returns.
    pub(crate) fn feed<R>(
        source: &mut dyn ValueSource,
        layers: &[(LayerRef, Layer)],
        back: impl FnOnce(Values<'_, T>) -> Result<R>,
    ) -> Result<R> {
        let mut problem = None;
        let result = back(Values::new(source, layers, &mut problem));
        problem.map_or(result, Err)
    }

    /// The values with the key of the input that each came from.
    pub fn with_keys(mut self) -> impl Iterator<Item = (Key, T)> + use<'a, T> {
        std::iter::from_fn(move || self.advance(|layers, layer, name, value| Ok((key(layers, layer, name)?, value))))
    }

    /// All values, sorted by a key that the caller chooses; equal values stay in input order.
    pub fn sorted_by_key<K: Ord>(self, by: impl FnMut(&T) -> K) -> Vec<T> {
        let mut values: Vec<T> = self.collect();
        values.sort_by_key(by);
        values
    }

    fn advance<R>(&mut self, make: impl FnOnce(&[(LayerRef, Layer)], u16, &[u8], T) -> Result<R>) -> Option<R> {
        if self.problem.is_some() {
            return None;
        }
        let next = match self.source.next_value() {
            Ok(None) => return None,
            Ok(Some(RawValue { layer, name, bytes })) => {
                codec::decode(bytes).and_then(|value| make(self.layers, layer, name, value))
            }
            Err(error) => Err(error),
        };
        next.map_err(|error| *self.problem = Some(error)).ok()
    }
}

impl<T: DeserializeOwned> Iterator for Values<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.advance(|_, _, _, value| Ok(value))
    }
}

fn key(layers: &[(LayerRef, Layer)], layer: u16, name: &[u8]) -> Result<Key> {
    let Some((layer, settings)) = layers.get(layer as usize) else {
        anyhow::bail!("an intermediate value names layer {layer}, which the task does not have");
    };
    Ok(Key { layer: layer.clone(), name: settings.name_from_bytes(name)? })
}

impl<T> fmt::Debug for Values<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").finish_non_exhaustive()
    }
}
