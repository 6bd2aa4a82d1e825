//! Tiles: addresses in a quadtree of 32 levels.
//!
//! A tile is a level, and a column and row within it. The [`Grid`](crate::Grid) decides where it lies on Earth. Each digit is the quarter at
//! a level, most significant first: `(y & 1) << 1 | (x & 1)`. In the `here` grid rows count from the south, so 0 is the south-west
//! quarter. In the `mercator` grid they count from the north, so 0 is the north-west quarter.
//!
//! Invariant: tiles sort as the texts of their digits do, and so as the bytes of their names. A tile comes before everything below it, and
//! a subtree is one contiguous range. For that the digits are left-aligned: comparing two numbers, then two levels, compares the texts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A tile of a quadtree. The text form is its quadkey digits, `root` for the tile of level 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tile {
    /// Two bits a digit, the first digit in bits 61 and 60; zero below the last one.
    digits: u64,
    /// How many digits there are.
    level: u8,
}

/// The bits that the digits of the deepest level take.
const BITS: u32 = 2 * Tile::MAX_LEVEL as u32;

impl Tile {
    /// The tile of level 0: the whole square of its grid. The bytes of its name are empty.
    pub const ROOT: Tile = Tile { digits: 0, level: 0 };

    /// The deepest level there is.
    pub const MAX_LEVEL: u8 = 31;

    /// The tile in column `x` and row `y` of a level; both count from 0 to `2^level - 1`.
    pub fn new(level: u8, x: u32, y: u32) -> Result<Tile> {
        check_level(level)?;
        let side = 1u32 << level;
        if x >= side || y >= side {
            return Err(Error::new(format!(
                "there is no tile in column {x} and row {y} of level {level}: both go from 0 to {}",
                side - 1
            )));
        }
        Ok(Tile::at(level, x, y))
    }

    /// As [`Tile::new`], for numbers known to be in range.
    pub(crate) fn at(level: u8, x: u32, y: u32) -> Tile {
        Tile::from_morton(level, spread(y) << 1 | spread(x))
    }

    /// The tile at `position` in the order of its level.
    fn from_morton(level: u8, position: u64) -> Tile {
        Tile { digits: position << (BITS - 2 * u32::from(level)), level }
    }

    /// The position in the order of its level: the digits as one number.
    fn morton(self) -> u64 {
        self.digits >> (BITS - 2 * u32::from(self.level))
    }

    /// The level, 0 to 31.
    pub fn level(self) -> u8 {
        self.level
    }

    /// The column, counted from the west.
    pub fn x(self) -> u32 {
        gather(self.morton())
    }

    /// The row, counted from the south in the `here` grid, from the north in the `mercator` grid.
    pub fn y(self) -> u32 {
        gather(self.morton() >> 1)
    }

    /// Appends the bytes of the tile's name: its digits, and nothing for the root.
    pub fn write_quadkey(self, out: &mut Vec<u8>) {
        out.extend((0..self.level).map(|index| b'0' + self.digit(index)));
    }

    /// The digit chosen on the way from level `index` to the next.
    fn digit(self, index: u8) -> u8 {
        (self.digits >> (BITS - 2 - 2 * u32::from(index)) & 3) as u8
    }

    /// The HERE tile id: the digits as a number, with one more bit above them that marks the level.
    pub fn here_id(self) -> u64 {
        1 << (2 * self.level) | self.morton()
    }

    /// The tile with a HERE tile id.
    pub fn from_here_id(id: u64) -> Result<Tile> {
        let bad = || {
            Error::new(format!(
                "{id} is not a HERE tile id: the number of its highest set bit must be even and at most 62"
            ))
        };
        let marker = id.checked_ilog2().filter(|bit| bit % 2 == 0 && *bit <= BITS).ok_or_else(bad)?;
        Ok(Tile::from_morton((marker / 2) as u8, id ^ 1 << marker))
    }

    /// Parses a HERE tile id in decimal.
    pub fn parse_here_id(text: &str) -> Result<Tile> {
        // `u64` would also parse a plus sign and leading zeros. An id has only one text form.
        let is_decimal = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        let bad = |why: &str| Error::new(format!("`{}` is not a HERE tile id: {why}", shown(text)));
        if !is_decimal {
            return Err(bad("expected a decimal number"));
        }
        match text.parse() {
            Ok(id) if id < 1 << (BITS + 1) => Tile::from_here_id(id),
            _ => Err(bad(&format!(
                "it is too large: the ids of level {} end at {}",
                Tile::MAX_LEVEL,
                (1u64 << (BITS + 1)) - 1
            ))),
        }
    }

    /// The tile of the level above that holds this one; the root has none.
    pub fn parent(self) -> Option<Tile> {
        self.ancestor(self.level.checked_sub(1)?)
    }

    /// The tile of `level` that holds this one, itself at its own level; none at levels below its own.
    pub fn ancestor(self, level: u8) -> Option<Tile> {
        let kept = !(u64::MAX >> (64 - BITS) >> (2 * u32::from(level.min(self.level))));
        (level <= self.level).then_some(Tile { digits: self.digits & kept, level })
    }

