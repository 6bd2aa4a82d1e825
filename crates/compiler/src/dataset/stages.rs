//! From flows to tasks: each stage is an ordinary task that writes one layer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use deltic_core::{Layer, LayerId, LayerRef, Payload, TaskId};
use serde_json::{Map, Value, json};

use crate::dataset::DataKey;
use crate::dataset::compilers::{DirectFlow, Encode, Ends, GroupFlow};
use crate::dataset::flow::{self, About, Flow, Shape, StageName, Step, numbered};
use crate::dataset::plan::State;
use crate::dataset::value::{self, Data};
use crate::error::Result;
use crate::patterns::direct::{Direct, DirectMany};
use crate::patterns::map_group::MapGroup;
use crate::patterns::stage::Pattern;
use crate::tasks::recorded::PLAN;
use crate::tasks::setup::Setup;
use crate::tasks::task::Task;

/// The tasks of a finished plan, and the steps of each. Prints as a listing for people.
#[derive(Debug, Clone)]
pub struct Stages {
    tasks: Vec<Task>,
    stages: Vec<Stage>,
}

/// One stage: what its task reads and writes, and the steps that are fused in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stage {
    /// The task.
    pub id: TaskId,
    /// The pattern's name, such as `map-group`.
    pub pattern: &'static str,
    /// The layers whose partitions are compiled.
    pub inputs: Vec<LayerRef>,
    /// Further layers, in which something is looked up.
    pub references: Vec<LayerRef>,
    /// The layer that it writes.
    pub output: LayerId,
    /// Whether that layer is private.
    pub is_private: bool,
    /// The operators, in order; an operator with an id is followed by ` as ` and the id.
    pub steps: Vec<String>,
}

impl Stages {
    /// The stages, producers first.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The tasks, in the same order.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// The tasks.
    pub fn into_tasks(self) -> Vec<Task> {
        self.tasks
    }

    /// Registers the tasks.
    pub fn register(self, setup: &mut Setup) -> Result<()> {
        self.tasks.into_iter().try_for_each(|task| setup.add(task))
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stages.iter().try_for_each(|stage| stage.fmt(f))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |layers: &[LayerRef]| layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        writeln!(f, "{} ({})", self.id, self.pattern)?;
        writeln!(f, "  reads   {}", list(&self.inputs))?;
        if !self.references.is_empty() {
            writeln!(f, "  looks   {}", list(&self.references))?;
        }
        if !self.steps.is_empty() {
            writeln!(f, "  steps   {}", self.steps.join(", "))?;
        }
        writeln!(f, "  writes  {}{}", self.output, if self.is_private { " (private)" } else { "" })
    }
}

/// Makes tasks while the plan goes backwards from the published layers.
pub(super) struct Builder {
    plan: String,
    /// The plan's earlier ids, newest first.
    earlier: Vec<String>,
    /// The layers that are published.
    published: BTreeSet<LayerId>,
    version: Option<String>,
    configuration: Option<Value>,
    memo: Option<u32>,
    built: Vec<BuiltStage>,
    ids: BTreeSet<String>,
    /// The present and earlier names of sets.
    taken: BTreeSet<String>,
    /// The earlier names of sets that are kept.
    kept: BTreeSet<String>,
    /// The last number used for each structural name.
    numbers: BTreeMap<String, usize>,
}

/// A stage whose task is not configured yet.
struct BuiltStage {
    task: Task,
    stage: Stage,
    steps: Vec<String>,
    /// The structural name, and the stage's number among those that have it.
    structural: Option<(String, usize)>,
}

/// Where a stage writes to.
struct Target<K, V> {
    layer: Layer,
    is_private: bool,
    encode: Encode<K, V>,
}

