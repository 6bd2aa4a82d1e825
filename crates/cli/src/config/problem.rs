//! What is wrong with a configuration, and where it was written.

use deltic_compiler::ConfigError;

use super::node::{Node, Origin};

/// A mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(origin))]
pub(crate) struct Problem {
    pub(crate) origin: Origin,
    pub(crate) message: String,
}

impl Problem {
    /// A mistake in what a node holds.
    pub(super) fn at(node: &Node, message: impl Into<String>) -> Problem {
        Problem { origin: node.origin.clone(), message: message.into() }
    }

    /// A key that nobody knows.
    pub(super) fn unknown<'a>(what: &str, node: &Node, key: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
        let known: Vec<String> = known.into_iter().map(|key| format!("`{key}`")).collect();
        Problem::at(node, format!("unknown {what} `{key}`, expected {}", known.join(", ")))
    }

    /// A value of the wrong kind.
    pub(super) fn kind(node: &Node, key: &str, expected: &str) -> Problem {
        Problem::at(node, format!("`{key}` must be {expected}, and this is {}", node.describe()))
    }

    /// What a compiler said about its section, with the place that its path leads to.
    pub(super) fn of_section(root: &Node, error: &ConfigError) -> Problem {
        let (node, _) = root.nearest(&error.path);
        let last = error.path.last().map(String::as_str).unwrap_or_default();
        // A message that names the key reads better without the path before it.
        let message = match error.message.contains(&format!("`{last}`")) {
            true => error.message.clone(),
            false => error.to_string(),
        };
        Problem::at(node, message)
    }
}

/// The place before a message; nothing for a section of which nothing was written.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::Default => String::new(),
        origin => format!("{origin}: "),
    }
}
