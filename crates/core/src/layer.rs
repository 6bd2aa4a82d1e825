//! Layer settings: which names are legal, and the content type.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, Error, Grid, Hasher, LayerId, Name, Result, Tile};

/// A layer's settings. Part of the catalog's digest: layers with different settings are different layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The layer's id.
    pub id: LayerId,
    /// Which names it takes.
    pub scheme: Scheme,
    /// The media type of its payloads; empty if it was not stated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
}

/// How a layer is partitioned. Text form: `generic`, `tile:here:12,14`, `tile:mercator:0-8`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scheme {
    /// Names are strings.
    Generic,
    /// Names are tiles of a grid, at these levels.
    Tile(Grid, Levels),
}

/// A set of tile levels, 0 to 31.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Levels(u32);

impl Layer {
    /// A layer whose names are strings.
    pub fn generic(id: &str) -> Result<Layer> {
        Ok(Layer { id: LayerId::new(id)?, scheme: Scheme::Generic, content_type: String::new() })
    }

    /// A layer whose names are tiles of `grid` at `levels`.
    pub fn tiles(id: &str, grid: Grid, levels: impl IntoIterator<Item = u8>) -> Result<Layer> {
        let scheme = Scheme::Tile(grid, Levels::new(levels)?);
        Ok(Layer { id: LayerId::new(id)?, scheme, content_type: String::new() })
    }

    /// Sets the media type of the payloads.
    pub fn with_content_type(mut self, content_type: &str) -> Layer {
        content_type.clone_into(&mut self.content_type);
        self
    }

    /// Checks that a name is legal in this layer: that it has the right kind, and a tile has one of the layer's levels.
    ///
    /// Accepts tiles beyond the pole: older programs have put some, and reading the neighbours of a tile asks for them too.
    /// [`Layer::check_put`] is stricter.
    pub fn check(&self, name: &Name) -> Result<()> {
        match (&self.scheme, name) {
            (Scheme::Generic, Name::Generic(_)) => Ok(()),
            (Scheme::Tile(_, levels), Name::Tile(tile)) if levels.contains(tile.level()) => Ok(()),
            (Scheme::Tile(_, levels), Name::Tile(tile)) => Err(Error::new(format!(
                "layer `{}` has no tiles of level {}: tile `{tile}` is outside its levels {levels}",
                self.id,
                tile.level()
            ))),
            (Scheme::Generic, Name::Tile(tile)) => {
                Err(Error::new(format!("layer `{}` is generic: tile `{tile}` can not be a name in it", self.id)))
            }
            (Scheme::Tile(..), Name::Generic(text)) => {
                Err(Error::new(format!("layer `{}` holds tiles: `{text}` can not be a name in it", self.id)))
            }
        }
    }

    /// Checks that a partition of this name may be put: that the name is legal in this layer, and a tile lies in its grid. In the `here` grid
    /// a level has twice as many columns as rows, and tiles beyond the pole do not lie in it.
    pub fn check_put(&self, name: &Name) -> Result<()> {
        self.check(name)?;
        match (&self.scheme, name) {
            (Scheme::Tile(grid, _), Name::Tile(tile)) => {
                grid.check_on_earth(*tile).map_err(|error| Error::new(format!("layer `{}`: {error}", self.id)))
            }
            _ => Ok(()),
        }
    }

    /// Parses a name as people write it: a string, quadkey digits, or `here:` and a decimal HERE tile id. The tile of level 0 is `root`,
    /// and never the empty text.
    pub fn parse_name(&self, text: &str) -> Result<Name> {
        let name = match (&self.scheme, text.strip_prefix("here:")) {
            (Scheme::Generic, _) => Name::generic(text)?,
            (Scheme::Tile(..), None) if text.is_empty() => {
                return Err(Error::new("a tile's name can not be empty: the tile of level 0 is `root`"));
            }
            (Scheme::Tile(..), Some(id)) => Name::Tile(Tile::parse_here_id(id)?),
            (Scheme::Tile(..), None) => Name::Tile(text.parse()?),
        };
        self.check(&name)?;
        Ok(name)
    }

    /// Parses the bytes of a name; fails when the name is not legal in this layer.
    pub fn name_from_bytes(&self, bytes: &[u8]) -> Result<Name> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::new("a partition name is not UTF-8"))?;
        let name = match self.scheme {
            Scheme::Generic => Name::generic(text)?,
            Scheme::Tile(..) => Name::Tile(text.parse()?),
        };
        self.check(&name)?;
        Ok(name)
    }

    /// The digest of the settings.
    pub fn digest(&self) -> Digest {
        Hasher::new("deltic layer 1")
            .text(self.id.as_str())
            .text(&self.scheme.to_string())
            .text(&self.content_type)
            .finish()
    }
}

impl Levels {
    /// The deepest level there is.
    pub const MAX: u8 = 31;

