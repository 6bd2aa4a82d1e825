//! Refuses secrets in the configuration, because it is printed, and recorded with every version.

use deltic_store::{check_url, holds_secret};
use serde_json::Value;

use super::node::{Content, Node};
use super::problem::Problem;

/// Refuses URLs of catalogs that hold more than a place, and URLs with passwords or signatures anywhere else.
pub(super) fn refuse(root: &Node) -> Result<(), Problem> {
    if let Some(catalogs) = root.get(&["catalogs".to_owned()]) {
        for binding in catalogs.keys().into_iter().flat_map(|keys| keys.values()) {
            let url = binding.keys().map_or(Some(binding), |keys| keys.get("url"));
            if let Some(node @ Node { content: Content::Scalar(Value::String(url)), .. }) = url {
                check_url(url).map_err(|error| Problem::at(node, error.to_string()))?;
            }
        }
    }
    look_through(root)
}

fn look_through(node: &Node) -> Result<(), Problem> {
    match &node.content {
        Content::Table(keys) => keys.values().try_for_each(look_through),
        Content::List(items) => items.iter().try_for_each(look_through),
        Content::Scalar(Value::String(text)) if holds_secret(text) => Err(Problem::at(
            node,
            "the value holds a password or a signature, and the configuration is recorded with every version: let the \
             compiler read it from the environment",
        )),
        Content::Scalar(_) => Ok(()),
    }
}
