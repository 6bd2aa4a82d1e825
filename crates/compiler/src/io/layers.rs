//! The layers that a compiler reads and writes. The driver orders tasks by them, and nothing else can be read or written.

use deltic_core::{Layer, LayerRef};

use crate::error::Result;
use crate::io::projection::Projection;

/// Declares the layers of a compiler.
pub trait HasLayers {
    /// The layers. Called when the compiler's task is made.
    ///
    /// Errors: settings of a layer that are not legal, or any other reason why the compiler can not name its layers.
    fn layers(&self) -> Result<Layers>;
}

/// The layers of a compiler: the input layers, which it compiles; the reference layers, which it also reads; the output layers.
///
/// The name of a layer that is read is `catalog/layer` for an input catalog, `layer` for the output catalog. Making the task reports all
/// mistakes together: names that are not legal, and lists of inputs or outputs that are empty or name a layer twice. References may
/// be named twice, and may be inputs too: then they are inputs.
///
/// ```
/// # use deltic_compiler::prelude::*;
/// # fn layers() -> Result<Layers> {
/// Ok(Layers::new()
///     .input_layers(["osm/way"])
///     .reference_layers(["osm/node"])
///     .output_layers([Layer::tiles("paths", Grid::Here, [14])?]))
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Layers {
    pub(crate) inputs: Vec<LayerRef>,
    pub(crate) references: Vec<LayerRef>,
    pub(crate) projections: Vec<Projection>,
    pub(crate) outputs: Vec<Layer>,
    /// How many input layers were named, with a legal name or not.
    pub(crate) named_inputs: usize,
    /// The mistakes in names, in the order in which the names were given.
    pub(crate) mistakes: Vec<String>,
}

impl Layers {
    /// No layers.
    pub fn new() -> Layers {
        Layers::default()
    }

    /// Adds layers whose partitions are compiled: the compiler gets each of their partitions.
    pub fn input_layers(mut self, layers: impl IntoIterator<Item: ToString>) -> Layers {
        self.named_inputs += read("input", layers, &mut self.inputs, &mut self.mistakes);
        self
    }

    /// Adds layers that may be read through the [`Context`](crate::Context), as the input layers may. Only the layer is declared. Which
    /// partitions are read is recorded at run time.
    pub fn reference_layers(mut self, layers: impl IntoIterator<Item: ToString>) -> Layers {
        read("reference", layers, &mut self.references, &mut self.mistakes);
        self
    }

    /// Adds projections for parts of partitions that are read through [`Context::project`](crate::Context::project), each under an id.
    pub fn projections(mut self, projections: impl IntoIterator<Item = Projection>) -> Layers {
        self.projections.extend(projections);
        self
    }

    /// Adds layers that are written, with their settings. No other task may write them.
    pub fn output_layers(mut self, layers: impl IntoIterator<Item = Layer>) -> Layers {
        self.outputs.extend(layers);
        self
    }
}

/// Reads names of layers, and returns how many there were.
fn read(
    what: &str,
    texts: impl IntoIterator<Item: ToString>,
    layers: &mut Vec<LayerRef>,
    mistakes: &mut Vec<String>,
) -> usize {
    let mut named = 0;
    for text in texts {
        named += 1;
        match LayerRef::parse(&text.to_string()) {
            Ok(layer) => layers.push(layer),
            Err(error) => mistakes.push(format!("{what} layers: {error}")),
        }
    }
    named
}
