//! Job files: what the program that starts a run knows about its inputs.
//!
//! ```toml
//! base_version = 7                                   # of the output; any other version is a conflict
//!
//! [inputs]
//! map = { changes = { since = 3, version = 5 } }     # the base was made from version 3
//! roads = { no_changes = { version = 4 } }
//! names = { reprocess = {} }                         # at its latest version
//! ```

use std::path::Path;

use deltic_core::{CatalogId, Version};
use deltic_driver::Processing;
use serde_json::Value;

use super::node::{Content, Node, Origin};
use super::problem::Problem;
use super::schema::table;
use super::text;

/// The content of a job file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct JobFile {
    /// The version that the output must be at.
    pub(crate) base_version: Option<Version>,
    /// The inputs that it names, each with its place in the file.
    pub(crate) inputs: Vec<JobFileInput>,
}

/// The statement of a job file about an input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JobFileInput {
    pub(crate) catalog: CatalogId,
    pub(crate) version: Option<Version>,
    pub(crate) processing: Processing,
    pub(crate) origin: Origin,
}

const PROCESSING: [&str; 3] = ["no_changes", "changes", "reprocess"];

impl JobFile {
    /// Reads a job file.
    pub(crate) fn load(path: &Path) -> Result<JobFile, Problem> {
        let place = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| Problem {
            origin: Origin::given(place.clone(), &[]),
            message: format!("the job file can not be read: {error}"),
        })?;
        JobFile::parse(&place, &text)
    }

    pub(crate) fn parse(path: &str, text: &str) -> Result<JobFile, Problem> {
        let mut job = JobFile::default();
        for (key, node) in table(&text::parse(path, text)?, "the job")? {
            match key.as_str() {
                "base_version" => job.base_version = Some(version(node, key)?),
                "inputs" => {
                    for (id, node) in table(node, key)? {
                        job.inputs.push(input(id, node)?);
                    }
                }
                _ => return Err(Problem::unknown("key", node, key, ["base_version", "inputs"])),
            }
        }
        Ok(job)
    }
}

fn input(id: &str, node: &Node) -> Result<JobFileInput, Problem> {
    let catalog = CatalogId::new(id).map_err(|error| Problem::at(node, error.to_string()))?;
    let mut statements = table(node, id)?.iter();
    let (Some((kind, below)), None) = (statements.next(), statements.next()) else {
        return Err(Problem::at(node, format!("`{id}` must have one of `{}`", PROCESSING.join("`, `"))));
    };
    let (processing, keys) = match kind.as_str() {
        "no_changes" => (Processing::NoChanges, &["version"][..]),
        "reprocess" => (Processing::Reprocess, &["version"][..]),
        "changes" => {
            let since = table(below, kind)?.get("since");
            let since = since.ok_or_else(|| Problem::at(below, "`changes` needs `since` and a version"))?;
            (Processing::Changes { since: version(since, "since")? }, &["since", "version"][..])
        }
        _ => return Err(Problem::unknown("key", below, kind, PROCESSING)),
    };
    let below = table(below, kind)?;
    if let Some((key, node)) = below.iter().find(|(key, _)| !keys.contains(&key.as_str())) {
        return Err(Problem::unknown("key", node, key, keys.iter().copied()));
    }
    let version = below.get("version").map(|node| version(node, "version")).transpose()?;
    Ok(JobFileInput { catalog, version, processing, origin: node.origin.clone() })
}

/// A version.
pub(super) fn version(node: &Node, key: &str) -> Result<Version, Problem> {
    let version = match &node.content {
        Content::Scalar(Value::Number(number)) => number.as_u64(),
        _ => None,
    };
    version.map(Version).ok_or_else(|| Problem::kind(node, key, "the number of a version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_and_the_base() {
        let text = "base_version = 7\n[inputs]\nb = { reprocess = {} }\na.changes = { since = 3, version = 5 }\n\
                    [inputs.c.no_changes]\nversion = 4\n";
        let job = JobFile::parse("x.toml", text).unwrap();
        let said = |input: &JobFileInput| (input.catalog.to_string(), input.version.map(|v| v.0), input.processing);
        assert_eq!(job.base_version, Some(Version(7)));
        assert_eq!(
            job.inputs.iter().map(said).collect::<Vec<_>>(),
            [
                ("a".to_owned(), Some(5), Processing::Changes { since: Version(3) }),
                ("b".to_owned(), None, Processing::Reprocess),
                ("c".to_owned(), Some(4), Processing::NoChanges),
            ]
        );
        assert_eq!(job.inputs[1].origin.to_string(), "x.toml:3:1");
        assert_eq!(JobFile::parse("x.toml", "").unwrap(), JobFile::default());
    }

    #[test]
    fn mistakes_have_places() {
        let wrong = |text: &str| JobFile::parse("x.toml", text).unwrap_err().to_string();
        assert_eq!(wrong("base = 1\n"), "x.toml:1:1: unknown key `base`, expected `base_version`, `inputs`");
        assert_eq!(
            wrong("base_version = '1'\n"),
            "x.toml:1:1: `base_version` must be the number of a version, not \"1\""
        );
        assert_eq!(
            wrong("[inputs]\na = { change = {} }\n"),
            "x.toml:2:7: unknown key `change`, expected `no_changes`, `changes`, `reprocess`"
        );
        assert_eq!(
            wrong("[inputs]\na = {}\n"),
            "x.toml:2:1: `a` must have one of `no_changes`, `changes`, `reprocess`"
        );
        assert_eq!(
            wrong("[inputs]\na.changes = { version = 1 }\n"),
            "x.toml:2:3: `changes` needs `since` and a version"
        );
        assert_eq!(
            wrong("[inputs]\na.no_changes = { since = 1 }\n"),
            "x.toml:2:18: unknown key `since`, expected `version`"
        );
        assert_eq!(
            wrong("[inputs]\na.reprocess = { version = -1 }\n"),
            "x.toml:2:17: `version` must be the number of a version, not -1"
        );
        assert!(wrong("[inputs]\n'a b' = {}\n").starts_with("x.toml:2:1: `a b` is not a catalog id"));
        assert_eq!(wrong("[inputs]\na = 1\n"), "x.toml:2:1: `a` must be a table, not 1");
    }
}
