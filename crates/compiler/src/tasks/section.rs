//! Configuration sections: reads them as the type of a compiler's settings, and checks that the record of them reads back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::recordable::{self, Refused};
use crate::error::Result;

/// How often settings are written and read back before they are accepted. That finds sets that iterate in another order each time.
const TRIPS: usize = 8;

/// Reads a section. Also returns the first key that `T` does not know.
pub(super) fn read<T: DeserializeOwned>(section: Value) -> Result<(T, Option<Vec<String>>), Refused> {
    let mut unknown: Option<Vec<String>> = None;
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(section, &mut track);
    let value = serde_ignored::deserialize(tracked, |path| {
        unknown.get_or_insert_with(|| segments(&path));
    });
    let value: T = value.map_err(|error: serde_json::Error| {
        let path = track.path().iter().map(ToString::to_string).collect();
        Refused { path, message: error.to_string() }
    })?;
    Ok((value, unknown))
}

/// Refuses settings that differ after they were recorded and read back.
pub(super) fn check_reads_back<T: Serialize + DeserializeOwned>(effective: &Value) -> Result<(), Refused> {
    for _ in 0..TRIPS {
        let (again, unknown) = read::<T>(effective.clone()).map_err(|Refused { path, message }| {
            let message = format!("its record can not be read back: {message}");
            Refused { path, message }
        })?;
        if let Some(path) = unknown {
            let message = "it is recorded under this key, but it is not read under this key".to_owned();
            return Err(Refused { path, message });
        }
        let (again, _) = recordable::walk(&again)?;
        if let Some((path, was, is)) = recordable::first_difference(effective, &again) {
            let message = format!("it is recorded as {was}, but after reading the record it would be recorded as {is}");
            return Err(Refused { path, message });
        }
    }
    Ok(())
}

/// A key of a section that `T` reads but never writes.
pub(super) fn unrecorded<T: Serialize + DeserializeOwned>(
    section: &Value,
    effective: &Value,
    shape: &recordable::Shape,
) -> Option<Vec<String>> {
    let mut missing = Vec::new();
    missing_keys(section, effective, &mut Vec::new(), &mut missing);
    missing.retain(|(path, _)| shape.leaves_out(path));
    let is_unseen = |(path, value): &(Vec<String>, &Value)| {
        let mut with = effective.clone();
        if let Some((last, tables)) = path.split_last()
            && let Some(table) = tables.iter().try_fold(&mut with, |value, key| value.get_mut(key))
        {
            table[last] = (*value).clone();
        }
        // An alias of a key that is written can not appear beside it, so reading it fails here.
        let read = read::<T>(with).ok().filter(|(_, unknown)| unknown.is_none());
        read.and_then(|(read, _)| recordable::walk(&read).ok()).is_some_and(|(again, _)| again == *effective)
    };
    missing.into_iter().find(is_unseen).map(|(path, _)| path)
}

/// The keys of tables that only the first of two values has.
fn missing_keys<'a>(one: &'a Value, other: &Value, path: &mut Vec<String>, out: &mut Vec<(Vec<String>, &'a Value)>) {
    let (Some(ones), Some(others)) = (one.as_object(), other.as_object()) else { return };
    for (key, value) in ones {
        path.push(key.clone());
        match others.get(key) {
            Some(other) => missing_keys(value, other, path, out),
            None => out.push((path.clone(), value)),
        }
        path.pop();
    }
}

fn segments(path: &serde_ignored::Path<'_>) -> Vec<String> {
    use serde_ignored::Path;
    let (parent, last) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Some(index.to_string())),
        Path::Map { parent, key } => (parent, Some(key.clone())),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => (parent, None),
    };
    let mut all = segments(parent);
    all.extend(last);
    all
}

/// The message for an unknown key, with the keys that are expected there, from the effective value.
pub(super) fn unknown_key(segments: &[String], effective: &Value) -> String {
    let (last, parents) = match segments.split_last() {
        Some((last, parents)) => (last.as_str(), parents),
        None => ("", &[][..]),
    };
    let beside = parents.iter().try_fold(effective, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        value => value.get(key),
    });
    match beside.and_then(Value::as_object) {
        Some(keys) if !keys.is_empty() => format!("unknown key `{last}`, expected {}", one_of(keys.keys())),
        _ => format!("unknown key `{last}`"),
    }
}

pub(super) fn one_of<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
