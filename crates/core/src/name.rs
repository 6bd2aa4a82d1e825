//! Partition names, their bytes, and keys.
//!
//! A name's bytes sort as the names do: UTF-8 for a generic name, quadkey digits for a tile. So a tile comes before everything below it, a
//! subtree is one contiguous range, and "names with this prefix" and "tiles below this one" are the same query. No name has a control
//! character, so byte 0 can end a name inside a longer key.

use std::fmt;
use std::sync::Arc;

use crate::{CatalogId, Error, LayerId, Result, Tile};

/// The bytes of a name within its layer: the key of the layer's tree.
pub type NameBytes = Box<[u8]>;

/// A partition's name within a layer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A string of 1 to 500 characters without control characters.
    Generic(Arc<str>),
    /// A tile of a quadtree; the layer's grid decides where it lies.
    Tile(Tile),
}

impl Name {
    /// The most characters a generic name may have.
    pub const MAX_CHARS: usize = 500;

    /// Checks and makes a generic name.
    pub fn generic(text: &str) -> Result<Name> {
        let shown = || crate::shown(&text.chars().take(60).collect::<String>()).into_owned();
        if text.is_empty() {
            return Err(Error::new("a partition name can not be empty"));
        }
        if text.chars().count() > Name::MAX_CHARS {
            return Err(Error::new(format!(
                "partition name `{}…` has more than {} characters",
                shown(),
                Name::MAX_CHARS
            )));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::new(format!("partition name `{}` has a control character", shown())));
        }
        Ok(Name::Generic(text.into()))
    }

    /// Appends the name's bytes.
    pub fn write_bytes(&self, out: &mut Vec<u8>) {
        match self {
            Name::Generic(text) => out.extend_from_slice(text.as_bytes()),
            Name::Tile(tile) => tile.write_quadkey(out),
        }
    }

    /// The name's bytes: they sort as the names of one layer do.
    pub fn to_bytes(&self) -> NameBytes {
        let mut out = Vec::with_capacity(32);
        self.write_bytes(&mut out);
        out.into_boxed_slice()
    }

    /// The tile, if it is one.
    pub fn tile(&self) -> Option<Tile> {
        match self {
            Name::Tile(tile) => Some(*tile),
            Name::Generic(_) => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Name::Generic(text) => Some(text),
            Name::Tile(_) => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Generic(text) => f.pad(text),
            Name::Tile(tile) => tile.fmt(f),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Tile> for Name {
    fn from(tile: Tile) -> Name {
        Name::Tile(tile)
    }
}

/// Anything that can be passed as a name: a string, a tile, or a name.
pub trait IntoName {
    /// Makes the name, checking a string against the rules of generic names.
    fn into_name(self) -> Result<Name>;
}

impl IntoName for Name {
    fn into_name(self) -> Result<Name> {
        Ok(self)
    }
}

impl IntoName for &Name {
    fn into_name(self) -> Result<Name> {
        Ok(self.clone())
    }
}

impl IntoName for Tile {
    fn into_name(self) -> Result<Name> {
        Ok(Name::Tile(self))
    }
}

impl IntoName for &str {
    fn into_name(self) -> Result<Name> {
        Name::generic(self)
    }
}

impl IntoName for &String {
    fn into_name(self) -> Result<Name> {
        Name::generic(self)
    }
}

impl IntoName for String {
    fn into_name(self) -> Result<Name> {
        Name::generic(&self)
    }
}

/// A layer as a run refers to it: in an input catalog (`transit/gtfs-schedule`) or, without one, in the output catalog (`coverage`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerRef {
    /// The input catalog; `None` is the catalog that the run writes.
    pub catalog: Option<CatalogId>,
    /// The layer in it.
    pub layer: LayerId,
}

impl LayerRef {
    /// Parses `catalog/layer`, or `layer` for the output catalog.
    pub fn parse(text: &str) -> Result<LayerRef> {
        match text.split_once('/') {
            Some((catalog, layer)) => {
                Ok(LayerRef { catalog: Some(CatalogId::new(catalog)?), layer: LayerId::new(layer)? })
            }
            None => Ok(LayerRef { catalog: None, layer: LayerId::new(text)? }),
        }
    }
}

impl fmt::Display for LayerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.catalog {
            Some(catalog) => write!(f, "{catalog}/{}", self.layer),
            None => write!(f, "{}", self.layer),
        }
    }
}

impl fmt::Debug for LayerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for LayerRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<LayerRef> {
        LayerRef::parse(text)
    }
}

/// A partition as a run refers to it: a layer and a name in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The layer.
    pub layer: LayerRef,
    /// The name within the layer.
    pub name: Name,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.layer, self.name)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
