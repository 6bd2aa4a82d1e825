//! Tasks: a compiler under a stable id, with its configuration and, optionally, a version of its code.

use std::collections::BTreeSet;

use deltic_core::{Layer, LayerId, LayerRef, TaskId};

use crate::error::Result;
use crate::io::layers::Layers;
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
    projections: Vec<Projection>,
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
    /// Errors, reported together: the id is not legal, a layer is not legal or named twice, there is no input or no output layer, the type
    /// of intermediate values can not be written without names.
    pub fn new(id: &str, pattern: impl Into<Pattern>) -> Result<Task> {
        let pattern = pattern.into();
        let (declared, mut mistakes) = match pattern.declared().layers() {
            Ok(layers) => {
                let mut mistakes = layers.mistakes.clone();
                check_list(&mut mistakes, "input", layers.named_inputs, layers.inputs.iter());
                check_list(&mut mistakes, "output", layers.outputs.len(), layers.outputs.iter().map(|layer| &layer.id));
                (layers, mistakes)
            }
            Err(error) => (Layers::new(), vec![format!("layers: {error:#}")]),
        };
        let Layers { mut inputs, mut references, projections, mut outputs, .. } = declared;
        mistakes.extend(pattern.values_need().map(|needs| {
            format!(
                "its `Value` can not be an intermediate value: {needs}; intermediate values are written without names, so emit \
                 a type that serde writes field by field, or the text of the JSON"
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
            projections,
            private: BTreeSet::new(),
            earlier: Vec::new(),
            filter: None,
            policy: OnError::default(),
            memo: None,
            configuration,
            version: None,
        })
    }

    /// States the version of the compiler's code. With it, this text alone decides whether the code has changed. Without it, the digest of
    /// the running executable does, so every new build compiles everything again.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Task {
        self.version = Some(version.into());
        self
    }

    /// Keeps an output layer private: later tasks read it like any other, but it is not a layer of the output catalog. Its partitions are
    /// part of the state.
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

    /// States an earlier id of the task, so that it takes over that state: `Task::new("coverage", …)?.previously("tiles")?`. A task without
    /// state under its own id takes the state of the first of its earlier ids that has some. So neither this task nor later ones are
    /// compiled again. The call can stay in the code for good.
    ///
    /// Errors: the id is not legal, or is the present one.
    pub fn previously(mut self, id: &str) -> Result<Task> {
        let bad = |message: String| BadTask { id: self.id.to_string(), message };
        let earlier = TaskId::new(id).map_err(|e| bad(e.to_string()))?;
        if earlier == self.id {
            return Err(bad("this is its present id, not an earlier one".to_owned()).into());
        }
        self.earlier.push(earlier);
        Ok(self)
    }

    /// Compiles only inputs that the filter takes. The filter is part of the fingerprint: a change of it compiles the whole task again.
    ///
    /// Errors: a custom filter has no function; the task compiles its input as a whole.
    pub fn filtered(mut self, mut filter: Filter) -> Result<Task> {
        let bad = |message: String| BadTask { id: self.id.to_string(), message };
        filter.resolve(&|_| None).map_err(|name| bad(format!("there is no filter `{name}`")))?;
        if !matches!(self.pattern, Pattern::Direct { .. } | Pattern::Group(_)) {
            return Err(bad("it compiles its input as a whole, which can not be filtered".to_owned()).into());
        }
        self.filter = Some(filter);
        Ok(self)
    }

    /// Sets what happens to partitions that the compiler fails on; `on_error` in the task's configuration section overrides this.
    #[must_use]
    pub fn on_error(mut self, policy: OnError) -> Task {
        self.policy = policy;
        self
    }

    /// Sets the configuration that the compiler was made with. All of it is part of the fingerprint. Make the value with
    /// [`recordable`](crate::recordable), which refuses settings that `serde_json::to_value` would drop.
    #[must_use]
    pub fn configured(mut self, configuration: serde_json::Value) -> Task {
        self.configuration = configuration;
        self
    }

    /// The stable id.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Its earlier ids, in the order in which they were stated.
    pub fn earlier_ids(&self) -> &[TaskId] {
        &self.earlier
    }

    /// The same task under one of its earlier ids; `None` if it never had this id.
    pub fn called_earlier(&self, id: &TaskId) -> Option<Task> {
        self.earlier.contains(id).then(|| Task { id: id.clone(), earlier: Vec::new(), ..self.clone() })
    }

    /// The filter of its inputs, if it has one.
    pub fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// What happens to partitions that the compiler fails on.
    pub fn policy(&self) -> OnError {
        self.policy
    }

    /// The compiler.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The projections that the compiler reads.
    pub fn projections(&self) -> Vec<Projection> {
        self.projections.clone()
    }

    /// Memoizes the values that front-ends emit in the state, so that an output can be compiled again without running the front-ends of its
    /// unchanged inputs. The values of one input for one output are memoized when they have at most `limit` bytes. So `limit` times the
    /// number of such pairs bounds the size. For patterns with intermediate values.
    #[must_use]
    pub fn memo(mut self, limit: u32) -> Task {
        self.memo = Some(limit);
        self
    }

    /// The most bytes that are memoized of the values of one input for one output, if any are.
    pub fn memo_limit(&self) -> Option<u32> {
        self.memo
    }

    /// The layers that are compiled, sorted.
    pub fn inputs(&self) -> &[LayerRef] {
        &self.inputs
    }

    /// The further layers that may be read, sorted.
    pub fn references(&self) -> &[LayerRef] {
        &self.references
    }

    /// All layers that the task can read: inputs and references, sorted. Front-ends, back-ends and state number layers in this order.
    pub fn readable(&self) -> Vec<LayerRef> {
        let mut all: Vec<LayerRef> = self.inputs.iter().chain(&self.references).cloned().collect();
        all.sort();
        all
    }

    /// The layers it writes, sorted by id.
    pub fn outputs(&self) -> &[Layer] {
        &self.outputs
    }

    /// Whether an output layer is private to the job: part of the state, not a layer of the output catalog.
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

/// Adds the mistakes in a list of layers that a compiler declares.
fn check_list<N: Ord + std::fmt::Display>(
    mistakes: &mut Vec<String>,
    what: &str,
    named: usize,
    layers: impl Iterator<Item = N>,
) {
    // A list can be empty because its names are illegal, which is reported already.
    if named == 0 {
        mistakes.push(format!("it has no {what} layer"));
    }
    let (mut known, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for layer in layers {
        if let Some(again) = known.replace(layer) {
            twice.insert(again);
        }
    }
    mistakes.extend(twice.into_iter().map(|layer| format!("{what} layer `{layer}` is listed twice")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Direct, DirectCompiler, HasLayers, Input, OutKey, Outputs};
    use anyhow::Context as _;
    use deltic_core::{Key, Payload};

    /// Declares these layers; without output layers it fails.
    struct Declares(Vec<&'static str>, Option<Vec<&'static str>>);

    impl HasLayers for Declares {
        fn layers(&self) -> Result<Layers> {
            let outputs = self.1.as_ref().context("not today")?;
            let outputs = outputs.iter().map(|id| Ok(Layer::generic(id)?)).collect::<Result<Vec<_>>>()?;
            Ok(Layers::new().input_layers(&self.0).reference_layers(["no/such/layer"]).output_layers(outputs))
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
        let wrong = |id, inputs: &[&'static str], outputs: Option<&[&'static str]>| {
            let declares = Declares(inputs.to_vec(), outputs.map(<[_]>::to_vec));
            Task::new(id, Direct(declares)).unwrap_err().to_string()
        };
        let reported = wrong("t", &["in/b", "in/a", "in/c", "in/a", "in/b", "in/b"], Some(&[]));
        assert!(reported.starts_with("task `t`: reference layers: `such/layer` is not a layer id: "), "{reported}");
        let lists = "; input layer `in/a` is listed twice; input layer `in/b` is listed twice; it has no output layer";
        assert!(reported.ends_with(lists), "{reported}");
        let reported = wrong("two words", &["in/a!"], Some(&["o", "o"]));
        assert!(reported.starts_with("task `two words`: input layers: `a!` is not a layer id: "), "{reported}");
        assert!(reported.contains("; output layer `o` is listed twice; `two words` is not a task id: "), "{reported}");
        assert!(!reported.contains("it has no input layer"), "{reported}");
        let reported = wrong("two words", &[], None);
        assert!(
            reported.starts_with("task `two words`: layers: not today; `two words` is not a task id: "),
            "{reported}"
        );
    }
}
