//! Numbers of bytes as they are written in a configuration: `"48 MiB"`.
//!
//! What is printed is read back as the same number.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Units, each 1024 times the one before it.
const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) usize);

/// The text is not a whole number and a unit, or the number is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoSize;

impl FromStr for ByteSize {
    type Err = NoSize;

    fn from_str(text: &str) -> Result<ByteSize, NoSize> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let power = UNITS.iter().position(|known| *known == unit.trim_start()).ok_or(NoSize)?;
        let number: usize = number.parse().map_err(|_| NoSize)?;
        let unit = 1024usize.checked_pow(power as u32);
        unit.and_then(|unit| number.checked_mul(unit)).map(ByteSize).ok_or(NoSize)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut number, mut unit) = (self.0, 0);
        while number > 0 && number.is_multiple_of(1024) && unit + 1 < UNITS.len() {
            number /= 1024;
            unit += 1;
        }
        write!(f, "{number} {}", UNITS[unit])
    }
}

impl Serialize for ByteSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_printed() {
        let size = |text: &str| text.parse().map(|ByteSize(bytes)| bytes);
        assert_eq!(size("48 MiB"), Ok(48 << 20));
        assert_eq!(["0 B", "7B", "3KiB", "2   GiB"].map(size), [Ok(0), Ok(7), Ok(3072), Ok(2 << 30)]);
        for bad in ["", "48", "MiB", "-1 B", "1.5 GiB", "1 MB", "1 mib", "1 MiB ", "1 M iB", "99999999999999999999 B"] {
            assert_eq!(size(bad), Err(NoSize), "{bad}");
        }
        assert_eq!(size(&format!("{} GiB", usize::MAX >> 29)), Err(NoSize), "out of range");
        let printed = |bytes: usize| ByteSize(bytes).to_string();
        assert_eq!([0, 1023, 1536, 48 << 20, 3 << 40].map(printed), ["0 B", "1023 B", "1536 B", "48 MiB", "3072 GiB"]);
        for bytes in [0, 1, 1024, 1025, 5 << 20, (5 << 20) + 1024, usize::MAX] {
            assert_eq!(size(&printed(bytes)), Ok(bytes));
        }
    }
}
