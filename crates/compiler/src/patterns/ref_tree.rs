//! Reference trees: a map-group whose front-end is given, with its input, the partitions that the input refers to, and
//! those that these refer to, as far down as the compiler declares.
//!
//! It adds nothing to what a tracked read can do; it says beforehand what there is to follow, does the following, and
//! checks it. Each reference is read through the front-end's [`Context`], so a change at any depth, or a target that
//! appears, runs the subject again, and what the front-end reads besides is followed just as well.

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
///             // A reference to what does not exist is known as such.
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

    /// Which references there are to follow, and into which layers. Checked when the task is made: names are unique, a
    /// parent comes before what is below it, every layer is among the compiler's input and reference layers.
    fn structure(&self) -> RefStructure;

    /// Says where a partition refers to: called for each subject with each reference of subjects, and for each partition
    /// that was found with each reference below the one that found it. What it looks at must be the partition alone.
    fn resolve(&self, partition: &Partition, reference: &str, to: &mut Targets) -> Result<()>;

    /// The front-end: looks at one input and what it refers to, and emits values for output keys.
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
    /// Parents before children, once it is checked.
    references: Vec<Declared>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Declared {
    name: String,
    layer: String,
    /// The reference that finds what this one starts from; none for those of subjects.
    parent: Option<String>,
}

impl RefStructure {
    /// No references.
    pub fn new() -> RefStructure {
        RefStructure::default()
    }

    /// Adds a reference from subjects to partitions of a layer. A layer may be that of subjects, or of other references.
    #[must_use]
    pub fn reference(self, name: &str, layer: &str) -> RefStructure {
        self.add(name, layer, None)
    }

    /// Adds a reference to partitions of a layer from what the reference `parent` finds.
    #[must_use]
    pub fn below(self, parent: &str, name: &str, layer: &str) -> RefStructure {
        self.add(name, layer, Some(parent.to_owned()))
    }

    fn add(mut self, name: &str, layer: &str, parent: Option<String>) -> RefStructure {
        self.references.push(Declared { name: name.to_owned(), layer: layer.to_owned(), parent });
        self
    }

    /// Checks all but what only a payload can tell.
    fn check(&self, known: &[LayerRef]) -> Result<()> {
        let mut names = BTreeSet::new();
        for Declared { name, layer, parent } in &self.references {
            if let Some(parent) = parent {
                let before = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                ensure!(
                    names.contains(parent.as_str()),
                    "reference `{name}` is below `{parent}`, which is none of those before it ({})",
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
    /// Adds a partition of the reference's layer. A name that is not legal there is an error, which says so.
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

/// What a subject refers to, down to the last level of the structure.
#[derive(Debug, Default)]
pub struct References {
    /// Every target once, by key; `None` where it does not exist.
    found: BTreeMap<Key, Option<Partition>>,
    /// What each reference leads to, and from where: in the order of the structure.
    named: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    name: String,
    /// The targets of each partition that it starts from, as `resolve` gave them.
    from: BTreeMap<Key, Vec<Key>>,
}

impl References {
    /// Follows all references of a subject, through the context. Cost: a read for each target, however often it is named;
    /// those of one reference are read together.
    ///
    /// The front-end is handed the result; only tests need to call this.
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

    /// Reads together what many subjects refer to, level by level, as far as there is room for it.
    fn read_ahead<C: RefTreeCompiler>(compiler: &C, subjects: &[Input], context: &Context<'_>) -> Result<()> {
        let structure = compiler.structure();
        let mut at_hand: BTreeMap<&str, Vec<Partition>> = BTreeMap::new();
        for Declared { name, layer, parent } in &structure.references {
            let starts = match parent {
                None => subjects,
                Some(parent) => at_hand.get(parent.as_str()).map_or(&[][..], Vec::as_slice),
            };
            let to = LayerRef::parse(layer)?;
            let mut wanted = BTreeSet::new();
            // A partition that can not be followed is reported by the front-end that needs it.
            starts
                .iter()
                .filter_map(|start| targets(compiler, start, name, &to).ok())
                .for_each(|keys| wanted.extend(keys));
            let found = context.at_hand(layer, wanted.into_iter().map(|key| key.name))?;
            at_hand.insert(name, found);
        }
        Ok(())
    }

    /// All targets of a reference, from wherever it starts: by key, each once, `None` where the target does not exist.
    ///
    /// Errors: the structure has no such reference.
    pub fn named(&self, reference: &str) -> Result<impl Iterator<Item = (&Key, Option<&Partition>)> + use<'_>> {
        let keys: BTreeSet<&Key> = self.get_named(reference)?.from.values().flatten().collect();
        Ok(keys.into_iter().map(|key| (key, self.at(key))))
    }

    /// The targets of one partition's reference: in the order in which they were resolved, and as often. None for a
    /// partition that the reference does not start from.
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

    /// A target by its key, whichever reference led to it; `None` when it does not exist.
    ///
    /// Errors: no reference led to it, so the subject would not run again when it changes.
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

/// Where a reference of a partition leads to.
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
