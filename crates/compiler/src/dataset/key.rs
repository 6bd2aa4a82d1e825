//! Keys of data sets: the types that name partitions in user code.

use std::fmt;

use anyhow::Context as _;
use deltic_core::{Grid, IntoName, Key, Layer, LayerRef, Name, Tile};

use crate::error::Result;

/// A type that names partitions. Different keys must have different names: two keys with one name would be one partition.
///
/// | key | name |
/// |---|---|
/// | `String` | the string: 1 to 500 characters, no control characters |
/// | [`Tile`] | the tile |
/// | [`Key`] | `catalog/layer:name`, with `@` before a tile: what a set over several layers has |
pub trait DataKey: Clone + Ord + fmt::Display + Send + Sync + 'static {
    /// The name of the partition with this key. Errors: the key has no legal name.
    fn to_name(&self) -> Result<Name>;

    /// Reads a name back. Errors: no key has this name.
    fn from_name(name: &Name) -> Result<Self>;

    /// The settings of a private layer whose partitions have such keys.
    fn private_layer(id: &str) -> Result<Layer>;
}

impl DataKey for String {
    fn to_name(&self) -> Result<Name> {
        Ok(self.into_name()?)
    }

    fn from_name(name: &Name) -> Result<String> {
        let text = name.as_str();
        Ok(text.with_context(|| format!("the key is a string, but `{name}` is a tile"))?.to_owned())
    }

    fn private_layer(id: &str) -> Result<Layer> {
        Ok(Layer::generic(id)?)
    }
}

impl DataKey for Tile {
    fn to_name(&self) -> Result<Name> {
        Ok(Name::Tile(*self))
    }

    fn from_name(name: &Name) -> Result<Tile> {
        name.tile().with_context(|| format!("the key is a tile, but `{name}` is a string"))
    }

    /// The grid has no meaning here: nothing depends on where the tiles of a private layer lie.
    fn private_layer(id: &str) -> Result<Layer> {
        Ok(Layer::tiles(id, Grid::Here, 0..=Tile::MAX_LEVEL)?)
    }
}

impl DataKey for Key {
    fn to_name(&self) -> Result<Name> {
        let mark = if self.name.tile().is_some() { '@' } else { ':' };
        Ok(Name::generic(&format!("{}{mark}{}", self.layer, self.name))?)
    }

    fn from_name(name: &Name) -> Result<Key> {
        let text = String::from_name(name)?;
        // The ids of catalogs and layers hold neither mark.
        let mark = text.find([':', '@']).with_context(|| format!("`{text}` names no layer"))?;
        let (layer, rest) = (LayerRef::parse(&text[..mark])?, &text[mark + 1..]);
        let name = if text[mark..].starts_with('@') { Name::Tile(rest.parse()?) } else { Name::generic(rest)? };
        Ok(Key { layer, name })
    }

    fn private_layer(id: &str) -> Result<Layer> {
        Ok(Layer::generic(id)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trips<K: DataKey + fmt::Debug>(key: &K) {
        let name = key.to_name().unwrap();
        assert_eq!(K::from_name(&name).unwrap(), *key);
        let layer = K::private_layer("x").unwrap();
        assert_eq!(layer.name_from_bytes(&name.to_bytes()).unwrap(), name);
    }

    #[test]
    fn keys_are_read_back_from_their_names() {
        round_trips(&"a b/c:d@e".to_owned());
        for tile in ["root", "0", "3120"] {
            round_trips(&tile.parse::<Tile>().unwrap());
        }
        for layer in ["map/topology", "topology"] {
            for name in [Name::generic("a:b@c/d").unwrap(), Name::generic("012").unwrap(), Name::Tile(Tile::ROOT)] {
                round_trips(&Key { layer: LayerRef::parse(layer).unwrap(), name });
            }
        }
    }

    #[test]
    fn names_of_another_kind_are_errors() {
        let (text, tile) = (Name::generic("x").unwrap(), Name::Tile(Tile::ROOT));
        assert!(String::from_name(&tile).is_err());
        assert!(Tile::from_name(&text).is_err());
        assert!(Key::from_name(&text).is_err());
        assert!(String::new().to_name().is_err());
    }
}
