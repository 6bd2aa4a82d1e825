//! Reference trees: a map-group whose front-end gets, with its input, the partitions that the input refers to, and those that these refer
//! to, as deep as the compiler declares.
//!
//! Tracked reads can do the same. A reference tree declares the references, so that this module can follow and check them. Each reference is
//! read through the front-end's [`Context`]. So a change at any depth, or a target that appears, runs the subject again. The front-end
//! may read more partitions through its context.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use deltic_core::{IntoName, Key, LayerRef, Name, Payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::io::context::Context;
use crate::io::emit::Emit;
use crate::io::layers::{HasLayers, Layers};
use crate::io::out_key::OutKey;
use crate::io::partition::{Input, Partition};
use crate::io::values::Values;
use crate::patterns::map_group::{MapGroup, MapGroupCompiler};
use crate::patterns::stage::Pattern;

/// A map-group with declared references. Its subjects are the partitions of its input layers.
///
/// ```
/// # use deltic_compiler::prelude::*;
/// /// The highest point of each way: a way names its nodes, a node its tile of heights.
/// struct Summits;
///
/// impl HasLayers for Summits {
///     fn layers(&self) -> Result<Layers> {
///         Ok(Layers::new()
///             .input_layers(["map/way"])
///             .reference_layers(["map/node", "map/height"])
///             .output_layers([Layer::generic("summits")?]))
///     }
/// }
///
/// impl RefTreeCompiler for Summits {
///     type Value = String;
///
///     fn structure(&self) -> RefStructure {
///         RefStructure::new().reference("nodes", "map/node").below("nodes", "heights", "map/height")
///     }
///
///     fn resolve(&self, partition: &Partition, reference: &str, to: &mut Targets) -> Result<()> {
///         match reference {
///             "nodes" => partition.text()?.split_whitespace().for_each(|node| to.add(node)),
///             _ => to.add(partition.text()?),
///         }
///         Ok(())
///     }
///
///     fn compile_in(&self, way: &Input, found: &References, out: &mut Emit<String>, _: &Context) -> Result<()> {
///         for (_, height) in found.named("heights")? {
///             // The target of a reference may not exist.
///             let height = height.map_or(Ok("unknown"), Partition::text)?;
///             out.emit("summits", way.name(), height.to_owned());
///         }
///         Ok(())
///     }
///
///     fn compile_out(&self, _: &OutKey, heights: Values<String>, _: &Context) -> Result<Option<Payload>> {
///         Ok(heights.max().map(Payload::from))
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let mut fixture = Fixture::new(&Summits)?;
/// fixture.put("map/node", "n1", "h7")?;
/// fixture.put("map/height", "h7", "2942 m")?;
/// let way = fixture.input("map/way", "w", "n1 n2")?;
/// let found = References::resolve(&Summits, &way, &fixture.context())?;
/// let mut out = Emit::new(fixture.outputs());
/// Summits.compile_in(&way, &found, &mut out, &fixture.context())?;
/// assert_eq!(out.into_rows()?, [(OutKey::new("summits", "w")?, "2942 m".to_owned())]);
/// # Ok(())
/// # }
/// ```
pub trait RefTreeCompiler: HasLayers + Send + Sync + 'static {
    /// What the front-end sends to the back-end. Maps in it must iterate in a fixed order.
    type Value: Serialize + DeserializeOwned;

    /// The references to follow, and the layers that they lead to. Checked when the task is made: names are unique, a parent comes before
    /// the references below it, and every layer is among the compiler's input and reference layers.
    fn structure(&self) -> RefStructure;

    /// Adds the targets of a partition's reference. Called for each subject with each reference of subjects, and for each partition that was
    /// found with each reference below the one that found it. The targets must depend on the partition alone.
    fn resolve(&self, partition: &Partition, reference: &str, to: &mut Targets) -> Result<()>;

    /// The front-end: reads one input and the targets of its references, and emits values for output keys.
    fn compile_in(
        &self,
        subject: &Input,
        found: &References,
        out: &mut Emit<'_, Self::Value>,
        context: &Context<'_>,
    ) -> Result<()>;

    /// The back-end, as [`MapGroupCompiler::compile_out`].
    fn compile_out(
        &self,
        output: &OutKey,
        values: Values<'_, Self::Value>,
        context: &Context<'_>,
    ) -> Result<Option<Payload>>;
}

/// Registers a [`RefTreeCompiler`]. To the driver it is a map-group.
#[derive(Debug, Clone)]
pub struct RefTree<C>(pub C);

