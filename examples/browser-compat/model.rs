//! The parts of the files of the data set that are read.

use std::collections::BTreeMap;

use deltic::prelude::*;
use serde::Deserialize;
use serde_json::Value;

/// A browser: the part of its file that is used.
#[derive(Debug, Deserialize)]
pub struct Browser {
    /// The browser that it is built from. It has the features of that browser, unless its own are stated.
    pub upstream: Option<String>,
    releases: BTreeMap<String, Release>,
}

#[derive(Debug, Deserialize)]
struct Release {
    release_date: Option<String>,
}

#[derive(Deserialize)]
struct BrowserFile {
    browsers: BTreeMap<String, Browser>,
}

impl Browser {
    /// Reads the file of a browser.
    pub fn read(payload: &Payload) -> Result<Browser> {
        let file: BrowserFile = payload.json()?;
        file.browsers.into_values().next().context("the file holds no browser")
    }

    /// The date of a release; `None` for one that is planned or not listed.
    pub fn date(&self, version: &str) -> Option<&str> {
        self.releases.get(version)?.release_date.as_deref()
    }
}

/// A feature of the web: its path, such as `api.Document.title`, and the statements about browsers.
#[derive(Debug, PartialEq, Eq)]
pub struct Feature {
    /// The keys on the way to it.
    pub path: String,
    /// By browser. One that does not have the feature is left out.
    pub support: BTreeMap<String, Statement>,
}

/// The statement about a browser.
#[derive(Debug, PartialEq, Eq)]
pub enum Statement {
    /// It has the feature since this release, fully, and without anything to switch on. The version may begin with `≤`.
    Since(String),
    /// It has the same support as the browser that it is built from.
    Mirror,
}

/// All features of a file, by path.
pub fn features(file: &Value) -> Vec<Feature> {
    let mut found = Vec::new();
    collect(file, "", &mut found);
    found
}

fn collect(node: &Value, path: &str, found: &mut Vec<Feature>) {
    let Some(entries) = node.as_object() else { return };
    for (key, below) in entries {
        if key == "__compat" {
            let stated = below["support"].as_object().into_iter().flatten();
            let stated = stated.filter_map(|(browser, support)| Some((browser.clone(), statement(support)?)));
            found.push(Feature { path: path.to_owned(), support: stated.collect() });
        } else {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            collect(below, &path, found);
        }
    }
}

/// A browser has one statement or a list of them, the latest first.
fn statement(support: &Value) -> Option<Statement> {
    match support {
        Value::String(text) if text == "mirror" => Some(Statement::Mirror),
        Value::Array(all) => all.iter().find_map(since),
        one => since(one),
    }
}

fn since(support: &Value) -> Option<Statement> {
    let limits = ["flags", "prefix", "alternative_name", "partial_implementation", "version_removed"];
    if limits.iter().any(|limit| support.get(limit).is_some()) {
        return None;
    }
    support.get("version_added")?.as_str().map(|version| Statement::Since(version.to_owned()))
}
