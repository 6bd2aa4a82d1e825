//! JSON objects whose last field, `check`, is the BLAKE3 of every byte before its line. People can read them, and no
//! byte of them can change unnoticed.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::Formatter;

use crate::{Error, Result};

const FIELD: &str = "  \"check\": \"";
const END: &str = "\"\n}\n";
const HEX: usize = 64;

/// Writes a value as indented JSON with its check.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    finished(serde_json::to_vec_pretty(value))
}

/// The same with one line for each entry of a field, and not for each of an entry's own fields.
pub(crate) fn to_lines<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Lines::default()));
    finished(written.map(|()| bytes))
}

fn finished(bytes: serde_json::Result<Vec<u8>>) -> Result<Vec<u8>> {
    let mut bytes =
        bytes.map_err(|e| Error::invalid("a record holds something that can not be written as JSON").because(&e))?;
    if !bytes.ends_with(b"\n}") {
        return Err(Error::internal("a checked record must be a JSON object with at least one field"));
    }
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(b",\n");
    let check = blake3::hash(&bytes).to_hex();
    bytes.extend_from_slice(FIELD.as_bytes());
    bytes.extend_from_slice(check.as_bytes());
    bytes.extend_from_slice(END.as_bytes());
    Ok(bytes)
}

/// JSON that is indented down to the entries of the outermost object's fields; what is deeper stays on its line.
#[derive(Default)]
struct Lines {
    depth: usize,
    /// Whether what is being written has an entry.
    filled: bool,
}

impl Lines {
    const DEPTH: usize = 2;

    fn begin<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn entry<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match (first, self.depth <= Lines::DEPTH) {
            (true, true) => writer.write_all(b"\n")?,
            (true, false) => return Ok(()),
            (false, true) => writer.write_all(b",\n")?,
            (false, false) => return writer.write_all(b", "),
        }
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled && self.depth < Lines::DEPTH {
            writer.write_all(b"\n")?;
            (0..self.depth).try_for_each(|_| writer.write_all(b"  "))?;
        }
        self.filled = true;
        writer.write_all(bracket)
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.entry(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.entry(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

/// Reads a value back; the error states what is wrong with the bytes.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    let rest = bytes.strip_suffix(END.as_bytes()).ok_or("it does not end with its check")?;
    let (rest, check) = rest.split_at_checked(rest.len().saturating_sub(HEX)).ok_or("it is too short")?;
    let content = rest.strip_suffix(FIELD.as_bytes()).ok_or("it does not end with its check")?;
    if blake3::hash(content).to_hex().as_bytes() != check {
        return Err("its bytes do not match its check".to_owned());
    }
    from_checked(bytes)
}

/// The same from bytes whose check has been compared.
pub(crate) fn from_checked<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    serde_json::from_slice(bytes).map_err(|e| format!("it is not the expected JSON: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        word: String,
        number: u64,
    }

    #[test]
    fn every_flipped_or_missing_byte_is_noticed() {
        let sample = Sample { word: "check".to_owned(), number: 7 };
        let bytes = to_json(&sample).unwrap();
        assert_eq!(from_json::<Sample>(&bytes).unwrap(), sample);
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[index] ^= 1 << bit;
                assert!(from_json::<Sample>(&flipped).is_err(), "byte {index} bit {bit}");
            }
            assert!(from_json::<Sample>(&bytes[..index]).is_err());
        }
    }
}
