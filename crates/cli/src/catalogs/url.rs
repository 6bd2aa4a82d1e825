//! Catalogs on the command line: a URL, or the id that the configuration binds to one.

use deltic_core::CatalogId;
use deltic_driver::At;

use crate::args::ConfigArgs;
use crate::terminal::failure::{Failure, Outcome};

/// The URL that a text means: the text itself, or the URL that the configuration binds to this id.
///
/// Every URL has a colon, and no id has one. A text that is neither is returned as it is: opening it fails with the forms of URLs.
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
        let failure = Failure::usage(format!("`{text}` is no URL, and no catalog with this id is configured"));
        return Err(failure.hint(format!("configured are {}; for a folder write `file:{text}`", known.join(", "))));
    };
    let what = match &bound.at {
        At::Latest => return Ok(bound.url.clone()),
        At::Version(version) => format!("version {version} of {}", bound.url),
        At::RunsAgo { of, .. } => format!("the version of `{of}` that an earlier run read"),
        At::Feedback => "the version of the output before a run".to_owned(),
    };
    // A command works on the whole catalog: using it for one version of it would surprise.
    Err(Failure::usage(format!("`{id}` is bound to {what}, which is no whole catalog: write the URL of the catalog")))
}