/// The references that a compiler follows: from its subjects, and from what these refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefStructure {
    /// Parents come before children; that is checked when the task is made.
    references: Vec<Declared>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Declared {
    name: String,
    layer: String,
    /// The reference whose targets this one starts from; none for a reference of subjects.
    parent: Option<String>,
}

impl RefStructure {
    /// No references.
    pub fn new() -> RefStructure {
        RefStructure::default()
    }

    /// Adds a reference from subjects to partitions of a layer. It may be the subjects' layer, or that of another reference.
    #[must_use]
    pub fn reference(self, name: &str, layer: &str) -> RefStructure {
        self.add(name, layer, None)
    }

    /// Adds a reference from the targets of the reference `parent` to partitions of a layer.
    #[must_use]
    pub fn below(self, parent: &str, name: &str, layer: &str) -> RefStructure {
        self.add(name, layer, Some(parent.to_owned()))
    }

    fn add(mut self, name: &str, layer: &str, parent: Option<String>) -> RefStructure {
        self.references.push(Declared { name: name.to_owned(), layer: layer.to_owned(), parent });
        self
    }

    /// Checks the structure. Targets are checked when references are resolved.
    fn check(&self, known: &[LayerRef]) -> Result<()> {
        let mut names = BTreeSet::new();
        for Declared { name, layer, parent } in &self.references {
            if let Some(parent) = parent {
                let before = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                ensure!(
                    names.contains(parent.as_str()),
                    "reference `{name}` is below `{parent}`, which is not one of the references before it ({})",
                    before()
                );
            }
            ensure!(names.insert(name.as_str()), "two references are called `{name}`");
            let to = LayerRef::parse(layer).with_context(|| format!("reference `{name}`"))?;
            ensure!(
                known.contains(&to),
                "reference `{name}` leads to layer `{to}`, which is not among this task's layers: add it to \
                 `reference_layers`"
            );
        }
        Ok(())
    }
}

/// Collects the partitions that a reference leads to.
#[derive(Debug, Default)]
pub struct Targets {
    names: Vec<Name>,
    problem: Option<deltic_core::Error>,
}

impl Targets {
    /// Adds a partition of the reference's layer. A name that is not legal there is an error of the front-end.
    pub fn add(&mut self, name: impl IntoName) {
        match name.into_name() {
            Ok(name) => self.names.push(name),
            Err(error) => drop(self.problem.get_or_insert(error)),
        }
    }

    fn finish(self) -> Result<Vec<Name>> {
        self.problem.map_or(Ok(self.names), |problem| Err(problem.into()))
    }
}

/// The targets of a subject's references, down to the last level of the structure.
#[derive(Debug, Default)]
pub struct References {
    /// Every target once, by key; `None` where it does not exist.
    found: BTreeMap<Key, Option<Partition>>,
    /// The targets of each reference, in the order of the structure.
    named: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    name: String,
    /// The targets of each partition that it starts from, in the order of `resolve`.
    from: BTreeMap<Key, Vec<Key>>,
}

impl References {
    /// Follows all references of a subject through the context. Cost: one read for each different target; the targets of one reference are
    /// read ahead.
    ///
    /// The front-end gets the result. Only tests need to call this.
    pub fn resolve<C: RefTreeCompiler>(compiler: &C, subject: &Input, context: &Context<'_>) -> Result<References> {
        let structure = compiler.structure();
        let mut references = References::default();
        for Declared { name, layer, parent } in &structure.references {
            let starts: Vec<&Partition> = match parent {
                None => vec![subject],
                Some(parent) => references.named(parent)?.filter_map(|(_, partition)| partition).collect(),
            };
            let to = LayerRef::parse(layer)?;
            let mut from = BTreeMap::new();
            let mut wanted = BTreeSet::new();
            for start in starts {
                let keys = targets(compiler, start, name, &to)?;
                wanted.extend(keys.iter().filter(|key| !references.found.contains_key(key)).cloned());
                from.insert(start.key.clone(), keys);
            }
            let place = || format!("reference `{name}` of {}", subject.key);
            if wanted.len() > 1 {
                context.read_ahead(layer, wanted.iter().map(|key| &key.name)).with_context(place)?;
            }
            let mut read = BTreeMap::new();
            for key in wanted {
                let found = context.read(layer, &key.name).with_context(place)?;
                read.insert(key, found);
            }
            references.found.append(&mut read);
            references.named.push(Named { name: name.clone(), from });
        }
        Ok(references)
    }

