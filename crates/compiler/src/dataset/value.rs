//! Values of data sets, and the bytes they have in private layers and between front- and back-ends.

use std::fmt;

use deltic_core::{Fields, Key, LayerRef, Name, Payload};
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Partition, Result, codec};

/// A type that can be a value of a data set: anything that serde writes and reads back.
///
/// Maps in it must iterate in a fixed order, and types that need self-describing data, such as `serde_json::Value`,
/// can not be read back.
pub trait Data: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> Data for T {}

/// Bytes that serde takes as a whole, not one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw(pub(super) Vec<u8>);

/// The encoding of a value.
pub(super) fn encode<V: Data>(value: &V) -> Result<Raw> {
    let mut bytes = Vec::new();
    codec::encode(value, &mut bytes)?;
    Ok(Raw(bytes))
}

/// Reads a value back.
pub(super) fn decode<V: Data>(bytes: &[u8]) -> Result<V> {
    codec::decode(bytes)
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_byte_buf(RawVisitor)
    }
}

struct RawVisitor;

impl Visitor<'_> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Raw, E> {
        Ok(Raw(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Raw, E> {
        Ok(Raw(bytes))
    }
}

/// A payload on its way through a private layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Encoded(pub(super) Payload);

impl Serialize for Encoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0.fields().as_str(), Raw(self.0.bytes().to_vec())).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Encoded, D::Error> {
        let (fields, Raw(bytes)) = <(String, Raw)>::deserialize(deserializer)?;
        let fields = Fields::from_canonical(fields.as_bytes()).map_err(D::Error::custom)?;
        Ok(Encoded(Payload::new(bytes).with_fields(fields)))
    }
}

/// So that a set of partitions can be grouped, joined and kept like any other.
impl Serialize for Partition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (layer, name) = (self.key.layer.to_string(), self.key.name.to_string());
        (layer, self.key.name.tile().is_some(), name, Encoded(self.payload.clone())).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Partition, D::Error> {
        let (layer, is_tile, name, Encoded(payload)) = <(String, bool, String, Encoded)>::deserialize(deserializer)?;
        let name = if is_tile { name.parse().map(Name::Tile) } else { Name::generic(&name) };
        let layer = LayerRef::parse(&layer).map_err(D::Error::custom)?;
        let key = Key { layer, name: name.map_err(D::Error::custom)? };
        Ok(Partition { key, meta: payload.meta(), payload })
    }
}

impl From<Partition> for Payload {
    fn from(partition: Partition) -> Payload {
        partition.payload
    }
}

#[cfg(test)]
mod tests {
    use deltic_core::{IntoName, Tile};

    use super::*;

    #[test]
    fn a_partition_comes_back_with_its_fields() {
        for name in ["root".into_name().unwrap(), Name::Tile(Tile::ROOT), Name::Tile("21".parse().unwrap())] {
            let payload = Payload::from("hello").with_field("a", "1").unwrap();
            let key = Key { layer: LayerRef::parse("in/a").unwrap(), name };
            let partition = Partition { key, meta: payload.meta(), payload };
            assert_eq!(decode::<Partition>(&encode(&partition).unwrap().0).unwrap(), partition);
        }
    }
}
