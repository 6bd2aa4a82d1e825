//! Tasks: a compiler under a stable id, with its configuration and, if it says so, a version of its code.

use std::collections::BTreeSet;

use deltic_core::{Layer, LayerId, LayerRef, TaskId};

use crate::filter::Filter;
use crate::policy::OnError;
use crate::{Pattern, Projection, Result};

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
    /// Errors: the id is not legal, a layer is not legal or named twice, there is no input or no output layer, intermediate
    /// values are of a type that can not be written without names.
    pub fn new(id: &str, pattern: impl Into<Pattern>) -> Result<Task> {
        let bad = |message: String| BadTask { id: id.to_owned(), message };
        let declare = |what: &str, error: anyhow::Error| bad(format!("{what}: {error:#}"));
        let pattern = pattern.into();
        let declared = pattern.declared();
        let mut inputs = declared.inputs().map_err(|e| declare("input layers", e))?;
        let mut references = declared.references().map_err(|e| declare("reference layers", e))?;
        let mut outputs = declared.outputs().map_err(|e| declare("output layers", e))?;
        if let Some(needs) = pattern.values_need() {
            return Err(bad(format!(
                "its `Value` can not be an intermediate value: {needs}; these are written without names, so emit a type \
                 that serde writes field by field, or the text of the JSON"
            ))
            .into());
        }
        inputs.sort();
        references.sort();
        outputs.sort_by(|a, b| a.id.cmp(&b.id));
        if inputs.is_empty() {
            return Err(bad("it has no input layer".to_owned()).into());
        }
        if outputs.is_empty() {
            return Err(bad("it has no output layer".to_owned()).into());
        }
        if let Some(twice) = inputs.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(bad(format!("input layer `{}` is listed twice", twice[0])).into());
        }
        if let Some(twice) = outputs.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(bad(format!("output layer `{}` is listed twice", twice[0].id)).into());
        }
        references.dedup();
        references.retain(|layer| !inputs.contains(layer));
        let id = TaskId::new(id).map_err(|e| bad(e.to_string()))?;
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
