//! Tags: names of versions. Every retention keeps a version that has a tag, whatever its rules, until the tag is removed.

use crate::backend::secrets::{holds_secret, without_secrets};
use crate::format::record::{MAX_TAG_BYTES, MAX_TAGS, Tag, VersionRecord};
use crate::{Error, Result};

/// The tags of the version after `latest`: the present ones, without those in `taken`, with those in `given`. A tag never moves to
/// another version by itself: it must be taken away first, so that nobody moves another one's tag by mistake. Fails where a
/// version could not have these tags.
pub(crate) fn changed(url: &str, latest: &VersionRecord, given: &[Tag], taken: &[String]) -> Result<Vec<Tag>> {
    let mut tags = latest.tags.clone();
    for name in taken {
        let place = tags.iter().position(|tag| tag.name == *name);
        let Some(place) = place else {
            // As users write them.
            let shown = |name: &str| name.strip_prefix("keep/").unwrap_or(name).to_owned();
            let known: Vec<String> = latest.tags.iter().map(|tag| format!("`{}`", shown(&tag.name))).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Error::invalid(format!(
                "{url}: no version is kept as `{}`; the names in use are {known}",
                shown(name)
            )));
        };
        tags.remove(place);
    }
    for tag in given {
        match tags.iter_mut().find(|known| known.name == tag.name) {
            Some(known) if known.version == tag.version => {
                if !tag.note.is_empty() {
                    known.note.clone_from(&tag.note);
                }
            }
            Some(known) => {
                return Err(Error::invalid(format!(
                    "{url}: tag `{}` is already on version {}, not on {}: remove it first, which the same command can do",
                    tag.name, known.version, tag.version
                )));
            }
            None => tags.push(tag.clone()),
        }
    }
    tags.sort_by(|a, b| a.name.cmp(&b.name));
    match problem(&tags) {
        Some(problem) => Err(Error::invalid(format!("{url}: {problem}"))),
        None => Ok(tags),
    }
}

/// What is wrong with the tags of a version.
fn problem(tags: &[Tag]) -> Option<String> {
    if tags.len() > MAX_TAGS {
        return Some(format!(
            "it would have {} tags, more than the {MAX_TAGS} that it can have: take some away",
            tags.len()
        ));
    }
    for Tag { name, note, .. } in tags {
        let shown = name.escape_debug();
        if !Tag::is_name(name) {
            return Some(format!(
                "`{shown}` is not a valid name of a tag: it takes 1 to {MAX_TAG_BYTES} bytes, without control characters"
            ));
        }
        if holds_secret(name) || holds_secret(note) {
            let what = "holds a URL with a password or a signature in its name or its note, and both are recorded: leave that out";
            return Some(format!("tag `{}` {what}", without_secrets(&shown.to_string())));
        }
    }
    None
}
