//! The statement of a rebuild, as a document that can be kept and checked later.
//!
//! Its digest covers all else in the document: BLAKE3 of it as JSON, without the digest, with the keys of objects sorted and
//! without white space.

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
    /// The rebuilt version.
    pub rebuilt: Rebuilt,
    /// The inputs.
    pub dependencies: Vec<Dependency>,
    /// The tasks that made it.
    pub tasks: Vec<RebuiltTask>,
    /// The layers.
    pub layers: Vec<RebuiltLayer>,
    /// Whether the state is the same.
    pub state_equal: bool,
    /// The first row in which it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_first: Option<String>,
    /// The verdict.
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

/// The verdict of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All layers and the state are equal.
    Equal,
    /// A layer or the state differs.
    Differs,
    /// All layers that tasks write are equal, and the state; but there are layers that no task writes, and that no known version
    /// has made.
    NotCovered,
}

/// A version of a catalog.
#[derive(Debug, Clone, Serialize)]
pub struct Rebuilt {
    /// The catalog.
    pub catalog: CatalogUuid,
    /// Its URL.
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

/// A layer, recorded and rebuilt.
#[derive(Debug, Clone, Serialize)]
pub struct RebuiltLayer {
    /// Its id.
    pub name: String,
    /// Whether a task writes it.
    #[serde(rename = "covered")]
    pub is_covered: bool,
    /// If no task writes it: the last version with a task that did, if the content is the same. Then the layer was copied, and
    /// a rebuild of that version proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried_from: Option<Version>,
    /// The recorded content.
    pub recorded: Option<LayerContent>,
    /// The rebuilt content.
    pub rebuilt: Option<LayerContent>,
    /// Whether they are equal.
    pub equal: bool,
    /// The first partition that differs, or why it was not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

/// The content of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LayerContent {
    /// The digest.
    pub digest: Digest,
    /// The number of partitions.
    pub partitions: u64,
}

impl RebuiltLayer {
    /// Whether a task of this or of an earlier version made it.
    pub fn is_accounted_for(&self) -> bool {
        self.is_covered || self.carried_from.is_some()
    }
}

impl LayerContent {
    pub(crate) fn of(tree: &Tree) -> LayerContent {
        LayerContent { digest: tree.digest(), partitions: tree.count() }
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

    /// Whether a document has the digest that it states.
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
    fn a_document_that_was_changed_is_noticed() {
        let mut document = serde_json::json!({ "schema": SCHEMA, "b": [1, { "d": "x", "c": null }], "a": "\"" });
        document["digest"] = digest_of(&document).to_string().into();
        assert!(Statement::is_intact(&document));
        let text = r#"{"a":"\"","b":[1,{"c":null,"d":"x"}],"schema":"deltic.rebuild/2"}"#;
        assert_eq!(document["digest"], Digest::of(text.as_bytes()).to_string());
        document["a"] = "y".into();
        assert!(!Statement::is_intact(&document));
    }
}
