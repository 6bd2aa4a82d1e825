//! A partition as user code gets it: key, meta and bytes.

use anyhow::Context as _;
use deltic_core::{Key, Meta, Name, Payload, Tile};
use serde::de::DeserializeOwned;

use crate::error::Result;

/// A partition with its payload, already verified against its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Layer and name.
    pub key: Key,
    /// Digest, length and user fields.
    pub meta: Meta,
    /// The bytes.
    pub payload: Payload,
}

/// A partition that is being compiled.
pub type Input = Partition;

impl Partition {
    /// The name within the layer.
    pub fn name(&self) -> &Name {
        &self.key.name
    }

    /// The tile that the partition is; an error for a generic layer.
    pub fn tile(&self) -> Result<Tile> {
        self.key.name.tile().with_context(|| format!("`{}` is not a tile", self.key.name))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.payload.bytes()
    }

    /// The bytes as text.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(self.payload.bytes()).context("payload is not UTF-8")
    }

    /// The bytes read as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(self.payload.json()?)
    }
}
