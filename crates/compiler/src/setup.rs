//! Registering tasks and reading their configuration sections.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use deltic_core::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::filter::{Filter, Takes};
use crate::{Pattern, Result, Task, policy};

/// What a driver binary fills: its tasks, each with the configuration it was made with.
///
/// ```
/// # use deltic_compiler::prelude::*;
/// # fn demo<C: MapGroupCompiler>(setup: &mut Setup, coverage: fn(u8) -> C) -> Result<()> {
/// #[derive(serde::Serialize, serde::Deserialize)]
/// #[serde(default)]
/// struct Config { level: u8 }
/// impl Default for Config {
///     fn default() -> Config { Config { level: 8 } }
/// }
///
/// let config: Config = setup.config("coverage")?;
/// setup.task("coverage", MapGroup(coverage(config.level)))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Setup {
    sections: BTreeMap<String, Value>,
    effective: BTreeMap<String, Value>,
    filters: BTreeMap<String, Value>,
    policies: BTreeMap<String, Value>,
    customs: Customs,
    tasks: Vec<Task>,
}

/// Filters in code, by name.
#[derive(Default)]
struct Customs(BTreeMap<String, Takes>);

/// A configuration section that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", path.join("."))]
pub struct ConfigError {
    /// Where: `compiler`, the task, then the keys down to the value.
    pub path: Vec<String>,
    /// What is wrong, with the names or values that would be right.
    pub message: String,
}

impl Setup {
    /// A setup that reads these sections, one a task. The key `on_error` of a section is its task's [`OnError`].
    ///
    /// [`OnError`]: crate::OnError
    pub fn new(mut sections: BTreeMap<String, Value>) -> Setup {
        let policies = policy::take(&mut sections);
        Setup { sections, policies, ..Setup::default() }
    }

    /// Filters tasks by these sections, one a task.
    #[must_use]
    pub fn with_filters(self, filters: BTreeMap<String, Value>) -> Setup {
        Setup { filters, ..self }
    }

    /// Registers a filter that configurations can name: `custom = "name"`. What it says must follow from the key alone.
    pub fn filter(&mut self, name: &str, takes: impl Fn(&Key) -> bool + Send + Sync + 'static) {
        self.customs.0.insert(name.to_owned(), Arc::new(takes));
    }

    /// Reads the section `[compiler.<task>]`. Missing values take `T`'s serde defaults; a key that `T` does not know is
    /// an error. All of the value, defaults included, becomes part of the task's fingerprint.
    pub fn config<T: Serialize + DeserializeOwned>(&mut self, task: &str) -> Result<T> {
        let section = self.sections.get(task).cloned().unwrap_or_else(|| Value::Object(Map::new()));
        let here = || vec!["compiler".to_owned(), task.to_owned()];
        let mut unknown: Option<Vec<String>> = None;
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(section, &mut track);
        let value = serde_ignored::deserialize(tracked, |path| {
            unknown.get_or_insert_with(|| segments(&path));
        });
        let value: T = value.map_err(|error: serde_json::Error| {
            let inside = track.path().iter().map(ToString::to_string).collect::<Vec<_>>();
            ConfigError { path: here().into_iter().chain(inside).collect(), message: error.to_string() }
        })?;
        let effective = serde_json::to_value(&value)
            .map_err(|error| ConfigError { path: here(), message: format!("can not be recorded: {error}") })?;
        if let Some(segments) = unknown {
            let message = unknown_key(&segments, &effective);
            let path = here().into_iter().chain(segments).collect();
            return Err(ConfigError { path, message }.into());
        }
        self.effective.insert(task.to_owned(), effective);
        Ok(value)
    }

    /// Registers a compiler under a stable id.
    pub fn task(&mut self, id: &str, pattern: impl Into<Pattern>) -> Result<()> {
        self.add(Task::new(id, pattern)?)
    }

