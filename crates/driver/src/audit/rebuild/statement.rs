//! What a rebuild states, in a form that can be kept and checked later.
//!
//! The digest covers all else that the document says: BLAKE3 of it as JSON, without the digest, with the keys of objects
//! sorted and without white space.

use std::time::{Duration, UNIX_EPOCH};

use deltic_core::{CatalogUuid, Digest, TaskId, Timestamp, Version};
use deltic_store::{Dependency, Tree};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The name of this form.
const SCHEMA: &str = "deltic.rebuild/2";

/// How a rebuilt version compares with the recorded one, and what both were made from.
#[derive(Debug, Clone, Serialize)]
pub struct Statement {
    /// The version as it is recorded.
    pub recorded: Rebuilt,
    /// What was made.
    pub rebuilt: Rebuilt,
    /// What it was made from.
    pub dependencies: Vec<Dependency>,
    /// The tasks that made it.
    pub tasks: Vec<RebuiltTask>,
    /// The layers.
    pub layers: Vec<RebuiltPart>,
    /// Whether the state is the same.
    pub state_equal: bool,
    /// The first row in which it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_first: Option<String>,
    /// What follows.
    pub verdict: Verdict,
    /// The version of Deltic that rebuilt it.
    pub deltic: String,
    /// When, as RFC 3339 has it, in UTC.
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// The digest of all of this.
    pub digest: Digest,
}

fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(time.0));
    let time = time.ok_or_else(|| serde::ser::Error::custom("a time after the end of time"))?;
    serializer.collect_str(&humantime::format_rfc3339_millis(time))
}

/// What follows from a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All layers and the state came out as they are recorded.
    Equal,
    /// Something came out differently.
    Differs,
    /// What tasks write came out as it is recorded; there are layers that no task writes, and that no version is known to
    /// have made.
    NotCovered,
}

/// A version of a catalog.
#[derive(Debug, Clone, Serialize)]
pub struct Rebuilt {
    /// The catalog.
    pub catalog: CatalogUuid,
    /// Where it is.
    pub url: String,
    /// Its number.
    pub version: Version,
    /// The digest of its record.
    pub record: Digest,
    /// The digest of its layers.
    pub digest: Digest,
    /// The digest of its state.
    pub state: Digest,
}

/// A task.
#[derive(Debug, Clone, Serialize)]
pub struct RebuiltTask {
    /// Its id.
    pub task: TaskId,
    /// Its fingerprint, which was the same both times.
    pub fingerprint: Digest,
    /// The identity of its code.
    pub code: String,
}

/// A layer, both times.
#[derive(Debug, Clone, Serialize)]
pub struct RebuiltPart {
    /// Its id.
    pub name: String,
    /// Whether a task writes it.
    #[serde(rename = "covered")]
    pub is_covered: bool,
    /// Where no task writes it: the last version whose task did, if it is as that one made it. It was copied, and a rebuild
    /// of that version accounts for it. Else nothing can be said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried_from: Option<Version>,
    /// As it is recorded.
    pub recorded: Option<Made>,
    /// As it came out.
    pub rebuilt: Option<Made>,
    /// Whether they are equal.
    pub equal: bool,
    /// The first partition that differs, or why there is nothing to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

/// The content of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The digest.
    pub digest: Digest,
    /// How many partitions.
    pub partitions: u64,
}

impl RebuiltPart {
    /// Whether it is known what made it.
    pub fn is_accounted_for(&self) -> bool {
        self.is_covered || self.carried_from.is_some()
    }
}

impl Made {
    pub(crate) fn of(tree: &Tree) -> Made {
        Made { digest: tree.digest(), partitions: tree.count() }
    }
}

impl Statement {
    /// The statement as a document: its fields, `schema` among them.
    pub fn document(&self) -> Value {
        // Digests, texts and numbers can always be written.
        let mut document = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("schema".to_owned(), SCHEMA.into());
        }
        document
    }

    /// Whether a document that was kept is what it was when it was made.
    pub fn is_intact(document: &Value) -> bool {
        let known = document.get("digest").and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok());
        document.get("schema").and_then(Value::as_str) == Some(SCHEMA) && known == Some(digest_of(document))
    }

    pub(crate) fn sealed(mut self) -> Statement {
        self.digest = digest_of(&self.document());
        self
    }
}

fn digest_of(document: &Value) -> Digest {
    let mut text = String::new();
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.remove("digest");
    }
    write_sorted(&document, &mut text);
    Digest::of(text.as_bytes())
}

fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write_sorted(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let sorted: std::collections::BTreeMap<_, _> = fields.iter().collect();
            out.push('{');
            for (number, (key, value)) in sorted.into_iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_sorted(value, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_was_changed_is_told() {
        let mut document = serde_json::json!({ "schema": SCHEMA, "b": [1, { "d": "x", "c": null }], "a": "\"" });
        document["digest"] = digest_of(&document).to_string().into();
        assert!(Statement::is_intact(&document));
        let text = r#"{"a":"\"","b":[1,{"c":null,"d":"x"}],"schema":"deltic.rebuild/2"}"#;
        assert_eq!(document["digest"], Digest::of(text.as_bytes()).to_string());
        document["a"] = "y".into();
        assert!(!Statement::is_intact(&document));
    }
}
