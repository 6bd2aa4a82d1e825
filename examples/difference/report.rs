//! The differences between two lists of elements.

use std::collections::{BTreeMap, BTreeSet};

use deltic::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::osm::Id;

/// A line of a report: an element, and its change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The element's id.
    pub id: u64,
    /// Its change.
    pub change: Change,
    /// The modified fields: `lat`, `nodes`, `tags.name`, …
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fields: BTreeSet<String>,
}

/// The change of an element in a partition. An element that moved to another tile is removed here and added there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was added.
    Added,
    /// It was removed.
    Removed,
    /// It was modified.
    Modified,
}

/// Compares elements, one a line of JSON each, sorted by id as the report is. Lines that are equal are not read.
pub fn compare(before: &str, now: &str) -> Result<Vec<Line>> {
    if before == now {
        return Ok(Vec::new());
    }
    let (before, now) = (by_id(before)?, by_id(now)?);
    let ids: BTreeSet<u64> = before.keys().chain(now.keys()).copied().collect();
    let mut report = Vec::new();
    for id in ids {
        let (change, fields) = match (before.get(&id), now.get(&id)) {
            (Some(before), Some(now)) if before == now => continue,
            (Some(before), Some(now)) => (Change::Modified, modified(before, now)?),
            (None, _) => (Change::Added, BTreeSet::new()),
            (_, None) => (Change::Removed, BTreeSet::new()),
        };
        report.push(Line { id, change, fields });
    }
    Ok(report)
}

fn by_id(lines: &str) -> Result<BTreeMap<u64, &str>> {
    let entry = |line| Ok((serde_json::from_str::<Id>(line).with_context(|| format!("`{line}` has no id"))?.id, line));
    lines.lines().map(entry).collect()
}

/// The fields in which two elements differ; of tags, those that do.
fn modified(before: &str, now: &str) -> Result<BTreeSet<String>> {
    let (mut before, mut now) = (fields(before)?, fields(now)?);
    let keys: BTreeSet<String> = before.keys().chain(now.keys()).cloned().collect();
    Ok(keys.into_iter().filter(|key| before.remove(key) != now.remove(key)).collect())
}

/// The fields of an element by name, its tags as fields of their own.
fn fields(line: &str) -> Result<BTreeMap<String, Value>> {
    let mut fields: BTreeMap<String, Value> = serde_json::from_str(line)?;
    if let Some(Value::Object(tags)) = fields.remove("tags") {
        fields.extend(tags.into_iter().map(|(key, value)| (format!("tags.{key}"), value)));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u64, change: Change, fields: &[&str]) -> Line {
        Line { id, change, fields: fields.iter().map(|field| (*field).to_owned()).collect() }
    }

    #[test]
    fn elements_come_go_and_change() {
        let before = r#"{"id":1,"nodes":[1,2],"tags":{"highway":"path","name":"A"}}
{"id":2,"nodes":[1,2],"tags":{}}
{"id":3,"nodes":[1,2],"tags":{}}
"#;
        let now = r#"{"id":1,"nodes":[1,3],"tags":{"highway":"path","name":"B","foot":"yes"}}
{"id":3,"nodes":[1,2],"tags":{}}
{"id":10,"nodes":[1,2],"tags":{}}
"#;
        assert_eq!(
            compare(before, now).unwrap(),
            [
                line(1, Change::Modified, &["nodes", "tags.foot", "tags.name"]),
                line(2, Change::Removed, &[]),
                line(10, Change::Added, &[]),
            ]
        );
        assert!(compare(now, now).unwrap().is_empty());
    }

    #[test]
    fn a_line_without_an_id_is_an_error() {
        assert_eq!(compare("", "{\"nodes\":[]}").unwrap_err().to_string(), "`{\"nodes\":[]}` has no id");
    }
}
