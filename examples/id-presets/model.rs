//! The parts of the data set that are read, and the outputs.

use std::collections::BTreeMap;

use deltic::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The parts of a preset that its form and its menus need.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// The tags that define it.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Fields of its form, and references to those of other presets.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Fields that can be added to the form, likewise.
    #[serde(default, alias = "more_fields")]
    pub more_fields: Vec<String>,
}

/// The part of a field that decides whether it is taken over from another preset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kind {
    pub(super) key: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

/// The form of a preset.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The name of the preset.
    pub name: String,
    /// The fields that are shown.
    pub fields: Vec<String>,
    /// The fields that can be added.
    pub more_fields: Vec<String>,
    /// Fields and presets that are referred to but do not exist, and presets that lead back to themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The id of the preset in a file: a folder or file whose name begins with `_` is sorted apart, but called without it.
pub fn preset_id(file: &str) -> String {
    file.split('/').map(|part| part.strip_prefix('_').unwrap_or(part)).collect::<Vec<_>>().join("/")
}

/// Reads a file of the data set. A file that is no JSON is ignored: versions 58, 369 and 550 have some.
pub(super) fn read<T: DeserializeOwned>(payload: &Payload) -> Result<Option<T>> {
    match serde_json::from_slice(payload.bytes()) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_syntax() || error.is_eof() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
