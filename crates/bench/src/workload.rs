//! The inputs: names and payloads as functions of a partition's number and version, and which partitions change.
//!
//! Frozen: the reference programs make the same bytes, and figures of different days are compared.

use std::fmt::Write as _;
use std::str::FromStr;

use deltic_core::{Result, Tile};

/// Digits of an input's quadkey.
pub const KEY_DIGITS: usize = 12;
/// Digits of the quadkey that sixteen inputs share.
pub const GROUP_DIGITS: usize = 10;

const WORDS: [&str; 16] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima",
    "mike", "november", "oscar", "papa",
];

/// Which inputs differ from the first version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// None.
    Base,
    /// The one in the middle.
    One,
    /// One of a thousand.
    Permille,
    /// All of them.
    All,
}

impl Kind {
    /// The content version of partition `number` among `count`, if changed partitions have content `version`.
    pub fn version_of(self, number: u64, count: u64, version: u64) -> u64 {
        let changes = match self {
            Kind::Base => false,
            Kind::One => number == count / 2,
            Kind::Permille => number % 1000 == 7,
            Kind::All => true,
        };
        if changes { version } else { 0 }
    }

    /// The numbers of the partitions that differ, in order.
    pub fn changed(self, count: u64) -> Vec<u64> {
        match self {
            Kind::Base => Vec::new(),
            Kind::One if count == 0 => Vec::new(),
            Kind::One => vec![count / 2],
            Kind::Permille => (7..count).step_by(1000).collect(),
            Kind::All => (0..count).collect(),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Kind, String> {
        match text {
            "0" | "base" => Ok(Kind::Base),
            "1" | "one" => Ok(Kind::One),
            "m" | "permille" => Ok(Kind::Permille),
            "all" => Ok(Kind::All),
            _ => Err(format!("`{text}` is no kind of change: expected `0`, `1`, `m` or `all`")),
        }
    }
}

/// The name of partition `number`: its base-4 digits.
pub fn key(number: u64) -> [u8; KEY_DIGITS] {
    std::array::from_fn(|index| b'0' + (number >> (2 * (KEY_DIGITS - 1 - index)) & 3) as u8)
}

/// The name of the group that a name belongs to.
pub fn group_of(key: &[u8; KEY_DIGITS]) -> &[u8] {
    &key[..GROUP_DIGITS]
}

/// The tile of a name of base-4 digits.
pub fn tile(digits: &[u8]) -> Result<Tile> {
    String::from_utf8_lossy(digits).parse()
}

fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Writes the payload of partition `number` at content version `version` into `out`, replacing what is there.
/// 1.1 to 9.9 KB.
pub fn payload(number: u64, version: u64, out: &mut String) {
    out.clear();
    let key = key(number);
    let key = String::from_utf8_lossy(&key);
    let group = &key[..GROUP_DIGITS];
    let records = 8 + mix(number) % 65; // does not depend on the version
    let word = |bits: u64| WORDS[bits as usize & 15];
    let mut write = || -> std::fmt::Result {
        write!(out, "{{\"key\":\"{key}\",\"group\":\"{group}\",\"records\":[")?;
        for record in 0..records {
            let seed = number.wrapping_mul(1000).wrapping_add(record);
            let h = mix(seed.wrapping_add(version.wrapping_mul(0xABC_DEF1_2345)));
            let h2 = mix(h);
            let comma = if record > 0 { "," } else { "" };
            let (id, v, w, cls) = (number * 100 + record, h % 100_000, (h >> 20) % 1_000_000, h2 % 8);
            write!(out, "{comma}{{\"id\":{id},\"group\":\"{group}\",\"v\":{v},\"w\":{w},\"cls\":{cls},")?;
            write!(out, "\"name\":\"{} {} {}\",", word(h2 >> 8), word(h2 >> 12), h2 >> 44)?;
            write!(out, "\"tags\":[\"{}\",\"{}\"]}}", word(h2 >> 16), word(h2 >> 20))?;
        }
        out.write_str("]}")
    };
    // Writing into a string does not fail.
    let _ = write();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tiles_in_order() {
        assert_eq!(&key(0), b"000000000000");
        assert_eq!(&key(27), b"000000000123");
        assert_eq!(tile(group_of(&key(1_000_000))).unwrap().level(), 10);
        assert!((0..5000).map(key).is_sorted());
    }

    #[test]
    fn what_changes_is_what_has_another_version() {
        for kind in [Kind::Base, Kind::One, Kind::Permille, Kind::All] {
            let by_version: Vec<u64> = (0..2500).filter(|n| kind.version_of(*n, 2500, 3) == 3).collect();
            assert_eq!(by_version, kind.changed(2500), "{kind:?}");
        }
    }
}
