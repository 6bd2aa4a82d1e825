//! The layers that a compiler reads and writes. The driver orders tasks by them, and nothing else can be read or written.

use deltic_core::{Layer, LayerRef};

use crate::error::Result;
use crate::io::projection::Projection;

/// The layers a compiler reads.
pub trait InputLayers {
    /// The layers whose partitions are compiled: each of their partitions is given to the compiler.
    fn input_layers(&self) -> Result<Vec<LayerRef>>;

    /// The layers that may be read through the [`Context`](crate::Context) besides the input layers. Only the layer is
    /// declared; which partitions are read is recorded as it happens.
    fn reference_layers(&self) -> Result<Vec<LayerRef>> {
        Ok(Vec::new())
    }

    /// The parts of partitions that are read through [`Context::project`](crate::Context::project), each under an id.
    fn projections(&self) -> Vec<Projection> {
        Vec::new()
    }
}

/// The layers a compiler writes, with their settings. No other task may write them.
pub trait OutputLayers {
    /// The layers and their settings.
    fn output_layers(&self) -> Result<Vec<Layer>>;
}

/// Reads a list of layers: `catalog/layer` of an input catalog, `layer` of the output catalog.
pub fn layers<const N: usize>(texts: [&str; N]) -> Result<Vec<LayerRef>> {
    texts.into_iter().map(|text| Ok(LayerRef::parse(text)?)).collect()
}
