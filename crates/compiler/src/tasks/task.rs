//! Tasks: a compiler under a stable id, with its configuration and, optionally, a version of its code.

use std::collections::BTreeSet;

use deltic_core::{Layer, LayerId, LayerRef, TaskId};

use crate::error::Result;
use crate::io::projection::Projection;
use crate::patterns::stage::Pattern;
use crate::tasks::filter::Filter;
use crate::tasks::policy::OnError;

/// A compiler as a driver runs it.
#[derive(Debug, Clone)]
pub struct Task {
    id: TaskId,
    pattern: Pattern,
    inputs: Vec<LayerRef>,
    references: Vec<LayerRef>,
    outputs: Vec<Layer>,
    private: BTreeSet<LayerId>,
    memo: Option<u32>,
    earlier: Vec<TaskId>,
    filter: Option<Filter>,
    policy: OnError,
    configuration: serde_json::Value,
    version: Option<String>,
}

/// A task that can not be registered.
#[derive(Debug, thiserror::Error)]
#[error("task `{id}`: {message}")]
pub struct BadTask {
    /// The id as it was given.
    pub id: String,
    /// What is wrong.
    pub message: String,
}

impl Task {
    /// Makes a task of a compiler: `Task::new("coverage", MapGroup(Coverage { level: 8 }))`.
    ///
    /// Errors, all at once: the id is not legal, a layer is not legal or named twice, there is no input or no output layer,
    /// intermediate values are of a type that can not be written without names.
    pub fn new(id: &str, pattern: impl Into<Pattern>) -> Result<Task> {
        let pattern = pattern.into();
        let declared = pattern.declared();
        let mut mistakes = Vec::new();
        let mut inputs = listed(&mut mistakes, "input", declared.inputs(), LayerRef::clone);
        let mut outputs = listed(&mut mistakes, "output", declared.outputs(), |layer| layer.id.clone());
        let mut references = declared.references().unwrap_or_else(|error| {
            mistakes.push(format!("reference layers: {error:#}"));
            Vec::new()
        });
        mistakes.extend(pattern.values_need().map(|needs| {
            format!(
                "its `Value` can not be an intermediate value: {needs}; these are written without names, so emit a type \
                 that serde writes field by field, or the text of the JSON"
            )
        }));
        inputs.sort();
        references.sort();
        outputs.sort_by(|a, b| a.id.cmp(&b.id));
        references.dedup();
        references.retain(|layer| !inputs.contains(layer));
        let bad = |mistakes: &[String]| BadTask { id: id.to_owned(), message: mistakes.join("; ") };
        let id = TaskId::new(id).map_err(|error| {
            mistakes.push(error.to_string());
            bad(&mistakes)
        })?;
        if !mistakes.is_empty() {
            return Err(bad(&mistakes).into());
        }
        let configuration = serde_json::Value::Object(serde_json::Map::new());
        Ok(Task {
            id,
            pattern,
            inputs,
            references,
            outputs,
            private: BTreeSet::new(),
            earlier: Vec::new(),
            filter: None,
            policy: OnError::default(),
            memo: None,
            configuration,
            version: None,
        })
    }

