//! What a tree holds for a key, and where bytes lie. Nodes, records and indexes are made of these types.

use bytes::Bytes;
use deltic_core::Meta;
use serde::{Deserialize, Serialize};

use crate::format::object_name::PackName;
use crate::format::varint::Malformed;

/// Where a node lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodePlace {
    /// The pack.
    pub pack: PackName,
    /// Where it begins in the pack.
    pub offset: u64,
    /// Its length there.
    pub stored: u64,
}

/// What a tree holds for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Describes the payload. Digests and comparisons cover this part.
    pub meta: Meta,
    /// Where its bytes lie. No digest covers this part.
    pub place: Place,
}

/// Where a payload's bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the tree's leaf itself.
    Inline(Bytes),
    /// In a pack.
    Pack {
        /// The pack.
        pack: PackName,
        /// Where they begin in the pack.
        offset: u64,
        /// Their length there.
        stored: u64,
        /// How they are coded.
        codec: Codec,
    },
}

/// How a payload's stored bytes are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// As they are.
    Raw,
    /// As one zstd frame.
    Zstd,
}

/// Bytes of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) pack: PackName,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Codec {
    pub(crate) fn code(self) -> u8 {
        match self {
            Codec::Raw => 0,
            Codec::Zstd => 1,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Codec, Malformed> {
        match code {
            0 => Ok(Codec::Raw),
            1 => Ok(Codec::Zstd),
            _ => Err(Malformed("it names an unknown codec")),
        }
    }
}
