//! The rows that a front-end emits: output keys and, for a map-group, an intermediate value for each.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use deltic_core::{IntoName, Layer, Name};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::io::codec;
use crate::io::out_key::{OutKey, layer_number};

/// The rows a front-end emitted, untyped: what the driver works with.
#[derive(Debug, Default)]
pub struct Emitted {
    /// In the order of emission.
    pub rows: Vec<Row>,
    bytes: Vec<u8>,
    problem: Option<anyhow::Error>,
}

/// One emitted row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Index into the task's output layers.
    pub layer: u16,
    /// The name in that layer.
    pub name: Name,
    value: Range<usize>,
}

impl Emitted {
    /// The encoded value of a row.
    pub fn value(&self, row: &Row) -> &[u8] {
        &self.bytes[row.value.clone()]
    }

    /// The first error of an emission, if there was one.
    pub fn check(&mut self) -> Result<()> {
        self.problem.take().map_or(Ok(()), Err)
    }

    fn add(&mut self, layers: &[Layer], layer: &str, name: impl IntoName) -> Option<()> {
        let row = || -> Result<Row> {
            let (layer, name) = (layer_number(layers, layer)?, name.into_name()?);
            layers[usize::from(layer)].check(&name)?;
            Ok(Row { layer, name, value: self.bytes.len()..self.bytes.len() })
        };
        match row() {
            Ok(row) => {
                self.rows.push(row);
                Some(())
            }
            Err(error) => {
                self.problem.get_or_insert(error);
                None
            }
        }
    }
}

/// Collects the values that a front-end emits: any number of values for any output keys.
///
/// A key that is not legal is an error of the front-end, which is reported when it returns.
pub struct Emit<'a, T> {
    layers: &'a [Layer],
    emitted: Emitted,
    /// Takes rows in batches, so that they need not all fit into memory.
    sink: Option<&'a mut Sink<'a>>,
    values: PhantomData<fn(T)>,
}

/// Takes the rows of a front-end that may emit more than fits into memory.
pub type Sink<'a> = dyn FnMut(Emitted) -> Result<()> + 'a;

/// About how many bytes of values a sink gets at a time.
const SINK_BYTES: usize = 1 << 18;

impl<'a, T: Serialize> Emit<'a, T> {
    /// An empty collection for a task with these output layers.
    pub fn new(layers: &'a [Layer]) -> Emit<'a, T> {
        Emit { layers, emitted: Emitted::default(), sink: None, values: PhantomData }
    }

    /// A collection that passes rows on to a sink in batches.
    pub(crate) fn streaming(layers: &'a [Layer], sink: &'a mut Sink<'a>) -> Emit<'a, T> {
        Emit { layers, emitted: Emitted::default(), sink: Some(sink), values: PhantomData }
    }

    /// Passes on the remaining rows. Returns the first error of an emission.
    pub(crate) fn flush(mut self) -> Result<()> {
        self.flush_batch();
        self.emitted.check()
    }

    fn flush_batch(&mut self) {
        if let (Some(sink), None) = (&mut self.sink, &self.emitted.problem)
            && let Err(error) = sink(std::mem::take(&mut self.emitted))
        {
            self.emitted.problem = Some(error);
        }
    }

    /// Sends a value to the back-end of an output key. Several values for one key arrive in the order of emission.
    pub fn emit(&mut self, layer: &str, name: impl IntoName, value: T) {
        if self.emitted.add(self.layers, layer, name).is_none() {
            return;
        }
        let start = self.emitted.bytes.len();
        if let Err(error) = codec::encode(&value, &mut self.emitted.bytes) {
            self.emitted.problem.get_or_insert(error);
        }
        let end = self.emitted.bytes.len();
        if let Some(row) = self.emitted.rows.last_mut() {
            row.value = start..end;
        }
        if end > SINK_BYTES && self.sink.is_some() {
            self.flush_batch();
        }
    }

    /// Runs a front-end and returns its rows, untyped. An illegal emission is its error.
    pub(crate) fn collect(layers: &'a [Layer], front: impl FnOnce(&mut Emit<'a, T>) -> Result<()>) -> Result<Emitted> {
        let mut out = Emit::new(layers);
        front(&mut out)?;
        let mut emitted = out.into_emitted();
        emitted.check()?;
        Ok(emitted)
    }

    /// The rows, untyped.
    pub fn into_emitted(self) -> Emitted {
        self.emitted
    }

    /// The rows, decoded: for tests of a front-end.
    pub fn into_rows(mut self) -> Result<Vec<(OutKey, T)>>
    where
        T: DeserializeOwned,
    {
        self.emitted.check()?;
        let decode = |row: &Row| {
            let key = OutKey { layer: self.layers[row.layer as usize].id.clone(), name: row.name.clone() };
            Ok((key, codec::decode(self.emitted.value(row))?))
        };
        self.emitted.rows.iter().map(decode).collect()
    }
}

impl<T> fmt::Debug for Emit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emit").field("rows", &self.emitted.rows).finish_non_exhaustive()
    }
}

/// Collects the output keys that a direct compiler maps an input key to.
#[derive(Debug)]
pub struct Outputs<'a> {
    layers: &'a [Layer],
    emitted: Emitted,
}

impl<'a> Outputs<'a> {
    /// An empty collection for a task with these output layers.
    pub fn new(layers: &'a [Layer]) -> Outputs<'a> {
        Outputs { layers, emitted: Emitted::default() }
    }

    /// Maps the input to an output key. A key that is not legal is an error of the mapping.
    pub fn add(&mut self, layer: &str, name: impl IntoName) {
        self.emitted.add(self.layers, layer, name);
    }

    /// The keys as (index of the output layer, name): sorted, each once.
    pub fn into_keys(mut self) -> Result<Vec<(u16, Name)>> {
        self.emitted.check()?;
        let mut keys: Vec<(u16, Name)> = self.emitted.rows.into_iter().map(|row| (row.layer, row.name)).collect();
        if keys.len() > 1 {
            keys.sort_unstable();
            keys.dedup();
        }
        Ok(keys)
    }
}
