//! Each part of a fingerprint, changed alone: its task runs in full, once, with the reason, and no other part differs.

use std::collections::BTreeSet;

use deltic::compiler::{CODEC_VERSION, Filter, Pattern};
use deltic::core::{Grid, LayerId, RunId};
use deltic::prelude::*;
use deltic::store::{Committed, Draft, DraftOptions, NextVersion};
use deltic_testkit::Lab;
use serde_json::json;

/// Declares layers, and makes nothing.
#[derive(Clone)]
struct Idle {
    inputs: Vec<&'static str>,
    references: Vec<&'static str>,
    outputs: Vec<Layer>,
}

impl HasLayers for Idle {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(&self.inputs)
            .reference_layers(&self.references)
            .output_layers(self.outputs.clone()))
    }
}

impl MapGroupCompiler for Idle {
    type Value = ();

    fn compile_in(&self, _: &Input, _: &mut Emit<'_, ()>, _: &Context<'_>) -> Result<()> {
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, _: Values<'_, ()>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(None)
    }
}

impl MapSplitCompiler for Idle {
    type Value = ();

    fn compile_in(&self, _: &Input, _: &mut Emit<'_, ()>, _: &Context<'_>) -> Result<()> {
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, _: Values<'_, ()>, _: &mut Publish<'_>, _: &Context<'_>) -> Result<()> {
        Ok(())
    }
}

fn idle() -> Idle {
    Idle { inputs: vec!["in/a"], references: vec!["in/r"], outputs: vec![Layer::generic("out").unwrap()] }
}

fn other(change: impl FnOnce(&mut Idle)) -> Task {
    let mut other = idle();
    change(&mut other);
    task(MapGroup(other))
}

fn task(pattern: impl Into<Pattern>) -> Task {
    Task::new("idle", pattern).unwrap().version("1")
}

fn tiles(levels: std::ops::RangeInclusive<u8>) -> Layer {
    Layer::tiles("out", Grid::Here, levels).unwrap()
}

/// What is changed between two runs.
enum Change {
    /// The task, from one to the other.
    Task(Box<(Task, Task)>),
    /// What surrounds it.
    Around(fn(&mut Lab)),
}

/// Makes a layer of the input, which is empty, one of tiles.
fn other_settings(lab: &mut Lab) {
    let base = lab.input_catalog("in").latest().unwrap();
    let draft = Draft::begin(&base, RunId(9000), DraftOptions::default());
    let layers = base.layers().map(|layer| {
        let tree = draft.adopt(&base.tree(&layer.id).unwrap());
        let is_reference = layer.id == LayerId::new("r").unwrap();
        (if is_reference { Layer::tiles("r", Grid::Here, 0..=3).unwrap() } else { layer.clone() }, tree)
    });
    let layers = layers.collect();
    assert!(matches!(draft.commit(NextVersion { layers, ..NextVersion::default() }).unwrap(), Committed::New(_)));
}

/// Makes the base one of a program with other formats.
fn other_formats(lab: &mut Lab) {
    let base = lab.output();
    let draft = Draft::begin(&base, RunId(9000), DraftOptions::default());
    let record = base.record();
    let mut tasks = record.tasks.clone();
    let idle = tasks.iter_mut().find(|task| task.id.as_str() == "idle").unwrap();
    idle.parts.insert("formats".to_owned(), "codec 0, state 0".to_owned());
    idle.fingerprint = deltic::core::Digest::of(b"formats of long ago");
    let next = NextVersion {
        layers: base.layers().map(|layer| (layer.clone(), draft.adopt(&base.tree(&layer.id).unwrap()))).collect(),
        state: base
            .state_tables()
            .map(|table| (table.to_owned(), draft.adopt(&base.state_table(table).unwrap())))
            .collect(),
        dependencies: record.dependencies.clone(),
        tasks,
        ..NextVersion::default()
    };
    assert!(matches!(draft.commit(next).unwrap(), Committed::New(_)));
}

