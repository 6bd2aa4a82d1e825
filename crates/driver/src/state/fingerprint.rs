//! Fingerprints: everything besides partitions that a task's output depends on.
//!
//! It is stored in parts, so that a report can name the part that differs. A part is readable text if that is short, and
//! a digest otherwise; the fingerprint is the digest of all parts.

use std::collections::BTreeMap;

use deltic_compiler::{CODEC_VERSION, Pattern, Task};
use deltic_core::{Digest, Hasher, Layer, LayerRef};
use deltic_store::TaskRecord;

use crate::key::LayerIndex;

/// The version of the rules by which stages write state. A change makes tasks full: all, or those that it concerns.
fn state_format(task: &Task) -> u32 {
    match task.pattern() {
        // 2: edges of inputs with user fields cover these.
        Pattern::IncrementalDep(_) => 2,
        // 2: a read by a projection that failed is recorded, and decoding depends on user fields.
        _ if !task.projections().is_empty() => 2,
        _ => 1,
    }
}

/// The part that lists private layers; absent if there are none.
const PRIVATE: &str = "private layers";

/// Separates the items of a list. Neither ids nor schemes contain it.
const SEPARATOR: &str = ", ";

/// The fingerprint of a task in a run; `layers` are the settings of all layers it can read.
pub(crate) fn record(task: &Task, layers: &[(LayerRef, Layer)], code: &str) -> TaskRecord {
    let mut parts = BTreeMap::new();
    let mut part = |name: &str, value: String| parts.insert(name.to_owned(), value);
    part("pattern", task.pattern().name().to_owned());
    part("code", task.code_version().map_or_else(|| code.to_owned(), |version| format!("version {version}")));
    part("configuration", Digest::of(task.configuration().to_string().as_bytes()).to_string());
    part("input layers", list(task.inputs()));
    part("reference layers", list(task.references()));
    part("input layer settings", list(layers.iter().map(|(layer, settings)| format!("{layer}={}", settings.scheme))));
    part("output layers", list(task.outputs().iter().map(describe)));
    if let Some(limit) = task.memo_limit() {
        part("memo", limit.to_string());
    }
    let private: Vec<String> =
        task.outputs().iter().filter(|layer| task.is_private(&layer.id)).map(private_layer).collect();
    if !private.is_empty() {
        part(PRIVATE, private.join(SEPARATOR));
    }
    if let Some(filter) = task.filter() {
        part("filter", serde_json::json!(filter).to_string());
    }
    part("formats", format!("codec {CODEC_VERSION}, state {}", state_format(task)));
    let mut hasher = Hasher::new("deltic fingerprint 1");
    for (name, value) in &parts {
        hasher.text(name).text(value);
    }
    TaskRecord {
        id: task.id().clone(),
        fingerprint: hasher.finish(),
        parts,
        configuration: task.configuration().clone(),
    }
}

/// Whether a task of the base had this layer as a private one, with names of the same scheme.
pub(crate) fn keeps_private(record: &TaskRecord, layer: &Layer) -> bool {
    let private = record.parts.get(PRIVATE).map(|part| part.split(SEPARATOR));
    private.into_iter().flatten().any(|kept| kept == private_layer(layer))
}

/// Whether a task reads and writes the same layers as before, so that their numbers are the same.
pub(crate) fn same_layers(base: &TaskRecord, now: &TaskRecord) -> bool {
    let parts = ["pattern", "input layers", "reference layers", "input layer settings", "output layers", PRIVATE];
    parts.into_iter().all(|part| base.parts.get(part) == now.parts.get(part))
}

/// The numbers that layers of the base have now: those that a task can read, and those that it writes. `None` for a layer
/// that the task no longer has, or that has other settings.
pub(crate) struct Numbering {
    pub(crate) inputs: Vec<Option<LayerIndex>>,
    pub(crate) outputs: Vec<Option<LayerIndex>>,
}

