//! The order of tasks: a task that reads a layer runs after the task that writes it.
//!
//! All errors of a job that can be found before a run are found here: two tasks that write one layer, a layer that does not
//! exist, a cycle, the reserved state layer, a task whose code nothing names.

use std::collections::BTreeMap;

use deltic_compiler::Task;
use deltic_core::{CatalogId, LayerId};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::run::job::Options;
use crate::{Error, Result};

/// The tasks in an order in which they can run: producers first, otherwise as registered.
pub(crate) fn order<'a>(tasks: &'a [Task], catalogs: &[&CatalogId], options: &Options) -> Result<Vec<&'a Task>> {
    let state_layer = &options.state_layer;
    let mut producers: BTreeMap<&LayerId, usize> = BTreeMap::new();
    for (index, task) in tasks.iter().enumerate() {
        if let Some(other) = tasks[..index].iter().find(|other| other.id() == task.id()) {
            return Err(Error::setup(format!("two tasks are called `{}`", other.id())));
        }
        // Its fingerprint would be the same for every code, and what other code compiled would count as its output.
        if task.code_version().is_none_or(str::is_empty) && options.code.is_empty() {
            return Err(Error::setup(format!(
                "task `{}` states no version, and the job names no code: state one with `Task::version`, or set \
                 `Options::code` to what names the binary",
                task.id()
            )));
        }
        check_earlier_ids(task, tasks)?;
        for layer in task.outputs() {
            if layer.id == *state_layer {
                return Err(Error::setup(format!(
                    "task `{}` writes layer `{state_layer}`, which is reserved for state: choose another name, or \
                     another state layer with `driver.state_layer`",
                    task.id()
                )));
            }
            if let Some(first) = producers.insert(&layer.id, index) {
                return Err(Error::setup(format!(
                    "layer `{}` is written by two tasks, `{}` and `{}`: a layer belongs to one task",
                    layer.id,
                    tasks[first].id(),
                    task.id()
                )));
            }
        }
    }
    let mut graph: DiGraph<usize, ()> = DiGraph::new();
    let nodes: Vec<NodeIndex> = (0..tasks.len()).map(|index| graph.add_node(index)).collect();
    for (index, task) in tasks.iter().enumerate() {
        for layer in task.readable() {
            match (&layer.catalog, producers.get(&layer.layer)) {
                (Some(catalog), _) if !catalogs.contains(&catalog) => {
                    return Err(Error::setup(format!(
                        "task `{}` reads `{layer}`, but no catalog `{catalog}` is configured: add it under `[catalogs]`",
                        task.id()
                    )));
                }
                (Some(_), _) => {}
                (None, Some(producer)) => {
                    graph.update_edge(nodes[*producer], nodes[index], ());
                }
                (None, None) => {
                    return Err(Error::setup(format!(
                        "task `{}` reads layer `{layer}`, which no task writes: for a layer of an input catalog write \
                         `catalog/{layer}`",
                        task.id()
                    )));
                }
            }
        }
    }
    sort(tasks, &graph)
}

/// State has one owner: nobody else may have the earlier id of a task, or have had it.
fn check_earlier_ids(task: &Task, tasks: &[Task]) -> Result<()> {
    for earlier in task.earlier_ids() {
        if tasks.iter().any(|other| other.id() == earlier) {
            return Err(Error::setup(format!(
                "task `{}` was previously `{earlier}`, and there is a task `{earlier}`: whose is its state?",
                task.id()
            )));
        }
        let claims = |other: &&Task| other.id() != task.id() && other.earlier_ids().contains(earlier);
        if let Some(other) = tasks.iter().find(claims) {
            return Err(Error::setup(format!(
                "tasks `{}` and `{}` were both previously `{earlier}`: state has one owner",
                task.id(),
                other.id()
            )));
        }
    }
    Ok(())
}

/// Sorts topologically; among tasks that are ready, the one registered first comes first.
fn sort<'a>(tasks: &'a [Task], graph: &DiGraph<usize, ()>) -> Result<Vec<&'a Task>> {
    use petgraph::Direction::Incoming;
    let mut order: Vec<NodeIndex> = Vec::new();
    while order.len() < tasks.len() {
        let ready = |node: &NodeIndex| {
            !order.contains(node) && graph.neighbors_directed(*node, Incoming).all(|before| order.contains(&before))
        };
        match graph.node_indices().find(ready) {
            Some(node) => order.push(node),
            None => return Err(cycle(tasks, graph)),
        }
    }
    Ok(order.into_iter().map(|node| &tasks[graph[node]]).collect())
}

fn cycle(tasks: &[Task], graph: &DiGraph<usize, ()>) -> Error {
    let looped = |component: &Vec<NodeIndex>| {
        component.len() > 1 || component.iter().any(|node| graph.find_edge(*node, *node).is_some())
    };
    let mut names: Vec<&str> = petgraph::algo::tarjan_scc(graph)
        .into_iter()
        .find(looped)
        .unwrap_or_default()
        .into_iter()
        .map(|node| tasks[graph[node]].id().as_str())
        .collect();
    names.sort_unstable();
    Error::setup(format!("tasks read each other's output in a circle: `{}`", names.join("`, `")))
}
