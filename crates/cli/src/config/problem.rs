//! A mistake in a configuration, and the place where it was written.

use deltic_compiler::ConfigError;

use super::node::{Content, Node, Origin};
use crate::terminal::failure::Failure;

/// How many keys lead to a compiler's section: `compiler` and the task.
const SECTION_KEYS: usize = 2;

/// A mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(origin))]
pub(crate) struct Problem {
    pub(crate) origin: Origin,
    pub(crate) message: String,
}

impl Problem {
    /// A mistake in the value of a node.
    pub(super) fn at(node: &Node, message: impl Into<String>) -> Problem {
        Problem { origin: node.origin.clone(), message: message.into() }
    }

    /// An unknown key.
    pub(super) fn unknown<'a>(what: &str, node: &Node, key: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
        let known: Vec<String> = known.into_iter().map(|key| format!("`{key}`")).collect();
        Problem::at(node, format!("unknown {what} `{key}`, expected {}", known.join(", ")))
    }

    /// A value of the wrong kind.
    pub(super) fn kind(node: &Node, key: &str, expected: &str) -> Problem {
        Problem::at(node, format!("`{key}` must be {expected}, not {}", node.describe()))
    }

    /// The error of a compiler about its section, with the place that its path leads to.
    pub(super) fn of_section(root: &Node, error: &ConfigError) -> Problem {
        let (node, _) = root.nearest(&error.path);
        let mut keys = &error.path[..];
        // An error about an item of a list names the item's value, and the place leads to it.
        while let Some((_, above)) = keys.split_last()
            && matches!(root.get(above), Some(Node { content: Content::List(_), .. }))
        {
            keys = above;
        }
        // Keys that the place names are not repeated.
        let named = match &node.origin {
            Origin::Default => 0,
            Origin::File(..) => SECTION_KEYS,
            Origin::Given(_, set) if keys.starts_with(set) => set.len(),
            Origin::Given(..) => 0,
        };
        let rest = keys.get(named..).unwrap_or_default();
        let named = rest.last().is_none_or(|last| error.message.contains(&format!("`{last}`")));
        let message = if named { error.message.clone() } else { format!("`{}`: {}", rest.join("."), error.message) };
        Problem::at(node, message)
    }
}

/// The place before a message; nothing for a section that was not written.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::Default => String::new(),
        origin => format!("{origin}: "),
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::usage(problem.to_string())
    }
}
