//! How intermediate values become bytes: two header bytes (magic and version), then bincode with its standard
//! configuration.
//!
//! The bytes are hashed to see whether a front-end said something new, kept where a stage remembers its values, and
//! handed to workers. So the encoding is part of every fingerprint: a change of [`CODEC_VERSION`] makes all stages full.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Result;

/// The version of the encoding of intermediate values.
pub const CODEC_VERSION: u8 = 1;

const MAGIC: u8 = 0xD1;

/// Appends the encoding of a value.
pub(crate) fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&[MAGIC, CODEC_VERSION]);
    bincode::serde::encode_into_std_write(value, out, bincode::config::standard())
        .map_err(|error| anyhow::anyhow!("the intermediate value can not be written: {error}"))?;
    Ok(())
}

/// Reads a value back; every byte must be used.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let body = match bytes {
        [MAGIC, CODEC_VERSION, body @ ..] => body,
        [MAGIC, version, ..] => {
            anyhow::bail!("the intermediate value has encoding version {version}, this build reads {CODEC_VERSION}")
        }
        _ => anyhow::bail!("these bytes are no intermediate value"),
    };
    let (value, used) = bincode::serde::decode_from_slice(body, bincode::config::standard()).map_err(|error| {
        anyhow::anyhow!(
            "the intermediate value can not be read back: {error} (types that need self-describing data, such as \
             `serde_json::Value` or `#[serde(untagged)]`, can not be intermediate values, nor can those that leave fields \
             out, as `skip_serializing_if` does)"
        )
    })?;
    anyhow::ensure!(used == body.len(), "the intermediate value has {} bytes too many", body.len() - used);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_frozen() {
        let mut out = Vec::new();
        encode(&("ab", 300u32, Some(-1i8), [1.5f64]), &mut out).unwrap();
        assert_eq!(
            out,
            [0xD1, 1, 2, b'a', b'b', 251, 44, 1, 1, 255, 0, 0, 0, 0, 0, 0, 248, 63],
            "a change of the encoding needs a new CODEC_VERSION"
        );
        let back: (String, u32, Option<i8>, [f64; 1]) = decode(&out).unwrap();
        assert_eq!(back, ("ab".to_owned(), 300, Some(-1), [1.5]));
    }

    #[test]
    fn foreign_bytes_are_errors() {
        for bad in [&b""[..], b"x", &[0xD1, 9, 0], &[0xD1, 1], &[0xD1, 1, 0, 0]] {
            assert!(decode::<u8>(bad).is_err(), "{bad:?}");
        }
    }
}
