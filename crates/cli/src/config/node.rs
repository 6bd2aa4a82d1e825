//! Configuration values, each with the place it came from.
//!
//! The file, the environment and the command line all become such trees. Merging them keeps the places, so that any error about
//! a value can name the place where it was written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere: it is built in.
    Default,
    /// In a file: line and column, both counted from 1.
    File(Arc<str>, usize, usize),
    /// In the environment or on the command line: the name of the place, and the keys of the value that is set there.
    Given(Arc<str>, Arc<[String]>),
}

impl Origin {
    /// A place outside of the file, and the keys of the value that is set there; none if they are not known.
    pub(crate) fn given(place: impl Into<Arc<str>>, keys: &[String]) -> Origin {
        Origin::Given(place.into(), keys.into())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path, line, column) => write!(f, "{path}:{line}:{column}"),
            Origin::Given(place, _) => f.write_str(place),
        }
    }
}

/// A value and where its key was written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) content: Content,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    /// A table without keys.
    pub(crate) fn table(origin: Origin) -> Node {
        Node { origin, content: Content::Table(BTreeMap::new()) }
    }

    /// The keys of a table; none for anything else.
    pub(crate) fn keys(&self) -> Option<&BTreeMap<String, Node>> {
        match &self.content {
            Content::Table(keys) => Some(keys),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    /// The node under a path of keys and list indices, or the nearest one above it that exists; and whether it is the
    /// one that was asked for. An index is written `1` or `[1]`.
    pub(crate) fn nearest<'a>(&'a self, path: &[String]) -> (&'a Node, bool) {
        let Some((first, rest)) = path.split_first() else { return (self, true) };
        let below = match &self.content {
            Content::Table(keys) => keys.get(first),
            Content::List(items) => index(first).and_then(|index| items.get(index)),
            Content::Scalar(_) => None,
        };
        below.map_or((self, false), |node| node.nearest(rest))
    }

    /// The node under a path.
    pub(crate) fn get(&self, path: &[String]) -> Option<&Node> {
        Some(self.nearest(path)).filter(|(_, exact)| *exact).map(|(node, _)| node)
    }

    /// Puts a value under a path of keys, and replaces what was there. Missing tables on the way are created.
    pub(crate) fn set(&mut self, path: &[String], value: Node) {
        let Some((first, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if self.keys().is_none() {
            *self = Node::table(value.origin.clone());
        }
        if let Content::Table(keys) = &mut self.content {
            keys.entry(first.clone()).or_insert_with(|| Node::table(value.origin.clone())).set(rest, value);
        }
    }

    /// A value of which every part was written in one place.
    pub(crate) fn from_json(value: Value, origin: &Origin) -> Node {
        let below = |value| Node::from_json(value, origin);
        let content = match value {
            Value::Array(items) => Content::List(items.into_iter().map(below).collect()),
            Value::Object(keys) => Content::Table(keys.into_iter().map(|(key, value)| (key, below(value))).collect()),
            scalar => Content::Scalar(scalar),
        };
        Node { origin: origin.clone(), content }
    }

    /// The value without places.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Content::Table(keys) => {
                Value::Object(keys.iter().map(|(key, node)| (key.clone(), node.to_json())).collect::<Map<_, _>>())
            }
        }
    }

    /// What kind of value it is, for people.
    pub(crate) fn describe(&self) -> String {
        match &self.content {
            Content::Scalar(value) => value.to_string(),
            Content::List(_) => "a list".to_owned(),
            Content::Table(_) => "a table".to_owned(),
        }
    }
}

/// The number of a list's item.
fn index(key: &str) -> Option<usize> {
    key.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(key).parse().ok()
}
