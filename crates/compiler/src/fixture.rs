//! Partitions in memory, for unit tests of front- and back-ends.

use std::collections::BTreeMap;

use anyhow::Context as _;
use deltic_core::{IntoName, Key, Layer, LayerRef, Meta, Name, NameBytes, Payload, Scheme};

use crate::error::Result;
use crate::io::context::{Context, Lookup};
use crate::io::layers::HasLayers;
use crate::io::partition::{Input, Partition};
use crate::io::projection::Projections;
use crate::io::whole::Whole;

/// A handful of partitions that a compiler under test can read.
///
/// Layers need no settings: the first name that is put into a layer decides which kind of names it takes.
#[derive(Debug, Default)]
pub struct Fixture {
    inputs: Vec<LayerRef>,
    layers: Vec<(LayerRef, Layer)>,
    outputs: Vec<Layer>,
    partitions: BTreeMap<(LayerRef, NameBytes), (Meta, Payload)>,
    projections: Projections,
}

impl Fixture {
    /// An empty fixture for a compiler: it knows the compiler's layers.
    pub fn new<C: HasLayers>(compiler: &C) -> Result<Fixture> {
        let declared = compiler.layers()?;
        anyhow::ensure!(declared.mistakes.is_empty(), "{}", declared.mistakes.join("; "));
        let mut layers = [&declared.inputs[..], &declared.references].concat();
        layers.sort();
        layers.dedup();
        let layers = layers
            .into_iter()
            .map(|layer| {
                let settings = Layer::generic(layer.layer.as_str())?;
                Ok((layer, settings))
            })
            .collect::<Result<_>>()?;
        let projections = Projections::new(declared.projections, Projections::CACHE_BYTES);
        let (inputs, outputs) = (declared.inputs, declared.outputs);
        Ok(Fixture { inputs, layers, outputs, partitions: BTreeMap::new(), projections })
    }

    /// Adds a partition that the compiler may read through its context.
    pub fn put(&mut self, layer: &str, name: impl IntoName, payload: impl Into<Payload>) -> Result<()> {
        let input = self.input(layer, name, payload)?;
        let place = self.layers.iter_mut().find(|(known, _)| *known == input.key.layer);
        let (_, settings) = place.with_context(|| format!("`{layer}` is not among the compiler's layers"))?;
        if let Name::Tile(_) = input.key.name {
            settings.scheme = Scheme::Tile(deltic_core::Grid::Here, deltic_core::Levels::new(0..=31)?);
        }
        self.partitions.insert((input.key.layer, input.key.name.to_bytes()), (input.meta, input.payload));
        Ok(())
    }

    /// Makes a partition to pass to a front-end or to `compile`. Does not put it into the fixture.
    pub fn input(&self, layer: &str, name: impl IntoName, payload: impl Into<Payload>) -> Result<Input> {
        let payload = payload.into();
        let key = Key { layer: LayerRef::parse(layer)?, name: name.into_name()? };
        Ok(Partition { key, meta: payload.meta(), payload })
    }

    /// A context over the fixture's partitions.
    pub fn context(&self) -> Context<'_> {
        Context::new(self)
    }

    /// All partitions of the fixture's layers, for a compiler that reads its whole input.
    pub fn whole(&self) -> Whole<'_> {
        Whole::new(self, &self.inputs)
    }

    /// The compiler's output layers: what [`Emit::new`](crate::Emit::new) and [`Outputs::new`](crate::Outputs::new) take.
    pub fn outputs(&self) -> &[Layer] {
        &self.outputs
    }
}

impl Lookup for Fixture {
    fn layers(&self) -> &[(LayerRef, Layer)] {
        &self.layers
    }

    fn read(&self, layer: u16, name: &[u8]) -> Result<Option<(Meta, Payload)>> {
        let key = (self.layers[layer as usize].0.clone(), name.into());
        Ok(self.partitions.get(&key).cloned())
    }

    fn meta(&self, layer: u16, name: &[u8]) -> Result<Option<Meta>> {
        Ok(self.read(layer, name)?.map(|(meta, _)| meta))
    }

    fn list(&self, layer: u16, prefix: &[u8]) -> Result<Vec<(NameBytes, Meta)>> {
        let wanted = &self.layers[layer as usize].0;
        let within = self.partitions.iter().filter(|((layer, name), _)| layer == wanted && name.starts_with(prefix));
        Ok(within.map(|((_, name), (meta, _))| (name.clone(), meta.clone())).collect())
    }

    fn scan(&self, layer: u16) -> Box<dyn Iterator<Item = Result<(NameBytes, Meta)>> + '_> {
        Box::new(self.scan_payloads(layer).map(|found| found.map(|(name, meta, _)| (name, meta))))
    }

    fn scan_payloads(&self, layer: u16) -> Box<dyn Iterator<Item = Result<(NameBytes, Meta, Payload)>> + '_> {
        let wanted = &self.layers[layer as usize].0;
        let all = self.partitions.iter().filter(move |((layer, _), _)| layer == wanted);
        Box::new(all.map(|((_, name), (meta, payload))| Ok((name.clone(), meta.clone(), payload.clone()))))
    }

    fn projections(&self) -> &Projections {
        &self.projections
    }
}
