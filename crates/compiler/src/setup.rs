//! Registering tasks and reading their configuration sections.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use deltic_core::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::filter::{Filter, Takes};
use crate::recordable::{self, Refused};
use crate::recorded::Recorded;
use crate::{Pattern, Result, Task, policy};

/// How often settings are written and read again before they pass. A set whose order is another one each time is found by
/// that.
const TRIPS: usize = 8;

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
    recorded: Option<Recorded>,
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

    /// Takes what a version records over sections, policies and filters.
    pub(crate) fn with_recorded(self, recorded: Recorded) -> Setup {
        Setup { recorded: Some(recorded), policies: BTreeMap::new(), filters: BTreeMap::new(), ..self }
    }

    /// Reads the section `[compiler.<task>]`. Missing values take `T`'s serde defaults; a key that `T` does not know is
    /// an error. All of the value, defaults included, becomes part of the fingerprint of the task that is called so, and is
    /// recorded with each version that it makes. A task of another name gets its part by [`Task::configured`].
    ///
    /// Errors name the key: a value that is missing, unknown or of the wrong kind; one that can not be recorded, such as a
    /// number that is not finite; one that is not the same when it is read from its record; a section that is read twice
    /// with different outcomes.
    pub fn config<T: Serialize + DeserializeOwned>(&mut self, task: &str) -> Result<T> {
        let at = |Refused { path, message }: Refused| {
            let here = ["compiler".to_owned(), task.to_owned()];
            ConfigError { path: here.into_iter().chain(path).collect(), message }
        };
        let here = |message: &str| at(Refused { path: Vec::new(), message: message.to_owned() });
        let recorded = self.recorded.as_ref().and_then(|recorded| recorded.section::<T>(task));
        let section = recorded.or_else(|| self.sections.get(task).cloned());
        let section = section.unwrap_or_else(|| Value::Object(Map::new()));
        let (value, unknown) = read::<T>(section.clone()).map_err(at)?;
        let (effective, shape) = recordable::walk(&value).map_err(at)?;
        if let Some(path) = unknown {
            let message = unknown_key(&path, &effective);
            return Err(at(Refused { path, message }).into());
        }
        if effective.get(policy::KEY).is_some() {
            return Err(
                here("`on_error` is a key of every task's section, which no compiler sees: call it otherwise").into()
            );
        }
        check_reads_back::<T>(&effective).map_err(at)?;
        if let Some(path) = unrecorded::<T>(&section, &effective, &shape) {
            let message = "it is read and not recorded, so that another value would go unseen: serialise it as well";
            return Err(at(Refused { path, message: message.to_owned() }).into());
        }
        match self.effective.insert(task.to_owned(), effective.clone()) {
            Some(before) if before != effective => {
                Err(here("it is read twice, as types that do not have the same settings").into())
            }
            _ => Ok(value),
        }
    }

    /// Registers a compiler under a stable id.
    pub fn task(&mut self, id: &str, pattern: impl Into<Pattern>) -> Result<()> {
        self.add(Task::new(id, pattern)?)
    }

    /// Registers a task that was made by hand, for example to state its code's version:
    /// `setup.add(Task::new("coverage", MapGroup(coverage))?.version("3"))`.
    pub fn add(&mut self, task: Task) -> Result<()> {
        if self.tasks.iter().any(|known| known.id() == task.id()) {
            anyhow::bail!("two tasks are called `{}`", task.id());
        }
        self.tasks.push(task);
        Ok(())
    }

    /// The registered tasks, once every section has been read by its task.
    pub fn finish(mut self) -> Result<Vec<Task>> {
        self.configure()?;
        if let Some(recorded) = &self.recorded {
            return recorded.filtered(self.tasks, |section, path| read_filter(section, &self.customs, path));
        }
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

    /// Gives tasks the sections that are called after them.
    fn configure(&mut self) -> Result<()> {
        for task in &mut self.tasks {
            let Some(section) = self.effective.get(task.id().as_str()) else { continue };
            let is_configured = task.configuration().as_object().is_none_or(|keys| !keys.is_empty());
            if is_configured && task.configuration() != section {
                let message =
                    "the task was given another configuration besides this section: put both into one".to_owned();
                return Err(ConfigError { path: vec!["compiler".to_owned(), task.id().to_string()], message }.into());
            }
            *task = task.clone().configured(section.clone());
        }
        Ok(())
    }

    /// The tasks that are registered so far.
    pub(crate) fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// The sections that were read so far, each with all that it holds in the end, defaults included.
    pub fn effective(&self) -> &BTreeMap<String, Value> {
        &self.effective
    }
}

/// Reads a section; also the first key that `T` does not know.
pub(crate) fn read<T: DeserializeOwned>(section: Value) -> Result<(T, Option<Vec<String>>), Refused> {
    let mut unknown: Option<Vec<String>> = None;
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(section, &mut track);
    let value = serde_ignored::deserialize(tracked, |path| {
        unknown.get_or_insert_with(|| segments(&path));
    });
    let value: T = value.map_err(|error: serde_json::Error| {
        let path = track.path().iter().map(ToString::to_string).collect();
        Refused { path, message: error.to_string() }
    })?;
    Ok((value, unknown))
}

/// Refuses settings that are not the same when they are read from what is recorded of them.
fn check_reads_back<T: Serialize + DeserializeOwned>(effective: &Value) -> Result<(), Refused> {
    for _ in 0..TRIPS {
        let (again, unknown) = read::<T>(effective.clone()).map_err(|Refused { path, message }| {
            let message = format!("what is recorded of it can not be read again: {message}");
            Refused { path, message }
        })?;
        if let Some(path) = unknown {
            let message = "it is recorded under this key, and not read again under it".to_owned();
            return Err(Refused { path, message });
        }
        let (again, _) = recordable::walk(&again)?;
        if let Some((path, was, is)) = recordable::first_difference(effective, &again) {
            let message = format!("it is recorded as {was}, and would be recorded as {is} once it is read from there");
            return Err(Refused { path, message });
        }
    }
    Ok(())
}

/// A key of a section that `T` reads and does not write, whatever its value is.
fn unrecorded<T: Serialize + DeserializeOwned>(
    section: &Value,
    effective: &Value,
    shape: &recordable::Shape,
) -> Option<Vec<String>> {
    let mut missing = Vec::new();
    missing_keys(section, effective, &mut Vec::new(), &mut missing);
    missing.retain(|(path, _)| shape.leaves_out(path));
    let is_unseen = |(path, value): &(Vec<String>, &Value)| {
        let mut with = effective.clone();
        if let Some((last, tables)) = path.split_last()
            && let Some(table) = tables.iter().try_fold(&mut with, |value, key| value.get_mut(key))
        {
            table[last] = (*value).clone();
        }
        // Another name of a key that is written can not stand beside it.
        let read = read::<T>(with).ok().filter(|(_, unknown)| unknown.is_none());
        read.and_then(|(read, _)| recordable::walk(&read).ok()).is_some_and(|(again, _)| again == *effective)
    };
    missing.into_iter().find(is_unseen).map(|(path, _)| path)
}

/// The keys of tables that only the first of two values has.
fn missing_keys<'a>(one: &'a Value, other: &Value, path: &mut Vec<String>, out: &mut Vec<(Vec<String>, &'a Value)>) {
    let (Some(ones), Some(others)) = (one.as_object(), other.as_object()) else { return };
    for (key, value) in ones {
        path.push(key.clone());
        match others.get(key) {
            Some(other) => missing_keys(value, other, path, out),
            None => out.push((path.clone(), value)),
        }
        path.pop();
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