/// The new numbers of the layers. `None` if the task has another pattern, so that its old tables have no meaning for it.
pub(crate) fn numbering(base: &TaskRecord, now: &TaskRecord) -> Option<Numbering> {
    let numbers = |part: &str| {
        let (before, now) = (layers_in(base.parts.get(part)?)?, layers_in(now.parts.get(part)?)?);
        let number = |layer| LayerIndex::all().zip(&now).find(|(_, known)| **known == layer).map(|(number, _)| number);
        Some(before.into_iter().map(number).collect())
    };
    let same_pattern = base.parts.get("pattern") == now.parts.get("pattern");
    let (inputs, outputs) = (numbers("input layer settings")?, numbers("output layers")?);
    same_pattern.then_some(Numbering { inputs, outputs })
}

/// Whether a task of the base published this layer, with names of the same scheme.
pub(crate) fn writes(record: &TaskRecord, layer: &Layer) -> bool {
    let wanted = private_layer(layer);
    // A content type may contain the separator. Then the end of an item is unclear, but not its beginning.
    let mut items = record.parts.get("output layers").into_iter().flat_map(|part| part.split(SEPARATOR));
    let named =
        items.any(|item| item.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(" (")));
    named && !keeps_private(record, layer)
}

/// The layers in a part, each with its scheme. `None` if a content type makes the end of one unclear.
fn layers_in(part: &str) -> Option<Vec<&str>> {
    let layer = |item: &'_ str| match item.split_once(" (") {
        None => !item.ends_with(')'),
        Some((_, content_type)) => content_type.ends_with(')'),
    };
    let items: Vec<&str> = part.split(SEPARATOR).filter(|item| !item.is_empty()).collect();
    let is_clear = items.iter().all(|item| layer(item) && item.contains('='));
    is_clear.then(|| items.into_iter().map(|item| item.split_once(" (").map_or(item, |(layer, _)| layer)).collect())
}

/// Whether the tables of a task have the same format.
pub(crate) fn same_formats(base: &TaskRecord, now: &TaskRecord) -> bool {
    base.parts.get("formats") == now.parts.get("formats")
}

/// Whether a task can go on from the state that it had with another fingerprint.
pub(crate) fn same_state(base: &TaskRecord, now: &TaskRecord) -> bool {
    same_layers(base, now) && base.parts.get("memo") == now.parts.get("memo") && same_formats(base, now)
}

/// Each part that differs: its name, and its old and its new text.
pub(crate) fn other_parts(before: &TaskRecord, now: &TaskRecord) -> Vec<(String, String, String)> {
    let names: std::collections::BTreeSet<&String> = before.parts.keys().chain(now.parts.keys()).collect();
    let text = |record: &TaskRecord, name: &str| match (name, record.parts.get(name)) {
        ("configuration", Some(_)) => record.configuration.to_string(),
        (_, part) => part.cloned().unwrap_or_else(|| "none".to_owned()),
    };
    let differ = names.into_iter().filter(|name| before.parts.get(*name) != now.parts.get(*name));
    differ.map(|name| (name.clone(), text(before, name), text(now, name))).collect()
}

/// The parts that differ, as the reason of a full run.
pub(crate) fn difference(base: &TaskRecord, now: &TaskRecord) -> String {
    let names: std::collections::BTreeSet<&String> = base.parts.keys().chain(now.parts.keys()).collect();
    let differ: Vec<&str> =
        names.into_iter().filter(|name| base.parts.get(*name) != now.parts.get(*name)).map(String::as_str).collect();
    match differ[..] {
        [] => "its fingerprint changed".to_owned(),
        [one] if one.ends_with('s') => format!("its {one} changed"),
        _ => format!("its {} changed", differ.join(" and ")),
    }
}

fn private_layer(layer: &Layer) -> String {
    format!("{}={}", layer.id, layer.scheme)
}

fn describe(layer: &Layer) -> String {
    let content_type = if layer.content_type.is_empty() { String::new() } else { format!(" ({})", layer.content_type) };
    format!("{}={}{content_type}", layer.id, layer.scheme)
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(SEPARATOR)
}
