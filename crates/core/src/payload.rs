//! A partition's bytes, and what is known about them without reading them.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Digest, Error, Hasher, Result};

/// A partition's bytes and the user fields that go with them. Cheap to clone.
///
/// A payload of zero bytes is a payload: the partition exists and is empty.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload {
    bytes: Bytes,
    fields: Fields,
}

impl Payload {
    /// A payload of these bytes, without user fields.
    pub fn new(bytes: impl Into<Bytes>) -> Payload {
        Payload { bytes: bytes.into(), fields: Fields::default() }
    }

    /// Writes a value as compact JSON; a text becomes a JSON string. Use maps that iterate in a fixed order: output must not
    /// depend on hashing.
    pub fn from_json<T: Serialize + ?Sized>(value: &T) -> Result<Payload> {
        let bytes =
            serde_json::to_vec(value).map_err(|e| Error::new(format!("value can not be written as JSON: {e}")))?;
        Ok(Payload::new(bytes))
    }

    /// Writes a value as indented JSON with a final newline, for products that people read.
    pub fn from_json_pretty<T: Serialize + ?Sized>(value: &T) -> Result<Payload> {
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|e| Error::new(format!("value can not be written as JSON: {e}")))?;
        bytes.push(b'\n');
        Ok(Payload::new(bytes))
    }

    /// Reads the bytes as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.bytes).map_err(|e| Error::new(format!("not the expected JSON: {e}")))
    }

    /// Adds or replaces a user field.
    pub fn with_field(mut self, name: &str, value: &str) -> Result<Payload> {
        self.fields.set(name, value)?;
        Ok(self)
    }

    /// Replaces all user fields.
    pub fn with_fields(mut self, fields: Fields) -> Payload {
        self.fields = fields;
        self
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The user fields.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Its digest, length and user fields. Cost: one pass over the bytes.
    pub fn meta(&self) -> Meta {
        Meta { digest: Digest::of(&self.bytes), len: self.len(), fields: self.fields.clone() }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes", self.bytes.len())?;
        if let Ok(text) = std::str::from_utf8(&self.bytes[..self.bytes.len().min(80)]) {
            write!(f, ", {text:?}")?;
        }
        if !self.fields.is_empty() {
            write!(f, ", {:?}", self.fields)?;
        }
        f.write_str(")")
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Payload {
        Payload::new(bytes)
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Payload {
        Payload::new(text)
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Payload {
        Payload::new(text.as_bytes().to_vec())
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Payload {
        Payload::new(bytes)
    }
}

/// Everything about a partition except its bytes and where they lie. Two partitions with equal meta have the same content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// BLAKE3 of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub len: u64,
    /// User fields.
    pub fields: Fields,
}

impl Meta {
    /// One digest for the whole content, bytes and user fields. Compare this wherever fields can be read. Without fields it is the digest of
    /// the bytes.
    pub fn content_digest(&self) -> Digest {
        if self.fields.is_empty() {
            return self.digest;
        }
        let mut hasher = Hasher::new("deltic content 1");
        hasher.digest(&self.digest).text(self.fields.as_str());
        hasher.finish()
    }
}

/// Small named texts that travel with a payload and are part of its content: sorted by name, 512 bytes in all.
///
/// Held as the bytes that are stored and digested: for each field its name, `0x1f`, its value, `0x1e`.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct Fields(Option<Box<str>>);

impl Fields {
    /// The most bytes that all fields of a partition may take together.
    pub const MAX_BYTES: usize = 512;

    /// Adds or replaces a field.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        if name.is_empty() || name.chars().chain(value.chars()).any(char::is_control) {
            return Err(Error::new(format!("field `{}` has an empty name or a control character", crate::shown(name))));
        }
        let mut all: std::collections::BTreeMap<&str, &str> = self.iter().collect();
        all.insert(name, value);
        let text: String = all.iter().map(|(name, value)| format!("{name}\u{1f}{value}\u{1e}")).collect();
        if text.len() > Fields::MAX_BYTES {
            return Err(Error::new(format!("the fields of one partition take more than {} bytes", Fields::MAX_BYTES)));
        }
        self.0 = Some(text.into());
        Ok(())
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The fields, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.as_str().split_terminator('\u{1e}').filter_map(|field| field.split_once('\u{1f}'))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The canonical bytes, as stored and digested; empty when there are no fields.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }

    /// Reads the canonical bytes back; anything else is an error.
    pub fn from_canonical(bytes: &[u8]) -> Result<Fields> {
        if bytes.is_empty() {
            return Ok(Fields::default());
        }
        let bad = || Error::new("user fields are not in canonical form");
        let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
        let mut fields = Fields::default();
        for (name, value) in Fields(Some(text.into())).iter() {
            fields.set(name, value)?;
        }
        if fields.as_str() == text { Ok(fields) } else { Err(bad()) }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_one_form() {
        let mut one = Fields::default();
        one.set("b", "2").unwrap();
        one.set("a", "1").unwrap();
        let mut two = Fields::default();
        two.set("a", "0").unwrap();
        two.set("b", "2").unwrap();
        two.set("a", "1").unwrap();
        assert_eq!(one, two);
        assert_eq!(Fields::from_canonical(one.as_str().as_bytes()).unwrap(), one);
        assert!(Fields::from_canonical("b\u{1f}2\u{1e}a\u{1f}1\u{1e}".as_bytes()).is_err());
        assert!(Fields::from_canonical(b"junk").is_err());
        assert!(one.set("c", "\u{1e}").is_err());
        assert!(one.set("c", &"x".repeat(600)).is_err());
    }

    #[test]
    fn fields_are_content() {
        let plain = Payload::from("abc");
        let fields = |value: &str| Payload::from("abc").with_field("k", value).unwrap();
        assert_eq!(plain.meta().content_digest(), Digest::of(b"abc"));
        let all = [&plain, &fields("1"), &fields("2")].map(|payload| payload.meta().content_digest());
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2], "{all:?}");
        assert_ne!(Payload::from("abd").with_field("k", "1").unwrap().meta().content_digest(), all[1]);
        assert_eq!(format!("{plain:?}"), r#"Payload(3 bytes, "abc")"#);
        assert_eq!(format!("{:?}", fields("1")), r#"Payload(3 bytes, "abc", {"k": "1"})"#);
    }

    #[test]
    fn json_is_read_as_it_was_written() {
        let written = Payload::from_json(&[("a", 1.5)]).unwrap();
        assert_eq!(written, Payload::from(r#"[["a",1.5]]"#));
        assert_eq!(written.json::<Vec<(String, f64)>>().unwrap(), [("a".to_owned(), 1.5)]);
        assert_eq!(Payload::from_json_pretty(&["a"]).unwrap(), Payload::from("[\n  \"a\"\n]\n"));
        assert_eq!(Payload::from_json("[]").unwrap(), Payload::from(r#""[]""#));
        assert!(written.json::<u64>().unwrap_err().to_string().starts_with("not the expected JSON: "));
    }

    #[test]
    fn an_empty_payload_is_a_payload() {
        assert_eq!(Payload::default().meta().digest, Digest::of(b""));
    }
}
