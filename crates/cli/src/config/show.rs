//! The effective configuration: the values after all layers, with the defaults of compilers.

use std::collections::BTreeMap;

use deltic_compiler::Task;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Config;
use super::node::Origin;
use crate::terminal::escape;

/// One effective value.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Shown {
    /// The keys that lead to it.
    pub(crate) path: Vec<String>,
    /// The value.
    pub(crate) value: Value,
    /// Where it came from.
    #[serde(serialize_with = "as_text")]
    pub(crate) origin: Origin,
}

fn as_text<S: serde::Serializer>(origin: &Origin, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(origin)
}

/// All effective values: catalogs, the driver, then task by task in the order of registration, then sections without a task.
/// `sections` are those that were read, with all their values; a value that a task has from elsewhere can not be set.
pub(super) fn values(config: &Config, tasks: &[Task], sections: &BTreeMap<String, Value>) -> Vec<Shown> {
    let mut all = Vec::new();
    let driver = serde_json::to_value(&config.driver).unwrap_or_default();
    let catalogs = config.root.get(&["catalogs".to_owned()]).map_or(Value::Null, |catalogs| catalogs.to_json());
    leaves(config, &mut vec!["catalogs".to_owned()], &catalogs, &mut all);
    leaves(config, &mut vec!["driver".to_owned()], &driver, &mut all);
    for task in tasks {
        let mut path = vec!["compiler".to_owned(), task.id().to_string()];
        leaves(config, &mut path, sections.get(task.id().as_str()).unwrap_or(&Value::Null), &mut all);
        path.push("on_error".to_owned());
        let policy = config.root.get(&path).map_or_else(|| json!(task.policy()), |policy| policy.to_json());
        leaves(config, &mut path, &policy, &mut all);
    }
    for (section, value) in sections.iter().filter(|(id, _)| !tasks.iter().any(|task| task.id().as_str() == *id)) {
        leaves(config, &mut vec!["compiler".to_owned(), section.clone()], value, &mut all);
    }
    let filters = config.root.get(&["filters".to_owned()]).map_or(Value::Null, |filters| filters.to_json());
    leaves(config, &mut vec!["filters".to_owned()], &filters, &mut all);
    all
}

/// Walks down to the values that are no tables; a setting that is not set is left out.
fn leaves(config: &Config, path: &mut Vec<String>, value: &Value, all: &mut Vec<Shown>) {
    match value {
        Value::Null => {}
        Value::Object(keys) => {
            for (key, value) in keys {
                path.push(key.clone());
                leaves(config, path, value, all);
                path.pop();
            }
        }
        value => {
            let origin = config.root.get(path).map_or(Origin::Default, |node| node.origin.clone());
            all.push(Shown { path: path.clone(), value: value.clone(), origin });
        }
    }
}

/// The values as one dotted line of TOML each, their origins as comments.
pub(crate) fn with_origins(values: &[Shown]) -> Result<String, toml::ser::Error> {
    let lines: Vec<String> = values
        .iter()
        .map(|shown| {
            let key: Vec<String> = shown.path.iter().map(|key| bare_or_quoted(key)).collect();
            Ok(format!("{} = {}", key.join("."), inline(&shown.value)?))
        })
        .collect::<Result<_, toml::ser::Error>>()?;
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let commented = lines
        .iter()
        .zip(values)
        .map(|(line, shown)| format!("{line:width$}  # {}\n", escape::line(&shown.origin.to_string())));
    Ok(commented.collect())
}

/// The values as a document that could be a configuration file.
pub(crate) fn document(values: &[Shown]) -> Result<String, toml::ser::Error> {
    let mut root = Map::new();
    for shown in values {
        let Some((last, parents)) = shown.path.split_last() else { continue };
        let mut table = Some(&mut root);
        for parent in parents {
            let below = table.map(|table| table.entry(parent.clone()).or_insert_with(|| Value::Object(Map::new())));
            table = below.and_then(Value::as_object_mut);
        }
        if let Some(table) = table {
            table.insert(last.clone(), shown.value.clone());
        }
    }
    let mut kept = Kept::default();
    let text = toml::to_string(&kept.out_of(Value::Object(root)))?;
    Ok(kept.back_in(text))
}

fn inline(value: &Value) -> Result<String, toml::ser::Error> {
    let (mut kept, mut text) = (Kept::default(), String::new());
    kept.out_of(value.clone()).serialize(toml::ser::ValueSerializer::new(&mut text))?;
    Ok(kept.back_in(text))
}

fn bare_or_quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { key.to_owned() } else { quoted(key) }
}

/// A text in the one notation of TOML in which every character can be escaped, with all necessary escapes.
fn quoted(text: &str) -> String {
    escape::document(&Value::from(text).to_string()).into_owned()
}

/// Texts that need escapes, which the TOML writer must not see: it prints line breaks, and chooses notations without escapes.
#[derive(Default)]
struct Kept(Vec<String>);

impl Kept {
    fn placeholder(number: usize) -> String {
        format!("%{number}%")
    }

    fn out_of_text(&mut self, text: String) -> String {
        // A text that looks like a placeholder is kept too, so that every placeholder is ours.
        if escape::line(&text) == text && !text.contains(['%', '"']) {
            return text;
        }
        self.0.push(text);
        Kept::placeholder(self.0.len() - 1)
    }

    fn out_of(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.out_of_text(text)),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.out_of(item)).collect()),
            Value::Object(keys) => {
                let below = |(key, value)| (self.out_of_text(key), self.out_of(value));
                Value::Object(keys.into_iter().map(below).collect())
            }
            other => other,
        }
    }

    fn back_in(&self, text: String) -> String {
        let one = |text: String, (number, kept): (usize, &String)| {
            // A quoted text holds no other quotes, so that no text that was inserted before is taken for a placeholder.
            text.replace(&format!("\"{}\"", Kept::placeholder(number)), &quoted(kept))
        };
        self.0.iter().enumerate().rev().fold(text, one)
    }
}
