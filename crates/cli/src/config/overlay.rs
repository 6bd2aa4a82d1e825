//! The layers over the file: environment variables `DELTIC__SECTION__KEY`, then `--set section.key=value`.
//!
//! Names of environment variables have neither `-` nor `.`, and are written in capitals. So each part of one means the name in
//! the configuration that is equal when case is ignored and `-`, `.` and `_` count as the same. A task or catalog that the
//! configuration does not mention yet gets the part in lower case with `-` for `_`, as ids are written; any other key gets the
//! part in lower case.

use std::ffi::{OsStr, OsString};

use super::node::{Node, Origin};
use super::problem::Problem;
use super::schema::{DRIVER, SECTIONS};
use super::text;

/// The prefix of environment variables of the configuration.
const PREFIX: &str = "DELTIC__";

/// Their form.
const EXPECTED: &str = "expected DELTIC__SECTION__KEY, for example DELTIC__DRIVER__THREADS";

/// Whether a variable is meant for the configuration and would not be read: it names a section or a setting with one `_` instead
/// of two. Other names with this prefix belong to other programs, and to tests.
fn is_mistyped(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("DELTIC_").filter(|rest| !rest.starts_with('_')) else { return false };
    let begins = |word: &str| {
        let rest = rest.get(..word.len()).filter(|begin| begin.eq_ignore_ascii_case(word)).map(|_| &rest[word.len()..]);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    SECTIONS.into_iter().chain(DRIVER).any(begins)
}

/// Applies environment variables in the order of their names. Other variables are ignored.
pub(super) fn environment(root: &mut Node, variables: &[(OsString, OsString)]) -> Result<(), Problem> {
    let mut mistyped: Vec<&str> =
        variables.iter().filter_map(|(name, _)| name.to_str()).filter(|name| is_mistyped(name)).collect();
    mistyped.sort_unstable();
    if let Some(name) = mistyped.first() {
        let origin = Origin::given(format!("environment variable {name}"), &[]);
        return Err(Problem { origin, message: EXPECTED.to_owned() });
    }
    let ours = |(name, value)| Some((OsStr::to_str(name)?.strip_prefix(PREFIX)?, value));
    let mut ours: Vec<(&str, &OsString)> =
        variables.iter().map(|(name, value)| (name.as_os_str(), value)).filter_map(ours).collect();
    ours.sort_unstable();
    for (name, value) in ours {
        let origin = |path: &[String]| Origin::given(format!("environment variable {PREFIX}{name}"), path);
        let path = path_of(root, name).map_err(|message| Problem { origin: origin(&[]), message })?;
        let origin = origin(&path);
        let Some(value) = value.to_str() else {
            return Err(Problem { origin, message: "its value is not UTF-8".to_owned() });
        };
        root.set(&path, text::value(value, &origin)?);
    }
    Ok(())
}

/// Applies the `--set` options, in the order given.
pub(super) fn arguments(root: &mut Node, options: &[String]) -> Result<(), Problem> {
    for option in options {
        let parsed = option.split_once('=').and_then(|(key, value)| Some((text::dotted_key(key)?, value)));
        let Some((path, value)) = parsed.filter(|(path, _)| path.len() > 1) else {
            let message = "expected section.key=value, for example driver.threads=4".to_owned();
            return Err(Problem { origin: Origin::given(format!("--set {option}"), &[]), message });
        };
        // A place names the key, not the value: messages print the value beside it, or it is a secret.
        let key = option.split('=').next().unwrap_or_default();
        let origin = Origin::given(format!("--set {key}"), &path);
        root.set(&path, text::value(value, &origin)?);
    }
    Ok(())
}

/// The path in the configuration that the rest of a variable's name means.
fn path_of(root: &Node, name: &str) -> Result<Vec<String>, String> {
    let mut path: Vec<String> = Vec::new();
    for part in name.split("__") {
        if part.is_empty() {
            return Err(EXPECTED.to_owned());
        }
        let beside = root.get(&path).and_then(Node::keys);
        let mut known = beside.into_iter().flat_map(|keys| keys.keys()).filter(|key| plain(key) == plain(part));
        let next = match (known.next(), known.next()) {
            (Some(one), None) => one.clone(),
            (Some(one), Some(other)) => {
                return Err(format!("`{part}` can mean `{one}` or `{other}`: use --set"));
            }
            (None, _) if path.len() == 1 && path[0] != "driver" => part.to_lowercase().replace('_', "-"),
            (None, _) => part.to_lowercase(),
        };
        path.push(next);
    }
    if path.len() < 2 {
        return Err(EXPECTED.to_owned());
    }
    Ok(path)
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace(['-', '.'], "_")
}
