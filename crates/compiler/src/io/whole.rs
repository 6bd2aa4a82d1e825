//! The whole input at once, for compilers that can not work on one partition at a time.
//!
//! Reads through it are not tracked: code over the whole input runs again whenever any of it changes.

use std::fmt;

use anyhow::Context as _;
use deltic_core::{IntoName, Key, Layer, LayerRef, Meta};

use crate::error::Result;
use crate::io::context::{Listed, Lookup, checked};
use crate::io::partition::Partition;

/// The input layers of a task as streams, never as a whole in memory.
pub struct Whole<'a> {
    lookup: &'a dyn Lookup,
    inputs: &'a [LayerRef],
}

impl<'a> Whole<'a> {
    /// The whole of these layers.
    pub fn new(lookup: &'a dyn Lookup, inputs: &'a [LayerRef]) -> Whole<'a> {
        Whole { lookup, inputs }
    }

    /// The names of an input layer's partitions in order, each with its digest, length and user fields. Reads no payload.
    pub fn list(&self, layer: &str) -> Result<impl Iterator<Item = Result<Listed>> + use<'a>> {
        let (number, key, settings) = self.layer(layer)?;
        Ok(self.lookup.scan(number).map(move |found| {
            let (name, meta) = found.with_context(|| format!("listing {key}"))?;
            Ok(Listed { name: settings.name_from_bytes(&name)?, meta })
        }))
    }

    /// The partitions of an input layer in order. Payloads are read a batch ahead.
    pub fn partitions(&self, layer: &str) -> Result<impl Iterator<Item = Result<Partition>> + use<'a>> {
        let (number, key, settings) = self.layer(layer)?;
        Ok(self.lookup.scan_payloads(number).map(move |found| {
            let (name, meta, payload): (_, Meta, _) = found.with_context(|| format!("reading {key}"))?;
            let key = Key { layer: key.clone(), name: settings.name_from_bytes(&name)? };
            Ok(Partition { key, meta, payload })
        }))
    }

    /// Reads one partition of an input layer; `None` when it does not exist.
    ///
    /// Errors: the layer is not among the task's input layers, the name is not legal in it, or the store failed.
    pub fn read(&self, layer: &str, name: impl IntoName) -> Result<Option<Partition>> {
        let (number, layer, settings) = self.layer(layer)?;
        let (name, bytes) = checked(settings, name)?;
        let key = Key { layer: layer.clone(), name };
        let found = self.lookup.read(number, &bytes).with_context(|| format!("reading {key}"))?;
        Ok(found.map(|(meta, payload)| Partition { key, meta, payload }))
    }

    fn layer(&self, text: &str) -> Result<(u16, &'a LayerRef, &'a Layer)> {
        let wanted = LayerRef::parse(text)?;
        let found = self.lookup.layers().iter().zip(0u16..).find(|((layer, _), _)| *layer == wanted);
        match found.filter(|_| self.inputs.contains(&wanted)) {
            Some(((layer, settings), number)) => Ok((number, layer, settings)),
            None => {
                let known: Vec<String> = self.inputs.iter().map(|layer| format!("`{layer}`")).collect();
                anyhow::bail!("`{wanted}` is not among this task's input layers: it has {}", known.join(", "))
            }
        }
    }
}

impl fmt::Debug for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whole").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}