impl Builder {
    pub(super) fn new(state: &State, published: BTreeSet<LayerId>) -> Builder {
        Builder {
            plan: state.id.clone(),
            earlier: state.earlier.clone(),
            published,
            version: state.version.clone(),
            configuration: state.configuration.clone(),
            memo: state.memo,
            built: Vec::new(),
            ids: BTreeSet::new(),
            taken: state.nodes.iter().flat_map(|node| node.names()).collect(),
            kept: BTreeSet::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// The tasks, each configured with all that it depends on besides code and layers.
    ///
    /// Stages with the same structural name differ by their number alone. The configuration of each has the number and how many there are:
    /// else a new stage before it would get its number, and with it its state. The same holds for a stage with an id whose earlier name
    /// has a number.
    pub(super) fn finish(self) -> Stages {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (base, number) in self.built.iter().filter_map(|stage| stage.structural.as_ref()) {
            let count = counts.entry(base.clone()).or_default();
            *count = (*count).max(*number);
        }
        let mut stages = Stages { tasks: Vec::new(), stages: Vec::new() };
        for BuiltStage { task, stage, steps, structural } in self.built {
            let equal = structural.and_then(|(base, number)| Some([number, *counts.get(&base)?]));
            let equal = equal.filter(|[_, of]| *of > 1);
            let mut configuration = Map::from_iter([("steps".to_owned(), steps.into())]);
            configuration.extend(equal.map(|equal| ("equal".to_owned(), json!(equal))));
            configuration.extend(self.configuration.clone().map(|all| (PLAN.to_owned(), all)));
            stages.tasks.push(task.configured(configuration.into()));
            stages.stages.push(stage);
        }
        stages
    }

    /// Ends a flow in a private layer, and returns a flow that reads it.
    pub(super) fn keep<K: DataKey, V: Data>(&mut self, flow: Flow<K, V>, name: StageName) -> Result<Flow<K, V>> {
        let number = match name.known_number() {
            None if name.given.is_none() => Some(self.next_number(&name.structural)),
            known => known,
        };
        let id = name.given.unwrap_or_else(|| numbered(&name.structural, number.unwrap_or(1)));
        let structural = number.map(|number| (name.structural, number));
        self.kept.extend(name.earlier.iter().cloned());
        let in_set = || format!("data set `{id}`");
        let names: Vec<String> = [&id].into_iter().chain(&name.earlier).map(|name| self.free_name(name)).collect();
        let private = self.private_name(names.last().unwrap_or(&id));
        let layer = K::private_layer(&private).with_context(in_set)?;
        let read = LayerRef { catalog: None, layer: layer.id.clone() };
        let encode: Encode<K, V> = Arc::new(|_, value| Ok(Some(Payload::new(value::encode(&value)?.0))));
        self.add(flow, &names, Target { layer, is_private: true, encode }, structural).with_context(in_set)?;
        Ok(flow::of_layer(&read, Arc::new(|input| value::decode(input.bytes()))))
    }

    /// The next number that no set has in a present or earlier name.
    fn next_number(&mut self, structural: &str) -> usize {
        let number = self.numbers.entry(structural.to_owned()).or_default();
        *number += 1;
        while self.taken.contains(&numbered(structural, *number)) {
            *number += 1;
        }
        *number
    }

    /// Whether a kept set had this name earlier.
    pub(super) fn keeps(&self, earlier: &str) -> bool {
        self.kept.contains(earlier)
    }

    /// The private layer of a set. The layers of tasks are part of their fingerprints, so it keeps the oldest name.
    fn private_name(&self, set: &str) -> String {
        format!("{}.{set}", self.earlier.last().unwrap_or(&self.plan))
    }

    /// A name for a set that no published layer has. Sets and layers have separate name spaces, but their tasks share one.
    fn free_name(&self, set: &str) -> String {
        let is_published = |name: &str| self.published.iter().any(|layer| layer.as_str() == name);
        let mut name = set.to_owned();
        while is_published(&name) || is_published(&self.private_name(&name)) {
            name.push_str(".set");
        }
        name
    }

    /// Ends a flow in a layer that is published.
    pub(super) fn publish<K: DataKey, V: 'static>(
        &mut self,
        flow: Flow<K, V>,
        layer: Layer,
        encode: Encode<K, V>,
    ) -> Result<()> {
        let id = layer.id.to_string();
        let in_layer = format!("layer `{id}`");
        self.add(flow, &[id], Target { layer, is_private: false, encode }, None).context(in_layer)
    }

    /// Makes the task of a stage by its names, the present one first.
    fn add<K: DataKey, V: 'static>(
        &mut self,
        flow: Flow<K, V>,
        names: &[String],
        target: Target<K, V>,
        structural: Option<(String, usize)>,
    ) -> Result<()> {
        let Target { layer, is_private, encode } = target;
        let [id, ..] = names else { bail!("a stage without a name") };
        ensure!(self.ids.insert(id.clone()), "two stages have this name: give one of the sets another id");
        let Flow { about, shape } = flow;
        let ends = Ends {
            inputs: about.inputs.iter().cloned().collect(),
            references: about.references.iter().cloned().collect(),
            output: layer,
        };
        let output = ends.output.id.clone();
        let pattern: Pattern = match shape {
            Shape::Group(front, back) => MapGroup(GroupFlow { ends, front, back, encode }).into(),
            shape => {
                let (_, direct) = Flow { about: About::default(), shape }.into_direct()?;
                let one_producer = direct.one_producer;
                let compiler = DirectFlow { ends, direct, encode };
                if one_producer { Direct(compiler).into() } else { DirectMany(compiler).into() }
            }
        };
        let name = pattern.name();
        let mut task = Task::new(&format!("{}.{id}", self.plan), pattern)?;
        let plans = || [&self.plan].into_iter().chain(&self.earlier);
        for earlier in plans().flat_map(|plan| names.iter().map(move |name| format!("{plan}.{name}"))) {
            // An earlier id may be the present one again.
            if earlier != task.id().as_str() {
                task = task.previously(&earlier)?;
            }
        }
        if let Some(version) = &self.version {
            task = task.version(version);
        }
        if let (Some(limit), Pattern::Group(_)) = (self.memo, task.pattern()) {
            task = task.memo(limit);
        }
        if is_private {
            task = task.keep_private(output.as_str())?;
        }
        let stage = Stage {
            id: task.id().clone(),
            pattern: name,
            inputs: task.inputs().to_vec(),
            references: task.references().to_vec(),
            output,
            is_private,
            steps: about.steps.iter().map(ToString::to_string).collect(),
        };
        let steps = about.steps.iter().map(Step::identity).collect();
        self.built.push(BuiltStage { task, stage, steps, structural });
        Ok(())
    }
}
