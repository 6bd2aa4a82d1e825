//! Catalogs on the command line: a URL, or the id that the configuration binds to one.

use deltic_core::CatalogId;
use deltic_driver::At;

use crate::args::ConfigArgs;
use crate::terminal::failure::{Failure, Outcome};

/// The URL that is meant: the text itself, or where the configuration has the catalog of this id.
///
/// Every URL has a colon, and no id has. What is neither is left to whoever opens it, and is told how URLs look.
pub(crate) fn url_of(text: &str, args: &ConfigArgs) -> Outcome<String> {
    let Some(id) = Some(text).filter(|text| !text.contains(':')).and_then(|text| CatalogId::new(text).ok()) else {
        return Ok(text.to_owned());
    };
    let config = args.load()?;
    let Some(bound) = config.catalogs.get(&id) else {
        if config.catalogs.is_empty() {
            return Ok(text.to_owned());
        }
        let known: Vec<String> = config.catalogs.keys().map(|id| format!("`{id}`")).collect();
        let failure = Failure::usage(format!("`{text}` is no URL, and no catalog of this id is configured"));
        return Err(failure.hint(format!("there are {}; for a folder write `file:{text}`", known.join(", "))));
    };
    let what = match &bound.at {
        At::Latest => return Ok(bound.url.clone()),
        At::Version(version) => format!("version {version} of {}", bound.url),
        At::RunsAgo { of, .. } => format!("what `{of}` was for an earlier run"),
        At::Feedback => "what the output was before a run".to_owned(),
    };
    // A catalog as a whole is another thing, and to take it for that would be a surprise.
    Err(Failure::usage(format!("`{id}` is bound to {what}, and stands for no catalog here: write its URL")))
}
