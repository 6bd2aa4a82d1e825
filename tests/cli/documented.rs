//! Each field that a command writes as JSON is in `docs/json.md`, and each field in there is written by a command.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::output::site;
use crate::shell::Shell;

const PAGE: &str = include_str!("../../docs/json.md");

/// A form on the page: paths of fields, and whether a field is always written.
type Fields = BTreeMap<String, bool>;

/// The forms of the page. A section about several forms is for each of them; the section about every result is for all.
fn page() -> BTreeMap<String, Fields> {
    let mut forms: BTreeMap<String, Fields> = BTreeMap::new();
    let (mut of_all, mut names): (Fields, Vec<String>) = (Fields::new(), Vec::new());
    for line in PAGE.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            names = quoted(title);
        } else if let Some((fields, what)) = line.strip_prefix("| `").and_then(|rest| rest.split_once(" | ")) {
            let is_always = !what.contains("maybe") && names.len() < 2;
            for field in quoted(&format!("`{fields}")) {
                if names.is_empty() {
                    of_all.insert(field.clone(), false);
                }
                for name in &names {
                    forms.entry(name.clone()).or_default().insert(field.clone(), is_always);
                }
            }
        }
    }
    forms.values_mut().for_each(|fields| fields.extend(of_all.clone()));
    forms
}

fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The paths of a document, down to values that are no objects and no lists.
fn paths(value: &Value, at: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                paths(value, &if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, out);
            }
        }
        Value::Array(items) if !items.is_empty() => items.iter().for_each(|item| paths(item, &format!("{at}[]"), out)),
        _ => drop(out.insert(at.to_owned())),
    }
}

/// Whether a field covers a path: `*` is any name, and at its end everything below.
fn covers(field: &str, path: &str) -> bool {
    let (mut field, mut path) = (field.split('.').peekable(), path.split('.').peekable());
    loop {
        match (field.next(), path.next()) {
            (Some("*"), Some(_)) if field.peek().is_none() => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether a field is below a path that is null or empty in the document.
fn is_below(field: &str, path: &str) -> bool {
    field.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn documents() -> Vec<(String, Value)> {
    let (shell, mut all) = (site(), Vec::new());
    let take = |shell: &Shell, line: &str, all: &mut Vec<(String, Value)>| {
        let ran = shell.run(&format!("{line} --format json"));
        let document = serde_json::from_str(&ran.stdout);
        assert!(document.is_ok(), "{line}: {ran:?}");
        let document = document.unwrap();
        all.push((line.to_owned(), document));
    };
    for line in [
        "deltic init file:new --layer a=generic --layer b=tile:here:12",
        "deltic plan",
        "deltic import file:in --layer names=third",
        "deltic export file:in names exported",
        "deltic layer add file:in more=generic",
        "deltic revert file:in --to 1",
        "deltic run",
        "deltic plan",
        "deltic rebuild file:published --version 1 --into file:again",
        "deltic verify --set catalogs.out=file:published",
        "deltic retain file:kept --last 1 --keep first=1",
        "deltic gc file:swept",
        "deltic repack file:thin --below 100%",
        "deltic log file:kept",
        "deltic log file:out",
        "deltic ls file:in",
        "deltic ls file:in names",
        "deltic diff file:in 0 1",
        "deltic diff file:in 1 2",
        "deltic digest file:in",
        "deltic errors file:published",
        "deltic explain",
        "deltic fsck file:in",
        "deltic fsck file:in --against file:kept",
        "deltic doctor file:here",
        "deltic config show",
        "deltic man .",
    ] {
        take(&shell, line, &mut all);
    }
    // Failures, partitions in quarantine, and differences.
    let shell = Shell::new();
    shell.write("application.conf", "[catalogs]\nin = 'file:in'\nout = 'file:out'\n");
    shell.write("notes/good", "a word");
    shell.write("notes/worse", "a bad word");
    shell.ok("deltic init file:in --layer notes=generic && deltic import file:in --layer notes=notes");
    take(&shell, "notes run", &mut all);
    take(&shell, "notes run --set compiler.word-list.on_error='\"quarantine\"'", &mut all);
    take(&shell, "notes plan --set compiler.word-list.on_error='\"quarantine\"'", &mut all);
    take(&shell, "notes errors file:out", &mut all);
    take(&shell, "notes verify --all", &mut all);
    take(&shell, "notes log file:nowhere", &mut all);
    take(&shell, "notes log", &mut all);
    all
}

#[test]
fn every_field_is_documented_and_what_is_documented_is_there() {
    let forms = page();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (line, document) in documents() {
        let schema = document["schema"].as_str().unwrap().to_owned();
        assert!(forms.contains_key(&schema), "{line}: docs/json.md has no form {schema}");
        let fields = &forms[&schema];
        let found = seen.entry(schema.clone()).or_default();
        paths(&document, "", found);
        for path in found.iter() {
            let is_known = fields.keys().any(|field| covers(field, path) || is_below(field, path));
            assert!(is_known, "{line}: `{path}` of {schema} is not in docs/json.md");
        }
    }
    for (schema, found) in seen {
        let always = forms[&schema].iter().filter(|(_, is_always)| **is_always).map(|(field, _)| field);
        for field in always {
            let is_there = found.iter().any(|path| covers(field, path) || is_below(field, path));
            assert!(is_there, "`{field}` of {schema} is in docs/json.md, and no command has written it");
        }
    }
}
