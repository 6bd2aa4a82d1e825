//! Names of versions. A version that has one is kept by every retention, whoever asks for it and whatever its rules are, until the
//! name is taken away.

use crate::record::{Tag, VersionRecord};
use crate::{Error, Result};

/// The tags of the version after `latest`: those there are, without those taken away, with those given. A tag that is there
/// stays where it is: whoever wants it elsewhere takes it away first, so that nobody's is moved unseen.
pub(crate) fn changed(url: &str, latest: &VersionRecord, given: &[Tag], taken: &[String]) -> Result<Vec<Tag>> {
    let mut tags = latest.tags.clone();
    for name in taken {
        let place = tags.iter().position(|tag| tag.name == *name);
        let Some(place) = place else {
            let known: Vec<String> = latest.tags.iter().map(|tag| format!("`{}`", tag.name)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Error::invalid(format!("{url}: no version has the tag `{name}`; there are {known}")));
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
    Ok(tags)
}
