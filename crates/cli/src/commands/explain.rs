//! `explain`: describes each task: its input, reference and output layers, its steps and its code.

use deltic_compiler::{Projection, Setup, Task};
use serde::Serialize;

use crate::args::ConfigArgs;
use crate::job::Register;
use crate::job::inputs::Inputs;
use crate::job::tasks::tasks;
use crate::terminal::failure::Outcome;
use crate::terminal::out::Out;

/// The description of a task.
#[derive(Serialize)]
struct Explained<'a> {
    task: &'a str,
    pattern: &'a str,
    /// Layers whose partitions are compiled.
    reads: Vec<String>,
    /// Other layers that may be read.
    looks_at: Vec<String>,
    writes: Vec<String>,
    /// Those of the output layers that are private.
    private: Vec<String>,
    /// Projections that it uses.
    projections: Vec<String>,
    /// Steps of a data set that are fused into the stage.
    steps: Vec<String>,
    /// The limit of the memo, in bytes of what one input emits to one output.
    memo: Option<u32>,
    filtered: bool,
    /// The version of its code, if it states one.
    version: Option<&'a str>,
}

/// Describes the tasks. No catalog is opened.
pub(super) fn explain(args: &ConfigArgs, register: Register<'_>, out: &mut Out) -> Outcome {
    let config = args.load()?;
    let setup = Setup::new(config.sections()).with_filters(config.filters());
    let tasks = tasks(&config, setup, register, &Inputs::closed(&config))?;
    let explained: Vec<Explained<'_>> = tasks.iter().map(of).collect();
    let body = serde_json::json!({ "tasks": explained });
    out.result("deltic.explain/1", body, || text(&explained))
}

fn of(task: &Task) -> Explained<'_> {
    let layers = |layers: &[deltic_core::LayerRef]| layers.iter().map(ToString::to_string).collect();
    let outputs = || task.outputs().iter().map(|layer| &layer.id);
    let steps = task.configuration().get("steps").and_then(|steps| steps.as_array());
    Explained {
        task: task.id().as_str(),
        pattern: task.pattern().name(),
        reads: layers(task.inputs()),
        looks_at: layers(task.references()),
        writes: outputs().map(ToString::to_string).collect(),
        private: outputs().filter(|layer| task.is_private(layer)).map(ToString::to_string).collect(),
        projections: task.projections().iter().map(|part: &Projection| part.id().to_owned()).collect(),
        steps: steps.into_iter().flatten().filter_map(|step| step.as_str().map(str::to_owned)).collect(),
        memo: task.memo_limit(),
        filtered: task.filter().is_some(),
        version: task.code_version(),
    }
}

fn text(tasks: &[Explained<'_>]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if tasks.is_empty() {
        lines.push("there are no tasks".to_owned());
    }
    for task in tasks {
        lines.push(format!("{}  {}", task.task, task.pattern));
        let mut list = |what: &str, items: &[String]| {
            if !items.is_empty() {
                lines.push(format!("  {what:<10} {}", items.join(", ")));
            }
        };
        list("reads", &task.reads);
        list("looks at", &task.looks_at);
        list("parts", &task.projections);
        list("steps", &task.steps);
        let private =
            |layer: &String| if task.private.contains(layer) { format!("{layer} (private)") } else { layer.clone() };
        list("writes", &task.writes.iter().map(private).collect::<Vec<_>>());
        let mut kept = Vec::new();
        kept.extend(
            task.memo.map(|limit| format!("has a memo of what an input emits to an output, up to {limit} bytes")),
        );
        kept.extend(task.filtered.then(|| "compiles only what its filter accepts".to_owned()));
        list("note", &kept);
        let code = task.version.map_or("that of the binary".to_owned(), |version| format!("version {version}"));
        list("code", &[code]);
    }
    lines
}
