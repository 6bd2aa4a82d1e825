//! The sections that the driver itself knows: `[catalogs]` and `[driver]`, and the frame of `[compiler]` and
//! `[filters]`.

use std::collections::BTreeMap;
use std::time::Duration;

use deltic_core::{CatalogId, LayerId, TaskId};
use deltic_driver::{At, LocalEngine};
use serde::Serialize;
use serde_json::Value;

use super::interval::{self, Interval};
use super::job_file::version;
use super::node::{Content, Node};
use super::problem::Problem;
use super::size::ByteSize;

/// The sections of a configuration.
pub(super) const SECTIONS: [&str; 4] = ["catalogs", "driver", "compiler", "filters"];

/// The keys of `[driver]`: how to run. None of them is part of a fingerprint.
pub(super) const DRIVER: [&str; 8] =
    ["threads", "memory", "engine", "incremental", "checkpoint", "retry", "output", "state_layer"];

/// The existing engines.
const ENGINES: [&str; 1] = ["local"];

/// The most threads that may be asked for: more is a mistyped number.
const MAX_THREADS: u64 = 1024;

/// The longest time that a store may ask to slow down: a request is signed when it is first made, and its signature is valid for
/// a quarter of an hour.
const MOST_RETRY: Duration = Duration::from_secs(600);

/// The form of a number of bytes.
const EXPECTED_SIZE: &str = "a whole number and a unit in quotes, as in \"48 MiB\" (units are B, KiB, MiB and GiB)";

/// `[driver]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Driver {
    /// Threads that compile; 0 is one for each processor.
    pub(crate) threads: usize,
    /// About how many bytes of rows between front-ends and back-ends are held in memory.
    pub(crate) memory: ByteSize,
    /// Where kernels run.
    pub(crate) engine: String,
    /// `false` compiles everything in every run.
    pub(crate) incremental: bool,
    /// How often a run writes a checkpoint, from which the next run resumes after an interruption.
    pub(crate) checkpoint: Interval,
    /// How long remote stores may ask to slow down.
    pub(crate) retry: Interval,
    /// The catalog that is written.
    pub(crate) output: CatalogId,
    /// The layer id that state goes under.
    pub(crate) state_layer: LayerId,
}

impl Driver {
    /// The defaults.
    pub(crate) fn built_in() -> Result<Driver, deltic_core::Error> {
        Ok(Driver {
            threads: 0,
            memory: ByteSize(LocalEngine::ROW_MEMORY),
            engine: "local".to_owned(),
            incremental: true,
            checkpoint: Interval(Some(Duration::from_secs(60))),
            retry: Interval(Some(Duration::from_secs(120))),
            output: CatalogId::new("out")?,
            state_layer: LayerId::new("state")?,
        })
    }
}

/// The meaning of a catalog's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    /// Where the catalog is.
    pub(crate) url: String,
    /// Which version of it is read.
    pub(crate) at: At,
}

/// The forms of a catalog's value.
const BINDINGS: &str = "a URL in quotes, or a table: { url = \"…\", version = 5 }, { catalog = \"id\", version = 5 }, \
                        { catalog = \"id\", runs_ago = 1 } or { feedback = true }";

/// The keys of a catalog's table.
const BINDING: [&str; 5] = ["url", "version", "catalog", "runs_ago", "feedback"];

/// Checks everything except the content of the compilers' sections.
pub(super) fn check(root: &Node) -> Result<(BTreeMap<CatalogId, Binding>, Driver), Problem> {
    let mut driver = Driver::built_in().map_err(|error| Problem::at(root, error.to_string()))?;
    let mut nodes = BTreeMap::new();
    for (section, node) in table(root, "the configuration")? {
        match section.as_str() {
            "catalogs" => {
                for (id, node) in table(node, section)? {
                    nodes.insert(CatalogId::new(id).map_err(|error| Problem::at(node, error.to_string()))?, node);
                }
            }
            "driver" => {
                for (key, node) in table(node, section)? {
                    set(&mut driver, key, node)?;
                }
            }
            "compiler" | "filters" => {
                for (task, node) in table(node, section)? {
                    TaskId::new(task).map_err(|error| Problem::at(node, error.to_string()))?;
                    table(node, &format!("{section}.{task}"))?;
                }
            }
            _ => return Err(Problem::unknown("section", node, section, SECTIONS)),
        }
    }
    let catalogs = nodes.iter().map(|(id, node)| Ok((id.clone(), binding(id, node, &nodes, &driver.output)?)));
    Ok((catalogs.collect::<Result<_, Problem>>()?, driver))
}

