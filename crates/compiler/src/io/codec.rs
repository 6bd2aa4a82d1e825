//! The encoding of intermediate values: two header bytes (magic and version), then bincode in its standard configuration.
//!
//! The bytes are hashed to find out whether a front-end emitted something new, stored where a stage memoizes its values, and sent to
//! workers. So the encoding is part of every fingerprint: a change of [`CODEC_VERSION`] makes all stages full.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;

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

/// How many bytes of memory a byte of an encoding may claim against a limit: those of a `u128`, which may be encoded in one byte.
const CLAIMED_PER_BYTE: usize = 16;

/// The lengths of encodings up to which each limit is used.
const SHORT: usize = 64 << 10;
const LONG: usize = 16 << 20;

/// Reads a value back; every byte must be used.
///
/// Memory: what a value of that many bytes can take. A text with a false length may reserve more: at most 1 MiB, or 256 MiB when the
/// encoding is longer than 64 KiB, or 64 GiB when it is longer than 16 MiB; that memory is reserved and not touched. There is no bound
/// for types without any bytes, such as `Vec<()>`, and for values that nest without end.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let body = match bytes {
        [MAGIC, CODEC_VERSION, body @ ..] => body,
        [MAGIC, version, ..] => {
            anyhow::bail!("the intermediate value has encoding version {version}, this build reads {CODEC_VERSION}")
        }
        _ => anyhow::bail!("these bytes are not an intermediate value"),
    };
    let (value, used) = decode_body(body).map_err(|error| {
        anyhow::anyhow!(
            "the intermediate value can not be read back: {error} (types that need self-describing data, such as \
             `serde_json::Value` or `#[serde(untagged)]`, can not be intermediate values, nor can those that leave fields \
             out, as `skip_serializing_if` does)"
        )
    })?;
    anyhow::ensure!(used == body.len(), "the intermediate value has {} extra bytes at its end", body.len() - used);
    Ok(value)
}

/// Decodes within a limit. Without one, bincode would reserve memory for any announced length, and the process would abort when it can
/// not get that much. Limits are part of a type, so there are only three. They refuse nothing that [`encode`] makes.
fn decode_body<T: DeserializeOwned>(body: &[u8]) -> Result<(T, usize), bincode::error::DecodeError> {
    const LESS: usize = CLAIMED_PER_BYTE * SHORT + CLAIMED_PER_BYTE;
    const MORE: usize = CLAIMED_PER_BYTE * LONG + CLAIMED_PER_BYTE;
    const MOST: usize = CLAIMED_PER_BYTE << 32;
    let config = bincode::config::standard();
    if body.len() <= SHORT {
        bincode::serde::decode_from_slice(body, config.with_limit::<LESS>())
    } else if body.len() <= LONG {
        bincode::serde::decode_from_slice(body, config.with_limit::<MORE>())
    } else {
        bincode::serde::decode_from_slice(body, config.with_limit::<MOST>())
    }
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

    /// A limit counts a value's size in memory, so the values with the shortest encoding come closest to it.
    #[test]
    fn limits_refuse_nothing_that_was_encoded() {
        for count in [0, 1, SHORT - 6, SHORT - 5, SHORT - 4, SHORT, LONG - 5, LONG] {
            let mut out = Vec::new();
            encode(&vec![0u128; count], &mut out).unwrap();
            assert_eq!(decode::<Vec<u128>>(&out).unwrap().len(), count);
        }
        for count in [SHORT / 2, SHORT] {
            let mut out = Vec::new();
            let value = (vec![String::new(); count], vec!['a'; count], vec![Some(0i128); count], "x".repeat(count));
            encode(&value, &mut out).unwrap();
            assert!(decode::<(Vec<String>, Vec<char>, Vec<Option<i128>>, String)>(&out).unwrap() == value);
        }
    }

    /// For example after a type has changed, and the compiler's version has not.
    #[test]
    fn a_false_length_is_an_error_and_takes_little_memory() {
        for length in [1 << 21, 1 << 40, 1 << 62, u64::MAX] {
            let mut bytes = vec![MAGIC, CODEC_VERSION, 253];
            bytes.extend_from_slice(&length.to_le_bytes());
            let held = allocation_counter::measure(|| assert!(decode::<String>(&bytes).is_err()));
            assert!(held.bytes_max < 1 << 20, "{length}: {held:?}");
            let held = allocation_counter::measure(|| assert!(decode::<Vec<Vec<u64>>>(&bytes).is_err()));
            assert!(held.bytes_max <= 2 << 20, "{length}: {held:?}");
        }
    }

    #[test]
    fn foreign_bytes_are_errors() {
        for bad in [&b""[..], b"x", &[0xD1, 9, 0], &[0xD1, 1], &[0xD1, 1, 0, 0]] {
            assert!(decode::<u8>(bad).is_err(), "{bad:?}");
        }
    }
}
