//! Tags: names of versions. Every retention keeps a version that has a tag, whatever its rules, until the tag is removed.

use crate::backend::secrets::{holds_secret, without_secrets};
use crate::format::record::{MOST_TAG_BYTES, MOST_TAGS, Tag, VersionRecord};
use crate::{Error, Result};

/// The tags of the version after `latest`: those there are, without those taken away, with those given. A tag that is there
/// stays where it is: whoever wants it elsewhere takes it away first, so that nobody's is moved unseen. Fails before anything is
/// made where a version could not have them.
pub(crate) fn changed(url: &str, latest: &VersionRecord, given: &[Tag], taken: &[String]) -> Result<Vec<Tag>> {
    let mut tags = latest.tags.clone();
    for name in taken {
        let place = tags.iter().position(|tag| tag.name == *name);
        let Some(place) = place else {
            // As people gave them.
            let shown = |name: &str| name.strip_prefix("keep/").unwrap_or(name).to_owned();
            let known: Vec<String> = latest.tags.iter().map(|tag| format!("`{}`", shown(&tag.name))).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Error::invalid(format!("{url}: no version is kept as `{}`; there are {known}", shown(name))));
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
                    "{url}: tag `{}` is on version {} already, and not on {}: take it away first, which can be done in one with this",
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
    if tags.len() > MOST_TAGS {
        return Some(format!("it would have {} tags, and can have {MOST_TAGS}: take some away", tags.len()));
    }
    for Tag { name, note, .. } in tags {
        let shown = name.escape_debug();
        if !Tag::is_name(name) {
            return Some(format!(
                "`{shown}` is no name of a tag: 1 to {MOST_TAG_BYTES} bytes without control characters"
            ));
        }
        if holds_secret(name) || holds_secret(note) {
            let what = "holds a URL with a password or a signature, in its name or in its note, and both are recorded";
            return Some(format!("tag `{}` {what}", without_secrets(&shown.to_string())));
        }
    }
    None
}