/// The meaning of a catalog's id, given the values of all ids.
fn binding(
    id: &CatalogId,
    node: &Node,
    all: &BTreeMap<CatalogId, &Node>,
    output: &CatalogId,
) -> Result<Binding, Problem> {
    if node.keys().is_none() {
        return Ok(Binding { url: text(node, id.as_str(), "a URL in quotes")?, at: At::Latest });
    }
    let keys = table(node, id.as_str())?;
    if let Some((key, node)) = keys.iter().find(|(key, _)| !BINDING.contains(&key.as_str())) {
        return Err(Problem::unknown("key", node, key, BINDING));
    }
    if id == output {
        return Err(Problem::at(node, format!("`{id}` is the output, and must be a URL in quotes")));
    }
    let found: Vec<Option<&Node>> = BINDING.iter().map(|key| keys.get(*key)).collect();
    match found[..] {
        [Some(url), at, None, None, None] => Ok(Binding {
            url: text(url, "url", "a URL in quotes")?,
            at: at.map(|at| version(at, "version")).transpose()?.into(),
        }),
        [None, Some(at), Some(of), None, None] => {
            Ok(Binding { url: url_of(of, all)?.1, at: At::Version(version(at, "version")?) })
        }
        [None, None, Some(of), Some(runs), None] => {
            let (of, url) = url_of(of, all)?;
            let number = match &runs.content {
                Content::Scalar(Value::Number(number)) => number.as_u64().filter(|runs| *runs > 0),
                _ => None,
            };
            let runs = number.ok_or_else(|| Problem::kind(runs, "runs_ago", "a whole number from 1"))?;
            Ok(Binding { url, at: At::RunsAgo { of, runs } })
        }
        [None, None, None, None, Some(Node { content: Content::Scalar(Value::Bool(true)), .. })] => {
            let Some(url) = all.get(output) else {
                let message =
                    format!("`{id}` is an earlier version of `{output}`, and no catalog `{output}` is configured");
                return Err(Problem::at(node, message));
            };
            Ok(Binding { url: text(url, output.as_str(), "a URL in quotes")?, at: At::Feedback })
        }
        _ => Err(Problem::at(node, format!("`{id}` must be {BINDINGS}"))),
    }
}

/// The catalog that another id is bound to, and its URL.
fn url_of(node: &Node, all: &BTreeMap<CatalogId, &Node>) -> Result<(CatalogId, String), Problem> {
    let of = text(node, "catalog", "the id of a catalog in quotes")?;
    let of = CatalogId::new(&of).map_err(|error| Problem::at(node, format!("`catalog`: {error}")))?;
    let Some(other) = all.get(&of) else {
        return Err(Problem::at(node, format!("no catalog `{of}` is configured: add it under `[catalogs]`")));
    };
    let url = other.keys().map_or(Some(*other), |keys| keys.get("url"));
    let url =
        url.ok_or_else(|| Problem::at(node, format!("catalog `{of}` has no URL itself: name a catalog that has one")))?;
    Ok((of, text(url, "url", "a URL in quotes")?))
}

fn set(driver: &mut Driver, key: &str, node: &Node) -> Result<(), Problem> {
    let illegal = |error: deltic_core::Error| Problem::at(node, format!("`{key}`: {error}"));
    match key {
        "threads" => {
            let threads = match &node.content {
                Content::Scalar(Value::Number(number)) => number.as_u64().filter(|number| *number <= MAX_THREADS),
                _ => None,
            };
            let threads = threads.and_then(|threads| usize::try_from(threads).ok());
            let expected = format!("a whole number from 0 to {MAX_THREADS}, 0 for one thread a processor");
            driver.threads = threads.ok_or_else(|| Problem::kind(node, key, &expected))?;
        }
        "memory" => {
            let memory = match &node.content {
                Content::Scalar(Value::String(text)) => text.parse().ok(),
                _ => None,
            };
            driver.memory = memory.ok_or_else(|| Problem::kind(node, key, EXPECTED_SIZE))?;
        }
        "incremental" => match node.content {
            Content::Scalar(Value::Bool(truth)) => driver.incremental = truth,
            _ => return Err(Problem::kind(node, key, "true or false")),
        },
        "checkpoint" | "retry" => {
            let every = match &node.content {
                Content::Scalar(value) => Interval::read(value),
                _ => None,
            };
            let every = every.ok_or_else(|| Problem::kind(node, key, interval::EXPECTED))?;
            match key {
                "checkpoint" => driver.checkpoint = every,
                _ if every.0.is_some_and(|retry| retry > MOST_RETRY) => {
                    return Err(Problem::kind(
                        node,
                        key,
                        "at most \"10m\", because a signed request is not valid much longer",
                    ));
                }
                _ => driver.retry = every,
            }
        }
        "engine" => {
            let engine = text(node, key, "the name of an engine in quotes")?;
            if !ENGINES.contains(&engine.as_str()) {
                return Err(Problem::unknown("engine", node, &engine, ENGINES));
            }
            driver.engine = engine;
        }
        "output" => {
            let id = text(node, key, "the id of a catalog in quotes")?;
            driver.output = CatalogId::new(&id).map_err(illegal)?;
        }
        "state_layer" => {
            let id = text(node, key, "the id of a layer in quotes")?;
            driver.state_layer = LayerId::new(&id).map_err(illegal)?;
        }
        _ => return Err(Problem::unknown("key", node, key, DRIVER)),
    }
    Ok(())
}

/// The keys of a table.
pub(super) fn table<'a>(node: &'a Node, key: &str) -> Result<&'a BTreeMap<String, Node>, Problem> {
    node.keys().ok_or_else(|| Problem::kind(node, key, "a table"))
}

fn text(node: &Node, key: &str, expected: &str) -> Result<String, Problem> {
    match &node.content {
        Content::Scalar(Value::String(text)) => Ok(text.clone()),
        _ => Err(Problem::kind(node, key, expected)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listed_keys_are_those_there_are() {
        let built_in = serde_json::to_value(Driver::built_in().unwrap()).unwrap();
        let mut keys: Vec<&str> = built_in.as_object().unwrap().keys().map(String::as_str).collect();
        let mut listed = DRIVER.to_vec();
        keys.sort_unstable();
        listed.sort_unstable();
        assert_eq!(keys, listed);
    }
}