    /// Reads ahead the targets of many subjects, level by level, as far as they fit into the cache.
    fn read_ahead<C: RefTreeCompiler>(compiler: &C, subjects: &[Input], context: &Context<'_>) -> Result<()> {
        let structure = compiler.structure();
        let mut loaded: BTreeMap<&str, Vec<Partition>> = BTreeMap::new();
        for Declared { name, layer, parent } in &structure.references {
            let starts = match parent {
                None => subjects,
                Some(parent) => loaded.get(parent.as_str()).map_or(&[][..], Vec::as_slice),
            };
            let to = LayerRef::parse(layer)?;
            let mut wanted = BTreeSet::new();
            // Skips a partition whose reference can not be resolved. The front-end that needs it reports the error.
            starts
                .iter()
                .filter_map(|start| targets(compiler, start, name, &to).ok())
                .for_each(|keys| wanted.extend(keys));
            let found = context.read_ahead_partitions(layer, wanted.into_iter().map(|key| key.name))?;
            loaded.insert(name, found);
        }
        Ok(())
    }

    /// All targets of a reference, by key, each once; `None` where the target does not exist.
    ///
    /// Errors: the structure has no such reference.
    pub fn named(&self, reference: &str) -> Result<impl Iterator<Item = (&Key, Option<&Partition>)> + use<'_>> {
        let keys: BTreeSet<&Key> = self.get_named(reference)?.from.values().flatten().collect();
        Ok(keys.into_iter().map(|key| (key, self.at(key))))
    }

    /// The targets of one partition's reference, in the order of `resolve`, duplicates included. Empty for a partition that the reference
    /// does not start from.
    ///
    /// Errors: the structure has no such reference.
    pub fn of(
        &self,
        partition: &Partition,
        reference: &str,
    ) -> Result<impl Iterator<Item = (&Key, Option<&Partition>)> + use<'_>> {
        let keys = self.get_named(reference)?.from.get(&partition.key);
        Ok(keys.into_iter().flatten().map(|key| (key, self.at(key))))
    }

    /// A target of any reference, by its key; `None` when it does not exist.
    ///
    /// Errors: it is not the target of a reference, so the subject would not run again when it changes.
    pub fn get(&self, layer: &str, name: impl IntoName) -> Result<Option<&Partition>> {
        let key = Key { layer: LayerRef::parse(layer)?, name: name.into_name()? };
        match self.found.get(&key) {
            Some(found) => Ok(found.as_ref()),
            None => bail!("no reference led to {key}: let `resolve` name it, or read it through the context"),
        }
    }

    fn at(&self, key: &Key) -> Option<&Partition> {
        self.found.get(key).and_then(Option::as_ref)
    }

    fn get_named(&self, reference: &str) -> Result<&Named> {
        self.named.iter().find(|named| named.name == reference).with_context(|| {
            let known: Vec<&str> = self.named.iter().map(|named| named.name.as_str()).collect();
            format!("no reference is called `{reference}`: there is `{}`", known.join("`, `"))
        })
    }
}

/// The targets of a partition's reference.
fn targets<C: RefTreeCompiler>(compiler: &C, start: &Partition, name: &str, to: &LayerRef) -> Result<Vec<Key>> {
    let place = || format!("reference `{name}` of {}", start.key);
    let mut targets = Targets::default();
    compiler.resolve(start, name, &mut targets).with_context(place)?;
    let names = targets.finish().with_context(place)?;
    Ok(names.into_iter().map(|name| Key { layer: to.clone(), name }).collect())
}

impl<C: RefTreeCompiler> From<RefTree<C>> for Pattern {
    fn from(tree: RefTree<C>) -> Pattern {
        MapGroup(Resolves(tree.0)).into()
    }
}

/// The map-group that resolves, then compiles.
struct Resolves<C>(C);

impl<C: RefTreeCompiler> HasLayers for Resolves<C> {
    fn layers(&self) -> Result<Layers> {
        let mut layers = self.0.layers()?;
        if let Err(error) = self.0.structure().check(&[&layers.inputs[..], &layers.references].concat()) {
            layers.mistakes.push(format!("reference layers: {error:#}"));
        }
        Ok(layers)
    }
}

impl<C: RefTreeCompiler> MapGroupCompiler for Resolves<C> {
    type Value = C::Value;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, C::Value>, context: &Context<'_>) -> Result<()> {
        let found = References::resolve(&self.0, input, context)?;
        self.0.compile_in(input, &found, out, context)
    }

    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()> {
        References::read_ahead(&self.0, inputs, context)
    }

    fn compile_out(
        &self,
        output: &OutKey,
        values: Values<'_, C::Value>,
        context: &Context<'_>,
    ) -> Result<Option<Payload>> {
        self.0.compile_out(output, values, context)
    }
}
