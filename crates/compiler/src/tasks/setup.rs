//! Registers tasks, and passes them their configuration sections, policies and filters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use deltic_core::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::patterns::stage::Pattern;
use crate::tasks::config_error::ConfigError;
use crate::tasks::filter::{Filter, Takes};
use crate::tasks::policy;
use crate::tasks::recordable::{self, Refused};
use crate::tasks::recorded::Recorded;
use crate::tasks::section::{check_reads_back, one_of, read, unknown_key, unrecorded};
use crate::tasks::task::Task;

/// The tasks of a driver binary, each with the configuration that it was made with.
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

impl Setup {
    /// A setup that reads these sections, one for each task. The key `on_error` of a section is its task's [`OnError`].
    ///
    /// [`OnError`]: crate::OnError
    pub fn new(mut sections: BTreeMap<String, Value>) -> Setup {
        let policies = policy::take(&mut sections);
        Setup { sections, policies, ..Setup::default() }
    }

    /// Filters tasks by these sections, one for each task.
    #[must_use]
    pub fn with_filters(self, filters: BTreeMap<String, Value>) -> Setup {
        Setup { filters, ..self }
    }

    /// Registers a filter that configurations can name: `custom = "name"`. Its result must depend on the key alone.
    pub fn filter(&mut self, name: &str, takes: impl Fn(&Key) -> bool + Send + Sync + 'static) {
        self.customs.0.insert(name.to_owned(), Arc::new(takes));
    }

    /// Uses the recorded settings of a version instead of sections, policies and filters.
    pub(crate) fn with_recorded(self, recorded: Recorded) -> Setup {
        Setup { recorded: Some(recorded), policies: BTreeMap::new(), filters: BTreeMap::new(), ..self }
    }

    /// Reads the section `[compiler.<task>]`. Missing values take `T`'s serde defaults; a key that `T` does not know is an error. The whole
    /// value, defaults included, becomes part of the fingerprint of the task with this id, and is recorded with each version that the
    /// task makes. A task with another id gets its part by [`Task::configured`].
    ///
    /// Errors, which name the key: a value that is missing, unknown or of the wrong kind; one that can not be recorded, such as a number
    /// that is not finite; one that differs after it was recorded and read back; a section that is read twice with different results.
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
            return Err(here(
                "`on_error` sets the policy of a task, and no compiler gets it: give this setting another name",
            )
            .into());
        }
        check_reads_back::<T>(&effective).map_err(at)?;
        if let Some(path) = unrecorded::<T>(&section, &effective, &shape) {
            let message = "it is read but not recorded, so that a change of it would not be noticed: serialise it too";
            return Err(at(Refused { path, message: message.to_owned() }).into());
        }
        match self.effective.insert(task.to_owned(), effective.clone()) {
            Some(before) if before != effective => {
                Err(here("it is read twice, with types whose settings differ").into())
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

    /// Configures tasks with the sections of their ids.
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

    /// The sections that were read so far, each with its effective value, defaults included.
    pub fn effective(&self) -> &BTreeMap<String, Value> {
        &self.effective
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
