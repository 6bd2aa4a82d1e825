//! Keys of partitions that a task writes, and the numbers of its output layers.

use std::fmt;

use anyhow::Context as _;
use deltic_core::{IntoName, Layer, LayerId, Name};

use crate::error::Result;

/// The key of a partition that a task writes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutKey {
    /// One of the task's output layers.
    pub layer: LayerId,
    /// The name in it.
    pub name: Name,
}

impl OutKey {
    /// Checks and makes a key.
    pub fn new(layer: &str, name: impl IntoName) -> Result<OutKey> {
        Ok(OutKey { layer: LayerId::new(layer)?, name: name.into_name()? })
    }
}

impl fmt::Display for OutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.layer, self.name)
    }
}

impl fmt::Debug for OutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The number of an output layer.
pub(crate) fn layer_number(layers: &[Layer], layer: &str) -> Result<u16> {
    let index = layers.iter().position(|known| known.id.as_str() == layer).with_context(|| {
        let known: Vec<&str> = layers.iter().map(|layer| layer.id.as_str()).collect();
        format!("`{layer}` is not an output layer of this task: it has `{}`", known.join("`, `"))
    })?;
    Ok(index as u16)
}
