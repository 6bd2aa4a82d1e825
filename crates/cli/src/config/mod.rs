//! The configuration: defaults, then `application.conf`, then the environment, then `--set`.
//!
//! Every value has the place where it was written, and every error about it names that place. Unknown keys are errors on every
//! layer: a mistyped setting must not silently leave the default.
//!
//! `[driver]` sets how to run, and is part of no fingerprint. `[compiler.<task>]` sets what to make, and all of it is part of that
//! task's fingerprint. `[catalogs]` binds symbolic ids to URLs, so that code names no URL.

mod interval;
mod job_file;
mod node;
mod overlay;
mod problem;
mod schema;
mod secrets;
mod show;
mod size;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use deltic_compiler::{ConfigError, RecordedTask, Task};
use deltic_core::CatalogId;
use deltic_driver::At;
use deltic_store::Snapshot;
use serde_json::Value;

pub(crate) use job_file::JobFile;
use node::{Node, Origin};
pub(crate) use problem::Problem;
pub(crate) use schema::{Binding, Driver};
pub(crate) use show::{Shown, document, with_origins};

/// The file that is read when the command line names none.
pub(crate) const DEFAULT_FILE: &str = "application.conf";

/// The sources of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file named on the command line; without one, [`DEFAULT_FILE`] is read if it is there.
    pub(crate) file: Option<PathBuf>,
    /// All environment variables.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The `--set` options.
    pub(crate) settings: Vec<String>,
}

/// A configuration that was checked as far as that is possible without the compilers.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    root: Node,
    /// Whether there was a file.
    pub(crate) from_file: bool,
    /// Catalogs by symbolic id.
    pub(crate) catalogs: BTreeMap<CatalogId, Binding>,
    /// How to run.
    pub(crate) driver: Driver,
}

impl Config {
    /// Reads and merges all layers.
    pub(crate) fn load(sources: &Sources) -> Result<Config, Problem> {
        let path = sources.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && sources.file.is_none() => None,
            Err(error) => {
                let origin = Origin::given(path.display().to_string(), &[]);
                return Err(Problem { origin, message: format!("the configuration can not be read: {error}") });
            }
        };
        Config::merge(&path.display().to_string(), text.as_deref(), sources)
    }

    pub(crate) fn merge(path: &str, text: Option<&str>, sources: &Sources) -> Result<Config, Problem> {
        let mut root = text::parse(path, text.unwrap_or_default())?;
        root.origin = Origin::Default;
        overlay::environment(&mut root, &sources.environment)?;
        overlay::arguments(&mut root, &sources.settings)?;
        secrets::refuse(&root)?;
        let (catalogs, driver) = schema::check(&root)?;
        Ok(Config { root, from_file: text.is_some(), catalogs, driver })
    }

    /// The same, with the sections and filters that a version records of its tasks, and with its inputs at the URLs where they
    /// were found.
    pub(crate) fn with_recorded(
        mut self,
        place: &str,
        tasks: &[RecordedTask],
        inputs: &BTreeMap<CatalogId, Snapshot>,
    ) -> Config {
        let origin = Origin::given(place, &[]);
        for section in ["compiler", "filters"] {
            self.root.set(&[section.to_owned()], Node::table(origin.clone()));
        }
        let mut set = |section: &str, task: &RecordedTask, value: Value| {
            let path = [section.to_owned(), task.id.clone()];
            self.root.set(&path, Node::from_json(value, &origin));
        };
        for task in tasks {
            // A task that takes no section records an empty one, as does a task whose configuration has no fields.
            if task.configuration.as_object().is_none_or(|fields| !fields.is_empty()) {
                set("compiler", task, task.configuration.clone());
            }
            if let Some(filter) = &task.filter {
                set("filters", task, filter.clone());
            }
        }
        for (id, input) in inputs {
            let url = input.catalog().url().to_owned();
            self.catalogs.insert(id.clone(), Binding { url, at: At::Version(input.version()) });
        }
        self
    }

    /// Whether anything was written under these keys.
    pub(crate) fn has(&self, path: &[String]) -> bool {
        self.root.get(path).is_some()
    }

    /// The sections of the compilers, by task.
    pub(crate) fn sections(&self) -> BTreeMap<String, Value> {
        self.by_task("compiler")
    }

    /// The filters, by task.
    pub(crate) fn filters(&self) -> BTreeMap<String, Value> {
        self.by_task("filters")
    }

    fn by_task(&self, section: &str) -> BTreeMap<String, Value> {
        let sections = self.root.get(&[section.to_owned()]).and_then(Node::keys);
        sections.into_iter().flatten().map(|(task, section)| (task.clone(), section.to_json())).collect()
    }

    /// The error of a compiler about its section, with the place.
    pub(crate) fn locate(&self, error: &ConfigError) -> Problem {
        Problem::of_section(&self.root, error)
    }

    /// A line that names the place where the URL of a catalog was written.
    pub(crate) fn origin_of_url(&self, catalog: &CatalogId) -> String {
        let (url, _) = self.root.nearest(&["catalogs".to_owned(), catalog.to_string()]);
        format!("the URL of catalog `{catalog}` is set in {}", url.origin)
    }

    /// Every effective value and where it came from.
    pub(crate) fn show(&self, tasks: &[Task], sections: &BTreeMap<String, Value>) -> Vec<Shown> {
        show::values(self, tasks, sections)
    }
}
