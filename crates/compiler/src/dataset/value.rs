//! Values of data sets, and their encoding in private layers and between front- and back-ends.

use std::fmt;

use deltic_core::{Fields, Key, LayerRef, Name, Payload};
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dataset::DataKey;
use crate::error::Result;
use crate::io::codec;
use crate::io::partition::Partition;

/// A type that can be a value of a data set: anything that serde writes and reads back.
///
/// Maps in it must iterate in a fixed order. Types that need self-describing data, such as `serde_json::Value`, can not be read back.
pub trait Data: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> Data for T {}

/// Bytes that serde writes as a whole, not one by one.
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

/// A payload as a value in a private layer.
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

/// A value in a group, with the key that it had before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
}

impl<K: DataKey, V: Serialize> Serialize for Member<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = self.key.to_name().map_err(serde::ser::Error::custom)?;
        (name.tile().is_some(), name.to_string(), &self.value).serialize(serializer)
    }
}

impl<'de, K: DataKey, V: Deserialize<'de>> Deserialize<'de> for Member<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Member<K, V>, D::Error> {
        let (is_tile, name, value) = <(bool, String, V)>::deserialize(deserializer)?;
        let key = K::from_name(&read_name(is_tile, &name).map_err(D::Error::custom)?).map_err(D::Error::custom)?;
        Ok(Member { key, value })
    }
}

fn read_name(is_tile: bool, text: &str) -> deltic_core::Result<Name> {
    if is_tile { text.parse().map(Name::Tile) } else { Name::generic(text) }
}

/// Lets a set of partitions be grouped, joined and kept like any other.
impl Serialize for Partition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (layer, name) = (self.key.layer.to_string(), self.key.name.to_string());
        (layer, self.key.name.tile().is_some(), name, Encoded(self.payload.clone())).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Partition, D::Error> {
        let (layer, is_tile, name, Encoded(payload)) = <(String, bool, String, Encoded)>::deserialize(deserializer)?;
        let name = read_name(is_tile, &name).map_err(D::Error::custom)?;
        let layer = LayerRef::parse(&layer).map_err(D::Error::custom)?;
        let key = Key { layer, name };
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
    fn partitions_and_members_are_read_back() {
        for name in ["root".into_name().unwrap(), Name::Tile(Tile::ROOT), Name::Tile("21".parse().unwrap())] {
            let payload = Payload::from("hello").with_field("a", "1").unwrap();
            let key = Key { layer: LayerRef::parse("in/a").unwrap(), name };
            let partition = Partition { key, meta: payload.meta(), payload };
            assert_eq!(decode::<Partition>(&encode(&partition).unwrap().0).unwrap(), partition);
            let member = Member { key: partition.key.clone(), value: partition };
            assert_eq!(decode::<Member<Key, Partition>>(&encode(&member).unwrap().0).unwrap(), member);
        }
    }
}