    /// States the version of the compiler's code. Without it the identity of the running executable counts, so that
    /// every build of another binary compiles everything again; with it, this text alone says whether the code changed.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Task {
        self.version = Some(version.into());
        self
    }

    /// Keeps an output layer private: later tasks read it as any other, but it is no layer of the output catalog. Its
    /// partitions are part of the state.
    ///
    /// Errors: the task writes no such layer.
    pub fn keep_private(mut self, layer: &str) -> Result<Task> {
        let Some(known) = self.outputs.iter().find(|known| known.id.as_str() == layer) else {
            let message = format!("it writes no layer `{layer}` that could be private");
            return Err(BadTask { id: self.id.to_string(), message }.into());
        };
        self.private.insert(known.id.clone());
        Ok(self)
    }

    /// Takes over the state of a task that had another id until now: `Task::new("coverage", …)?.previously("tiles")?`. A
    /// task without state of its own id takes that of the first of its earlier ids that has some; so neither is it
    /// compiled anew, nor are those after it. Can be said for good.
    ///
    /// Errors: the id is not legal, or the present one.
    pub fn previously(mut self, id: &str) -> Result<Task> {
        let bad = |message: String| BadTask { id: self.id.to_string(), message };
        let earlier = TaskId::new(id).map_err(|e| bad(e.to_string()))?;
        if earlier == self.id {
            return Err(bad("it is called so now, not previously".to_owned()).into());
        }
        self.earlier.push(earlier);
        Ok(self)
    }

    /// Compiles only inputs that the filter takes. It is part of the fingerprint: another filter, or none, compiles this
    /// task's output again.
    ///
    /// Errors: a custom filter has no code; the task compiles its input as a whole.
    pub fn filtered(mut self, mut filter: Filter) -> Result<Task> {
        let bad = |message: String| BadTask { id: self.id.to_string(), message };
        filter.resolve(&|_| None).map_err(|name| bad(format!("there is no filter `{name}`")))?;
        if !matches!(self.pattern, Pattern::Direct { .. } | Pattern::Group(_)) {
            return Err(bad("it compiles its input as a whole, which can not be filtered".to_owned()).into());
        }
        self.filter = Some(filter);
        Ok(self)
    }

    /// Says what becomes of partitions that the compiler fails on; `on_error` in its configuration section says it over
    /// this.
    #[must_use]
    pub fn on_error(mut self, policy: OnError) -> Task {
        self.policy = policy;
        self
    }

    /// Sets the configuration that the compiler was made with. All of it is part of the fingerprint. Settings become such a
    /// value by [`recordable`](crate::recordable), which refuses what `serde_json::to_value` would drop.
    #[must_use]
    pub fn configured(mut self, configuration: serde_json::Value) -> Task {
        self.configuration = configuration;
        self
    }

    /// The stable id.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// The ids that it had before, in the order they were given.
    pub fn earlier_ids(&self) -> &[TaskId] {
        &self.earlier
    }

    /// The same task as it was called under one of its earlier ids; `None` if it was never called so.
    pub fn called_earlier(&self, id: &TaskId) -> Option<Task> {
        self.earlier.contains(id).then(|| Task { id: id.clone(), earlier: Vec::new(), ..self.clone() })
    }

    /// Which inputs it compiles, if not all.
    pub fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// What becomes of partitions that the compiler fails on.
    pub fn policy(&self) -> OnError {
        self.policy
    }

    /// The compiler.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The parts of partitions that the compiler reads.
    pub fn projections(&self) -> Vec<Projection> {
        self.pattern.declared().projections()
    }

    /// Keeps in the state what front-ends say to outputs, so that an output can be compiled again without running the
    /// front-ends of its unchanged inputs. What one input says to one output is kept when it has at most `limit` bytes;
    /// that times the number of such pairs bounds what is kept. For patterns with intermediate values.
    #[must_use]
    pub fn memo(mut self, limit: u32) -> Task {
        self.memo = Some(limit);
        self
    }

    /// Up to how many bytes are kept of what one input says to one output, if any are.
    pub fn memo_limit(&self) -> Option<u32> {
        self.memo
    }

    /// The layers that are compiled, sorted.
    pub fn inputs(&self) -> &[LayerRef] {
        &self.inputs
    }

    /// The layers that may be read besides, sorted.
    pub fn references(&self) -> &[LayerRef] {
        &self.references
    }

    /// All layers the task can see: inputs and references, sorted. Front-ends, back-ends and state number layers so.
    pub fn readable(&self) -> Vec<LayerRef> {
        let mut all: Vec<LayerRef> = self.inputs.iter().chain(&self.references).cloned().collect();
        all.sort();
        all
    }

    /// The layers it writes, sorted by id.
    pub fn outputs(&self) -> &[Layer] {
        &self.outputs
    }

    /// Whether an output layer is private to the job: kept in the state, no layer of the output catalog.
    pub fn is_private(&self, layer: &LayerId) -> bool {
        self.private.contains(layer)
    }

    /// The effective configuration: an object, empty when the compiler takes none.
    pub fn configuration(&self) -> &serde_json::Value {
        &self.configuration
    }

    /// The stated version of the code, if any.
    pub fn code_version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

/// The layers that a compiler declares, and what is wrong with the list.
fn listed<T, N: Ord + std::fmt::Display>(
    mistakes: &mut Vec<String>,
    what: &str,
    declared: Result<Vec<T>>,
    name: impl Fn(&T) -> N,
) -> Vec<T> {
    let layers = match declared {
        Ok(layers) => layers,
        Err(error) => {
            mistakes.push(format!("{what} layers: {error:#}"));
            return Vec::new();
        }
    };
    if layers.is_empty() {
        mistakes.push(format!("it has no {what} layer"));
    }
    let (mut known, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for layer in &layers {
        if let Some(again) = known.replace(name(layer)) {
            twice.insert(again);
        }
    }
    mistakes.extend(twice.into_iter().map(|layer| format!("{what} layer `{layer}` is listed twice")));
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Direct, DirectCompiler, Input, InputLayers, OutKey, OutputLayers, Outputs};
    use deltic_core::{Key, Payload};

    /// Declares whatever it is told to.
    struct Declares(Vec<&'static str>, Vec<&'static str>);

    impl InputLayers for Declares {
        fn input_layers(&self) -> Result<Vec<LayerRef>> {
            self.0.iter().map(|layer| Ok(LayerRef::parse(layer)?)).collect()
        }

        fn reference_layers(&self) -> Result<Vec<LayerRef>> {
            anyhow::bail!("not today")
        }
    }

    impl OutputLayers for Declares {
        fn output_layers(&self) -> Result<Vec<Layer>> {
            self.1.iter().map(|id| Ok(Layer::generic(id)?)).collect()
        }
    }

    impl DirectCompiler for Declares {
        fn map_key(&self, _: &Key, _: &mut Outputs<'_>) {}

        fn compile(&self, _: &OutKey, _: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
            Ok(None)
        }
    }

    #[test]
    fn all_that_is_wrong_with_a_task_is_reported_at_once() {
        let wrong = |id, inputs: &[&'static str], outputs: &[&'static str]| {
            Task::new(id, Direct(Declares(inputs.to_vec(), outputs.to_vec()))).unwrap_err().to_string()
        };
        assert_eq!(
            wrong("t", &["in/b", "in/a", "in/c", "in/a", "in/b", "in/b"], &[]),
            "task `t`: input layer `in/a` is listed twice; input layer `in/b` is listed twice; it has no output layer; \
             reference layers: not today"
        );
        assert!(wrong("two words", &[], &["o", "o"]).starts_with(
            "task `two words`: it has no input layer; output layer `o` is listed twice; reference layers: not today; \
             `two words` is not a task id: "
        ));
    }
}