    /// Makes a set of one or more levels from 0 to 31.
    pub fn new(levels: impl IntoIterator<Item = u8>) -> Result<Levels> {
        let mut bits = 0u32;
        for level in levels {
            if level > Levels::MAX {
                return Err(Error::new(format!("tile level {level} is out of range: 0 to {}", Levels::MAX)));
            }
            bits |= 1 << level;
        }
        if bits == 0 {
            return Err(Error::new("a tile layer needs at least one level"));
        }
        Ok(Levels(bits))
    }

    /// Whether a level is in the set.
    pub fn contains(self, level: u8) -> bool {
        level <= Levels::MAX && self.0 & (1 << level) != 0
    }

    /// The levels, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..=Levels::MAX).filter(move |level| self.contains(*level))
    }

    /// The runs of neighbouring levels, ascending.
    fn runs(self) -> Vec<RangeInclusive<u8>> {
        let mut runs: Vec<RangeInclusive<u8>> = Vec::new();
        for level in self.iter() {
            match runs.last_mut() {
                Some(run) if *run.end() + 1 == level => *run = *run.start()..=level,
                _ => runs.push(level..=level),
            }
        }
        runs
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, run) in self.runs().iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match (run.start(), run.end()) {
                (start, end) if start == end => write!(f, "{comma}{start}")?,
                (start, end) => write!(f, "{comma}{start}-{end}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Levels({self})")
    }
}

impl FromStr for Levels {
    type Err = Error;

    /// Reads `12,14`, `0-8` and mixtures.
    fn from_str(text: &str) -> Result<Levels> {
        let bad =
            || Error::new(format!("`{text}` is not a list of tile levels: expected for example `12,14` or `0-8`"));
        let mut levels = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u8, u8) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
            if first > last {
                return Err(bad());
            }
            levels.extend(first..=last);
        }
        Levels::new(levels)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scheme::Generic => f.write_str("generic"),
            Scheme::Tile(grid, levels) => write!(f, "tile:{grid}:{levels}"),
        }
    }
}

impl FromStr for Scheme {
    type Err = Error;

    fn from_str(text: &str) -> Result<Scheme> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["generic"] => Ok(Scheme::Generic),
            ["tile", grid, levels] => Ok(Scheme::Tile(grid.parse()?, levels.parse()?)),
            _ => Err(Error::new(format!(
                "`{text}` is not a partitioning scheme: expected `generic` or for example `tile:here:12,14`"
            ))),
        }
    }
}

impl TryFrom<String> for Scheme {
    type Error = Error;
    fn try_from(text: String) -> Result<Scheme> {
        text.parse()
    }
}

impl From<Scheme> for String {
    fn from(scheme: Scheme) -> String {
        scheme.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_have_one_text_form() {
        for (text, canonical) in [
            ("generic", "generic"),
            ("tile:here:14,12", "tile:here:12,14"),
            ("tile:mercator:0-3,2,9", "tile:mercator:0-3,9"),
        ] {
            assert_eq!(text.parse::<Scheme>().unwrap().to_string(), canonical);
        }
        for bad in ["", "tile", "tile:here", "tile:mars:1", "tile:here:32", "tile:here:5-2", "tile:here:", "generic:1"]
        {
            assert!(bad.parse::<Scheme>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_checked_against_the_layer() {
        let tiles = Layer::tiles("t", Grid::Here, [2]).unwrap();
        assert!(tiles.parse_name("12").is_ok());
        assert!(tiles.parse_name("123").unwrap_err().to_string().contains("no tiles of level 3"));
        assert!(tiles.parse_name("x").is_err());
        let generic = Layer::generic("g").unwrap();
        assert_eq!(generic.parse_name("a/b").unwrap(), Name::generic("a/b").unwrap());
        assert!(generic.parse_name("a\nb").is_err());
        assert!(generic.check(&Name::Tile("12".parse().unwrap())).is_err());
        assert!(Layer::tiles("t", Grid::Here, [0]).unwrap().parse_name("").is_err(), "the empty text is not a tile");
    }

    /// Tiles beyond the pole can be read, since older catalogs have some, but they can not be put.
    #[test]
    fn only_tiles_on_earth_are_put() {
        let here = Layer::tiles("t", Grid::Here, 0..=31).unwrap();
        for level in 1..=31 {
            let last = (1u32 << (level - 1)) - 1;
            for x in [0, (1u32 << level) - 1] {
                let tile = |y| Name::Tile(Tile::new(level, x, y).unwrap());
                assert!(here.check_put(&tile(last)).is_ok(), "level {level}");
                let beyond = tile(last + 1);
                assert!(here.check_put(&beyond).unwrap_err().to_string().contains("beyond the north pole"));
                assert!(here.check(&beyond).is_ok());
                assert_eq!(here.name_from_bytes(&beyond.to_bytes()).unwrap(), beyond);
                let mercator = Layer::tiles("t", Grid::Mercator, 0..=31).unwrap();
                assert!(mercator.check_put(&beyond).is_ok() && mercator.check_put(&tile((1u32 << level) - 1)).is_ok());
            }
        }
        assert!(here.check_put(&Name::Tile(Tile::ROOT)).is_ok());
    }
}