/// Every part, with all that it is made of.
fn cases() -> Vec<(&'static str, Change)> {
    let plain = || task(MapGroup(idle()));
    let outputs = |layer: Layer| other(|idle| idle.outputs = vec![layer]);
    let out = || Layer::generic("out").unwrap();
    let two = |kept: &str| other(|idle| idle.outputs.push(Layer::generic("more").unwrap())).keep_private(kept).unwrap();
    let filtered = |name: &str| plain().filtered(Filter::custom(name, |_| true)).unwrap();
    let cases = [
        ("pattern", plain(), task(MapSplit(idle()))),
        ("code", plain(), plain().version("2")),
        ("configuration", plain(), plain().configured(json!({ "key": 1 }))),
        ("configuration", plain().configured(json!({ "key": 1 })), plain().configured(json!({ "key": 2 }))),
        ("reference layers", plain(), other(|idle| idle.references.clear())),
        ("input layers", plain(), other(|idle| (idle.inputs, idle.references) = (vec!["in/a", "in/r"], vec![]))),
        ("output layers", plain(), other(|idle| idle.outputs.push(Layer::generic("more").unwrap()))),
        ("output layers", plain(), outputs(tiles(0..=3))),
        ("output layers", outputs(tiles(0..=3)), outputs(tiles(0..=4))),
        ("output layers", outputs(tiles(0..=3)), outputs(Layer::tiles("out", Grid::Mercator, 0..=3).unwrap())),
        ("output layers", plain(), outputs(out().with_content_type("text/plain"))),
        ("output layers", outputs(out().with_content_type("a/b")), outputs(out().with_content_type("a/c"))),
        ("memo", plain(), plain().memo(100)),
        ("memo", plain().memo(100), plain().memo(101)),
        ("private layers", two("more"), two("out")),
        ("private layers", plain(), plain().keep_private("out").unwrap()),
        ("filter", plain(), filtered("one")),
        ("filter", filtered("one"), filtered("another")),
        ("filter", filtered("one"), plain()),
    ];
    let tasks = cases.into_iter().map(|(part, before, after)| (part, Change::Task(Box::new((before, after)))));
    let around = [
        ("input layer settings", Change::Around(other_settings as fn(&mut Lab))),
        ("formats", Change::Around(other_formats)),
    ];
    tasks.chain(around).collect()
}

/// Parts that can not change alone: a layer that becomes an input is no reference any more, and a layer that is read no
/// longer has no settings.
fn comes_with(part: &str) -> &'static [&'static str] {
    match part {
        "reference layers" => &["input layer settings"],
        "input layers" => &["reference layers"],
        _ => &[],
    }
}

#[test]
fn each_part_alone_makes_its_task_full() {
    for (part, change) in cases() {
        let before = match &change {
            Change::Task(tasks) => tasks.0.clone(),
            Change::Around(_) => task(MapGroup(idle())),
        };
        // The task beside it goes on undisturbed.
        let beside = Idle { references: vec![], outputs: vec![Layer::generic("beside").unwrap()], ..idle() };
        let beside = Task::new("beside", MapGroup(beside)).unwrap().version("1");
        let mut lab = Lab::new(vec![before, beside.clone()]);
        lab.put("in/a", "one", "1");
        lab.run();
        let parts = |lab: &Lab| {
            let record = lab.output().record().clone();
            record.tasks.into_iter().find(|task| task.id.as_str() == "idle").unwrap().parts
        };
        let recorded = parts(&lab);
        let after = match change {
            Change::Task(tasks) => tasks.1,
            Change::Around(change) => {
                change(&mut lab);
                task(MapGroup(idle()))
            }
        };
        lab.set_tasks(vec![after, beside]);
        let run = lab.run();
        let of = |run: &deltic_testkit::LabRun, id: &str| {
            run.report
                .tasks
                .iter()
                .find(|task| task.task.as_str() == id)
                .map(|task| (task.mode.clone(), task.counts))
                .unwrap()
        };
        let (mode, counts) = of(&run, "idle");
        let mut named = vec![part];
        named.extend(comes_with(part));
        named.sort_unstable();
        assert_eq!(
            format!("{mode:?}"),
            format!("Full {{ reason: \"its {} changed\" }}", named.join(" and ")),
            "{part}"
        );
        assert!(counts.inputs >= 1, "{part}: {counts:?}");
        assert_eq!(format!("{:?}", of(&run, "beside").0), "Skipped", "{part}");
        let now = parts(&lab);
        let names: BTreeSet<&String> = recorded.keys().chain(now.keys()).collect();
        let differ: Vec<&str> =
            names.into_iter().filter(|name| recorded.get(*name) != now.get(*name)).map(String::as_str).collect();
        // Formats are those of this program before and after; between them the base records others.
        if part != "formats" {
            assert_eq!(differ, named, "{part}");
        }
        // A program of other formats would write others: that they are there is all that can be seen with one program.
        assert_eq!(now["formats"], format!("codec {CODEC_VERSION}, state 1"), "{part}");
        assert_eq!(lab.run().report.version, None, "{part}: once");
    }
}

/// A part that somebody adds needs a case.
#[test]
fn each_part_has_a_case() {
    let source = include_str!("../../crates/driver/src/state/fingerprint.rs");
    let mut parts: BTreeSet<&str> = source.split("part(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    parts.extend(source.split("PRIVATE: &str = \"").nth(1).and_then(|rest| rest.split('"').next()));
    let covered: BTreeSet<&str> = cases().iter().map(|(part, _)| *part).collect();
    assert_eq!(covered, parts);
    assert!(parts.len() >= 11, "{parts:?}");
}