    /// The four tiles of the next level, in order; none at level 31.
    pub fn children(self) -> Option<[Tile; 4]> {
        let level = self.level + 1;
        let first = self.morton() << 2;
        (level <= Tile::MAX_LEVEL).then(|| [0, 1, 2, 3].map(|digit| Tile::from_morton(level, first | digit)))
    }

    /// The tiles of `level` in this one, in order: itself at its own level, none at levels above it or beyond 31.
    ///
    /// Lazy, with an exact size hint: there are `4^(level - self.level())`.
    pub fn descendants(self, level: u8) -> impl DoubleEndedIterator<Item = Tile> + Clone + fmt::Debug {
        let positions = match level.checked_sub(self.level) {
            Some(below) if level <= Tile::MAX_LEVEL => self.morton() << (2 * below)..(self.morton() + 1) << (2 * below),
            _ => 0..0,
        };
        Descendants { level, positions }
    }

    /// Whether `other` is this tile or lies below it.
    pub fn contains(self, other: Tile) -> bool {
        other.ancestor(self.level) == Some(self)
    }

    /// The tiles of the same level at most `radius` columns and rows away, sorted, without itself.
    ///
    /// Columns wrap around the Earth: east of the last column is the first. Rows do not: rows beyond the first or last are left out. Cost and size: `(2 * radius + 1)^2`, or the whole level if that is smaller.
    pub fn neighbours(self, radius: u32) -> Vec<Tile> {
        let side = 1u32 << self.level;
        let (x, y) = (self.x(), self.y());
        // Where a level has few columns, take every column once.
        let (first, width) = match radius.checked_mul(2).and_then(|twice| twice.checked_add(1)) {
            Some(width) if width < side => (x + side - radius, width),
            _ => (x, side),
        };
        let rows = y.saturating_sub(radius)..=y.saturating_add(radius).min(side - 1);
        let mut tiles: Vec<Tile> = rows
            .flat_map(|row| (0..width).map(move |step| Tile::at(self.level, (first + step) % side, row)))
            .filter(|tile| *tile != self)
            .collect();
        tiles.sort_unstable();
        tiles
    }
}

/// The tiles at a range of positions of one level.
#[derive(Debug, Clone)]
struct Descendants {
    level: u8,
    positions: std::ops::Range<u64>,
}

impl Iterator for Descendants {
    type Item = Tile;

    fn next(&mut self) -> Option<Tile> {
        self.positions.next().map(|position| Tile::from_morton(self.level, position))
    }

    fn nth(&mut self, n: usize) -> Option<Tile> {
        self.positions.nth(n).map(|position| Tile::from_morton(self.level, position))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.positions.size_hint()
    }
}

impl DoubleEndedIterator for Descendants {
    fn next_back(&mut self) -> Option<Tile> {
        self.positions.next_back().map(|position| Tile::from_morton(self.level, position))
    }
}

/// Checks that a level exists.
pub(crate) fn check_level(level: u8) -> Result<()> {
    if level > Tile::MAX_LEVEL {
        return Err(Error::new(format!("tile level {level} is out of range: 0 to {}", Tile::MAX_LEVEL)));
    }
    Ok(())
}

/// Moves bit `i` of a number to bit `2 * i`.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & 0x5555_5555_5555_5555
}

/// Takes every other bit of a number, from bit 0 on: undoes [`spread`].
fn gather(number: u64) -> u32 {
    let mut bits = number & 0x5555_5555_5555_5555;
    bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    bits = (bits | bits >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    (bits | bits >> 16) as u32
}

/// The start of a foreign text, safe to print.
fn shown(text: &str) -> String {
    crate::shown(&text.chars().take(40).collect::<String>()).into_owned()
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.level == 0 {
            return f.pad("root");
        }
        let digits: String = (0..self.level).map(|index| char::from(b'0' + self.digit(index))).collect();
        f.pad(&digits)
    }
}

impl fmt::Debug for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tile({self})")
    }
}

impl FromStr for Tile {
    type Err = Error;

    /// Parses up to 31 quadkey digits; `root` and the empty text are the root.
    fn from_str(text: &str) -> Result<Tile> {
        if text == "root" {
            return Ok(Tile::ROOT);
        }
        let mut position = 0;
        for byte in text.bytes() {
            if !matches!(byte, b'0'..=b'3') || text.len() > usize::from(Tile::MAX_LEVEL) {
                return Err(not_a_quadkey(text));
            }
            position = position << 2 | u64::from(byte - b'0');
        }
        Ok(Tile::from_morton(text.len() as u8, position))
    }
}

/// The error for a text that is not a quadkey, with a hint where it is a HERE tile id.
fn not_a_quadkey(text: &str) -> Error {
    let rule = format!("`{}` is not a tile: expected at most 31 quadkey digits 0 to 3, or `root`", shown(text));
    match Tile::parse_here_id(text) {
        Ok(tile) => {
            Error::new(format!("{rule}; as a HERE tile id it is written `here:{text}`, which is tile `{tile}`"))
        }
        Err(_) => Error::new(rule),
    }
}

impl TryFrom<String> for Tile {
    type Error = Error;
    fn try_from(text: String) -> Result<Tile> {
        text.parse()
    }
}

impl From<Tile> for String {
    fn from(tile: Tile) -> String {
        tile.to_string()
    }
}
