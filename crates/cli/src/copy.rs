//! `copy`, the one compiler of the stock binary: mirrors layers of another catalog: all partitions, or those whose names have a
//! prefix, or those in a box.
//!
//! The layers keep their settings, which are read from the source catalog when the task is set up. Payloads are copied
//! as they are, user fields included.

use deltic_compiler::ConfigError;
use deltic_compiler::prelude::*;
use deltic_core::CatalogId;
use serde::{Deserialize, Serialize};

use crate::job::inputs::Inputs;
use crate::tiles::in_box::Area;

/// The id of the task, and so of its section.
const TASK: &str = "copy";

/// `[compiler.copy]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Config {
    /// The catalog to copy from.
    from: CatalogId,
    /// Its layers to copy.
    layers: Vec<String>,
    /// Only partitions whose names begin with this text.
    #[serde(default)]
    prefix: String,
    /// Only tiles that have points in this box: south, west, north, east, in degrees.
    #[serde(default, rename = "box", skip_serializing_if = "Option::is_none")]
    bounds: Option<[f64; 4]>,
}

/// The compiler.
struct Copy {
    layers: Vec<CopiedLayer>,
    prefix: String,
}

struct CopiedLayer {
    source: LayerRef,
    settings: Layer,
    area: Option<Area>,
}

/// Registers the task, if its section exists.
pub(crate) fn register(setup: &mut Setup, inputs: &Inputs<'_>) -> Result<()> {
    let sections = inputs.config.sections();
    if let Some(unknown) = sections.keys().find(|section| *section != TASK) {
        let message =
            format!("unknown task `{unknown}`, expected `{TASK}`: other tasks need a driver binary of your own");
        return Err(ConfigError { path: vec!["compiler".to_owned(), unknown.clone()], message }.into());
    }
    if sections.is_empty() {
        return Ok(());
    }
    let config: Config = setup.config(TASK)?;
    let copy = Copy::new(&config, inputs)?;
    // A new build of this program copies the same, so it must not copy everything again.
    setup.add(Task::new(TASK, Direct(copy))?.version("1"))
}

impl Copy {
    fn new(config: &Config, inputs: &Inputs<'_>) -> Result<Copy> {
        let wrong = |key: &[&str], message: String| {
            let path = ["compiler", TASK].iter().chain(key).map(ToString::to_string).collect();
            anyhow::Error::new(ConfigError { path, message })
        };
        if !inputs.config.catalogs.contains_key(&config.from) {
            return Err(wrong(
                &["from"],
                format!("no catalog `{}` is configured: add it under `[catalogs]`", config.from),
            ));
        }
        let bounds = config.bounds.map(|[south, west, north, east]| BoundingBox::new(south, west, north, east));
        let bounds = bounds.transpose().map_err(|error| wrong(&["box"], error.to_string()))?;
        let mut layers = Vec::new();
        for (index, id) in config.layers.iter().enumerate() {
            let here = |error: String| wrong(&["layers", &index.to_string()], error);
            let id = deltic_core::LayerId::new(id).map_err(|error| here(error.to_string()))?;
            let source = LayerRef { catalog: Some(config.from.clone()), layer: id.clone() };
            let settings = inputs.layer(&config.from, &id)?.map_err(here)?;
            let area = bounds.map(|bounds| Area::new(&settings, bounds)).transpose();
            // When catalogs are not opened, it is not known yet whether the layer has tiles.
            let area =
                area.or_else(|error| if inputs.are_closed() { Ok(None) } else { Err(here(error.to_string())) })?;
            layers.push(CopiedLayer { source, settings, area });
        }
        if layers.is_empty() {
            return Err(wrong(&["layers"], "`layers` must list at least one layer to copy".to_owned()));
        }
        Ok(Copy { layers, prefix: config.prefix.clone() })
    }
}

impl HasLayers for Copy {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(self.layers.iter().map(|layer| &layer.source))
            .output_layers(self.layers.iter().map(|layer| layer.settings.clone())))
    }
}

impl DirectCompiler for Copy {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        let Some(layer) = self.layers.iter().find(|layer| layer.source == key.layer) else { return };
        let wanted = layer.area.as_ref().is_none_or(|area| area.holds(&key.name));
        if wanted && key.name.to_bytes().starts_with(self.prefix.as_bytes()) {
            out.add(layer.settings.id.as_str(), &key.name);
        }
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let [input] = inputs else { bail!("a copy is made from one partition, not from {}", inputs.len()) };
        Ok(Some(input.payload.clone()))
    }
}
