//! The recorded settings of the tasks of a version, and which recorded configuration belongs to which section.
//!
//! A version records one configuration for each task. The task may have it from the section of its own name, from the
//! section of a plan, from code, or from a section of another name. The record does not state which. So the code gets recorded
//! configurations as sections, and a rebuild compares the resulting tasks with the record.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Result;
use crate::tasks::config_error::ConfigError;
use crate::tasks::filter::Filter;
use crate::tasks::recordable;
use crate::tasks::section::read;
use crate::tasks::task::Task;

/// The key under which each task of a plan has the plan's own section.
pub(crate) const PLAN: &str = "plan";

/// The recorded settings of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedTask {
    /// The id that it had at that time.
    pub id: String,
    /// Its configuration.
    pub configuration: Value,
    /// Its filter, if it had one.
    pub filter: Option<Value>,
}

/// The recorded settings that sections can have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    /// By the recorded or the present id of the task.
    tasks: BTreeMap<String, RecordedTask>,
    /// Configurations that did not come from the section with their task's id.
    unclaimed: Vec<Value>,
}

impl Recorded {
    pub(super) fn new(tasks: &[RecordedTask]) -> Recorded {
        let tasks = tasks.iter().map(|task| (task.id.clone(), task.clone())).collect();
        Recorded { tasks, unclaimed: Vec::new() }
    }

    /// Learns from tasks that were `registered` with `sections`: the present ids of recorded tasks, and the configurations that belong to
    /// no section of their own. Returns whether sections could get other values with this knowledge.
    pub(super) fn learn(&mut self, sections: &BTreeMap<String, Value>, registered: &[Task]) -> bool {
        let mut claimed: BTreeSet<String> = sections.keys().cloned().collect();
        let mut is_renamed = false;
        for task in registered {
            if self.tasks.contains_key(task.id().as_str()) {
                continue;
            }
            let mut earlier = task.earlier_ids().iter();
            let Some(task_then) = earlier.find_map(|id| self.tasks.get(id.as_str()).cloned()) else { continue };
            is_renamed = true;
            let is_of_plan = task_then.configuration.get(PLAN).is_some();
            if sections.keys().any(|id| id == task.id().as_str() || is_of_plan && is_below(task.id().as_str(), id)) {
                claimed.insert(task_then.id.clone());
            }
            self.tasks.insert(task.id().to_string(), task_then);
        }
        let is_found = |section: &String| self.tasks.contains_key(section) || self.plans(section).next().is_some();
        let all_found = sections.keys().all(is_found);
        // The tasks of a plan have its section under the key `plan`.
        let is_of_plan = |task: &RecordedTask| {
            let of = |(section, value): (&String, &Value)| {
                is_below(&task.id, section) && task.configuration.get(PLAN) == Some(value)
            };
            sections.iter().any(of)
        };
        let unclaimed = self.tasks.values().filter(|task| !claimed.contains(&task.id) && !is_of_plan(task));
        for task in unclaimed {
            let configuration = task.configuration.get(PLAN).unwrap_or(&task.configuration);
            let is_empty = configuration.as_object().is_some_and(serde_json::Map::is_empty);
            if !is_empty && !self.unclaimed.contains(configuration) {
                self.unclaimed.push(configuration.clone());
            }
        }
        is_renamed || !all_found && !self.unclaimed.is_empty()
    }

    /// The configurations of plans that may have this id. The id of a set may contain a dot too, so there may be several.
    fn plans<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Value> {
        self.tasks
            .iter()
            .filter(move |(task, _)| is_below(task, id))
            .filter_map(|(_, task)| task.configuration.get(PLAN))
    }

    /// The recorded value of a section that is read as a `T`.
    pub(crate) fn section<T: Serialize + DeserializeOwned>(&self, name: &str) -> Option<Value> {
        if let Some(task) = self.tasks.get(name) {
            return Some(task.configuration.clone());
        }
        let mut plans = self.plans(name);
        let fits = |value: &&Value| reads_as::<T>(value);
        if let Some(first) = plans.next() {
            return Some(Some(first).filter(fits).or_else(|| plans.find(fits)).unwrap_or(first).clone());
        }
        match self.unclaimed.iter().filter(fits).collect::<Vec<_>>()[..] {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// The tasks with their recorded filters.
    pub(crate) fn filtered(
        &self,
        mut tasks: Vec<Task>,
        read: impl Fn(Value, &[String]) -> Result<Filter, ConfigError>,
    ) -> Result<Vec<Task>> {
        for task in &mut tasks {
            let recorded = self.tasks.get(task.id().as_str()).and_then(|known| known.filter.as_ref());
            // Code may have set the same filter already. A record has only the name of a custom filter, so keep the one from code.
            let Some(filter) =
                recorded.filter(|filter| task.filter().map(|known| json!(known)).as_ref() != Some(filter))
            else {
                continue;
            };
            let path = ["filters".to_owned(), task.id().to_string()];
            let filtered = task.clone().filtered(read(filter.clone(), &path)?);
            *task = filtered.map_err(|error| ConfigError { path: path.to_vec(), message: format!("{error:#}") })?;
        }
        Ok(tasks)
    }
}

fn is_below(id: &str, plan: &str) -> bool {
    id.strip_prefix(plan).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a type reads a recorded configuration, and would record it in the same way.
fn reads_as<T: Serialize + DeserializeOwned>(value: &Value) -> bool {
    let read = read::<T>(value.clone()).ok().filter(|(_, unknown)| unknown.is_none());
    read.and_then(|(read, _)| recordable::walk(&read).ok()).is_some_and(|(again, _)| again == *value)
}
