//! Parts of catalogs as text and as JSON: packs, ranges of versions, tags, user fields.

use deltic_core::{Fields, Version};
use deltic_store::{Objects, Tag};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::terminal::numbers::{bytes, count};

/// The prefix of the tags that keep versions. Tags of other kinds have other prefixes.
pub(crate) const KEEP: &str = "keep/";

/// How many packs, and their size.
pub(crate) fn packs(packs: &Objects) -> String {
    format!("{} pack{}, {}", count(packs.count), if packs.count == 1 { "" } else { "s" }, bytes(packs.bytes))
}

/// The same in a JSON document.
pub(crate) fn packs_as_json(packs: &Objects) -> Value {
    json!({ "packs": packs.count, "bytes": packs.bytes })
}

/// Ranges of versions as people read them: `3, 5-7`.
pub(crate) fn ranges(ranges: &[(Version, Version)]) -> String {
    let one = |(first, last): &(Version, Version)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Ranges of versions as programs read them: the first and the last of each.
pub(crate) fn pairs(ranges: &[(Version, Version)]) -> Vec<[Version; 2]> {
    ranges.iter().map(|(first, last)| [*first, *last]).collect()
}

/// The name and the reason of a tag that keeps a version: `march (the audit)`.
pub(crate) fn kept(tag: &Tag) -> Option<String> {
    let name = tag.name.strip_prefix(KEEP)?;
    Some(if tag.note.is_empty() { name.to_owned() } else { format!("{name} ({})", tag.note) })
}

/// User fields as an object.
pub(crate) fn fields_of(fields: &Fields) -> Map<String, Value> {
    fields.iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// A result with the URL of the catalog that it is about.
#[derive(Serialize)]
pub(crate) struct WithUrl<'a, T> {
    pub(crate) url: &'a str,
    #[serde(flatten)]
    pub(crate) body: &'a T,
}