    /// Registers a task that was made by hand, for example to state its code's version:
    /// `setup.add(Task::new("coverage", MapGroup(coverage))?.version("3"))`.
    pub fn add(&mut self, task: Task) -> Result<()> {
        let task = match self.effective.get(task.id().as_str()) {
            Some(configuration) => task.configured(configuration.clone()),
            None => task,
        };
        if self.tasks.iter().any(|known| known.id() == task.id()) {
            anyhow::bail!("two tasks are called `{}`", task.id());
        }
        self.tasks.push(task);
        Ok(())
    }

    /// The registered tasks, once every section has been read by its task.
    pub fn finish(self) -> Result<Vec<Task>> {
        let known: BTreeSet<&str> = self.effective.keys().map(String::as_str).collect();
        if let Some(section) = self.sections.keys().find(|section| !known.contains(section.as_str())) {
            let tasks: Vec<&str> = self.tasks.iter().map(|task| task.id().as_str()).collect();
            let message = if tasks.contains(&section.as_str()) {
                format!("task `{section}` takes no configuration")
            } else {
                format!("unknown task `{section}`, expected {}", one_of(tasks))
            };
            return Err(ConfigError { path: vec!["compiler".to_owned(), section.clone()], message }.into());
        }
        let Setup { filters, policies, customs, mut tasks, .. } = self;
        let find = |tasks: &[Task], path: &[String], id: &str| {
            tasks.iter().position(|task| task.id().as_str() == id).ok_or_else(|| {
                let known = one_of(tasks.iter().map(|task| task.id().as_str()));
                ConfigError { path: path.to_vec(), message: format!("unknown task `{id}`, expected {known}") }
            })
        };
        for (id, policy) in policies {
            let index = find(&tasks, &["compiler".to_owned(), id.clone()], &id)?;
            tasks[index] = tasks[index].clone().on_error(policy::read(&id, &policy)?);
        }
        for (id, section) in filters {
            let path = vec!["filters".to_owned(), id.clone()];
            let index = find(&tasks, &path, &id)?;
            let filter = read_filter(section, &customs, &path)?;
            let task = tasks[index].clone().filtered(filter);
            tasks[index] = task.map_err(|error| ConfigError { path, message: format!("{error:#}") })?;
        }
        Ok(tasks)
    }
}

fn read_filter(section: Value, customs: &Customs, path: &[String]) -> Result<Filter, ConfigError> {
    let at = |inside: Vec<String>, message: String| ConfigError { path: [path, &inside].concat(), message };
    let mut track = serde_path_to_error::Track::new();
    let read = serde_path_to_error::Deserializer::new(section, &mut track);
    let read = <Filter as serde::Deserialize>::deserialize(read);
    let inside = || track.path().iter().map(ToString::to_string).collect();
    let mut filter = read.map_err(|error: serde_json::Error| at(inside(), error.to_string()))?;
    let find = |name: &str| customs.0.get(name).cloned();
    filter.resolve(&find).map_err(|name| {
        at(Vec::new(), format!("there is no filter `{name}` in code, expected {}", one_of(customs.0.keys())))
    })?;
    Ok(filter)
}

impl fmt::Debug for Customs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn segments(path: &serde_ignored::Path<'_>) -> Vec<String> {
    use serde_ignored::Path;
    let (parent, last) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Some(index.to_string())),
        Path::Map { parent, key } => (parent, Some(key.clone())),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => (parent, None),
    };
    let mut all = segments(parent);
    all.extend(last);
    all
}

/// Names the keys that stand beside an unknown one, as the effective value shows them.
fn unknown_key(segments: &[String], effective: &Value) -> String {
    let (last, parents) = match segments.split_last() {
        Some((last, parents)) => (last.as_str(), parents),
        None => ("", &[][..]),
    };
    let beside = parents.iter().try_fold(effective, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        value => value.get(key),
    });
    match beside.and_then(Value::as_object) {
        Some(keys) if !keys.is_empty() => format!("unknown key `{last}`, expected {}", one_of(keys.keys())),
        _ => format!("unknown key `{last}`"),
    }
}

fn one_of<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
