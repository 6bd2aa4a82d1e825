//! Tiles as names of files: written by `export`, read by `import`.
//!
//! A name that can be read in two forms is refused unless `--names` states the form. The other names of a source never decide
//! the form: otherwise a tile could change its place when another file is added or removed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use deltic_core::{Error, Grid, Layer, Name, Result, Scheme, Tile};

use crate::terminal::failure::{Failure, Outcome};

/// The form of tiles in the names of files. The extension is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TileNames {
    // Not doc comments: these would make a paragraph of each value in the help.
    Quadkey,
    Here,
    Xyz,
}

impl TileNames {
    /// Checks that the tiles of a layer can be written in this form.
    pub(crate) fn check(self, layer: &Layer) -> Outcome {
        match (self, &layer.scheme) {
            (TileNames::Xyz, Scheme::Tile(Grid::Here, _)) => Err(Failure::usage(format!(
                "layer `{}` is {}: --names xyz is for tiles of the mercator grid",
                layer.id, layer.scheme
            ))),
            (_, Scheme::Tile(..)) => Ok(()),
            (_, Scheme::Generic) => {
                Err(Failure::usage(format!("layer `{}` is generic: --names is for tiles, and it has none", layer.id)))
            }
        }
    }

    /// The path of a tile's file.
    pub(crate) fn write(self, tile: Tile) -> String {
        match self {
            TileNames::Quadkey => tile.to_string(),
            TileNames::Here => tile.here_id().to_string(),
            TileNames::Xyz => format!("{}/{}/{}", tile.level(), tile.x(), tile.y()),
        }
    }

    /// The name of this form in messages.
    fn what(self) -> &'static str {
        match self {
            TileNames::Quadkey => "a quadkey",
            TileNames::Here => "a HERE tile id",
            TileNames::Xyz => "z/x/y",
        }
    }

    /// The tile of a file, if it is legal in the layer.
    fn read(self, layer: &Layer, file: &str) -> Result<Name> {
        let name = self.parse(file)?;
        layer.check_put(&name)?;
        Ok(name)
    }

    /// The tile of a file, whether or not it is legal in the layer.
    fn parse(self, file: &str) -> Result<Name> {
        let stem = stem(file)?;
        Ok(Name::Tile(match (self, stem.strip_prefix("here:")) {
            (_, Some(id)) => Tile::parse_here_id(id)?,
            (TileNames::Quadkey, None) => stem.parse()?,
            (TileNames::Here, None) => Tile::parse_here_id(stem)?,
            (TileNames::Xyz, None) => xyz(file, stem)?,
        }))
    }
}

impl fmt::Display for TileNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TileNames::Quadkey => "quadkey",
            TileNames::Here => "here",
            TileNames::Xyz => "xyz",
        })
    }
}

/// Reads the names of one source's files.
pub(crate) struct Names<'a> {
    layer: &'a Layer,
    asked: Option<TileNames>,
    /// Without a stated form: the form of the first file that has only one, and that file.
    first: Option<(TileNames, String)>,
    /// The file of each tile. In a generic layer, the name is the file.
    files: HashMap<Name, String>,
}

/// Why a file gives no name, and a hint.
#[derive(Debug)]
pub(crate) struct NoName {
    pub(crate) why: String,
    pub(crate) hint: Option<String>,
}

impl<'a> Names<'a> {
    /// Reads names for a layer, in the form that was stated, if any.
    pub(crate) fn new(layer: &'a Layer, asked: Option<TileNames>) -> Names<'a> {
        Names { layer, asked, first: None, files: HashMap::new() }
    }

    /// The name of the partition that a file becomes. Two files of one partition are an error.
    pub(crate) fn read(&mut self, file: &str) -> std::result::Result<Name, NoName> {
        let plain = |error: Error| NoName { why: error.to_string(), hint: None };
        let name = match (&self.layer.scheme, self.asked) {
            (Scheme::Generic, _) => return self.layer.parse_name(file).map_err(plain),
            (Scheme::Tile(..), Some(names)) => names.read(self.layer, file).map_err(plain)?,
            (Scheme::Tile(grid, _), None) => self.guess(*grid, file)?,
        };
        match self.files.entry(name.clone()) {
            Entry::Vacant(entry) => drop(entry.insert(file.to_owned())),
            Entry::Occupied(other) => {
                let why = format!("it is tile `{name}`, and so is `{}`: a tile can have only one file", other.get());
                return Err(NoName { why, hint: None });
            }
        }
        Ok(name)
    }

    /// Reads a name that is a tile of the layer in one form only.
    fn guess(&mut self, grid: Grid, file: &str) -> std::result::Result<Name, NoName> {
        let ways = match grid {
            Grid::Here => &[TileNames::Quadkey, TileNames::Here][..],
            Grid::Mercator => &[TileNames::Quadkey, TileNames::Here, TileNames::Xyz],
        };
        let read = |names: &TileNames| names.read(self.layer, file).ok().map(|name| (*names, name));
        let found: Vec<(TileNames, Name)> = ways.iter().filter_map(read).collect();
        let Some((_, name)) = found.first() else {
            // If it is a tile that is not legal in the layer, that is the error.
            let not_taken =
                |names: &TileNames| names.parse(file).ok().and_then(|name| self.layer.check_put(&name).err());
            let error = ways.iter().find_map(not_taken).or_else(|| TileNames::Quadkey.parse(file).err());
            let is_word = stem(file).is_ok() && ways.iter().all(|names| names.parse(file).is_err());
            let forms = "tiles are named by quadkeys or HERE tile ids, in the mercator grid also by z/x/y";
            let why = error.map(|error| error.to_string()).unwrap_or_default();
            return Err(NoName { why, hint: is_word.then(|| forms.to_owned()) });
        };
        if found.iter().any(|(_, other)| other != name) {
            let reading = |(names, name): &(TileNames, Name)| {
                let level = name.tile().map(Tile::level).unwrap_or_default();
                format!("as {} it is tile `{name}` of level {level}", names.what())
            };
            let ways: Vec<String> = found.iter().map(|(names, _)| format!("--names {names}")).collect();
            return Err(NoName {
                why: format!(
                    "it can be read in several forms: {}",
                    found.iter().map(reading).collect::<Vec<_>>().join(", ")
                ),
                hint: Some(format!("state the form of the tiles in the source: {}", ways.join(" or "))),
            });
        }
        // It is the same tile in every form. If it is a tile in only one form, all names must have that form.
        if let ([(names, _)], false) = (&found[..], is_marked(file)) {
            match &self.first {
                Some((first, other)) if first != names => {
                    return Err(NoName {
                        why: format!("it is a tile only as {}, but `{}` only as {}", names.what(), other, first.what()),
                        hint: Some("all tiles of a source must have one form".to_owned()),
                    });
                }
                Some(_) => {}
                None => self.first = Some((*names, file.to_owned())),
            }
        }
        Ok(name.clone())
    }
}

/// A file's own name without its extension.
fn stem(file: &str) -> Result<&str> {
    let last = file.rsplit('/').next().unwrap_or(file);
    if last.starts_with('.') || last.is_empty() {
        return Err(Error::new("a hidden file is no tile: remove it, or keep it outside of the source"));
    }
    Ok(last.rsplit_once('.').map_or(last, |(stem, _)| stem))
}

/// Whether the name of a file is marked as a HERE tile id.
fn is_marked(file: &str) -> bool {
    stem(file).is_ok_and(|stem| stem.starts_with("here:"))
}

/// The tile of a file whose path ends in level, column and row.
fn xyz(file: &str, row: &str) -> Result<Tile> {
    let mut folders = file.rsplit('/').skip(1);
    let (column, level) = (folders.next(), folders.next());
    let number = |text: Option<&str>| -> Option<u32> {
        let text = text?;
        let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse().ok().filter(|_| canonical)
    };
    match (number(level).and_then(|level| u8::try_from(level).ok()), number(column), number(Some(row))) {
        (Some(level), Some(column), Some(row)) => Tile::new(level, column, row),
        _ => Err(Error::new("its path does not end in level, column and row, as `8/130/88.pbf` does")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(layer: &Layer, asked: Option<TileNames>, file: &str) -> std::result::Result<String, NoName> {
        Names::new(layer, asked).read(file).map(|name| name.to_string())
    }

    #[test]
    fn names_are_read_as_they_were_written() {
        for layer in [Grid::Here, Grid::Mercator].map(|grid| Layer::tiles("t", grid, 0..=31).unwrap()) {
            let at = Grid::tile_at(
                if layer.scheme.to_string().contains("here") { Grid::Here } else { Grid::Mercator },
                31,
                7.4,
                46.9,
            );
            for level in 0..=31 {
                let tile = at.clone().unwrap().ancestor(level).unwrap();
                for names in [TileNames::Quadkey, TileNames::Here, TileNames::Xyz] {
                    if names.check(&layer).is_ok() {
                        let path = names.write(tile);
                        for file in [path.clone(), format!("a/b/{path}.pbf")] {
                            assert_eq!(read(&layer, Some(names), &file).unwrap(), tile.to_string(), "{names} {file}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_can_be_two_tiles_is_none() {
        let layer = Layer::tiles("t", Grid::Mercator, 0..=8).unwrap();
        let failed = read(&layer, None, "8/130/88.pbf").unwrap_err();
        let all = "as a HERE tile id it is tile `120` of level 3, as z/x/y it is tile `12022010` of level 8";
        assert!(failed.why.ends_with(all), "{}", failed.why);
        assert!(failed.hint.unwrap().ends_with("--names here or --names xyz"));
        assert_eq!(read(&layer, Some(TileNames::Xyz), "8/130/88.pbf").unwrap(), "12022010");
        // With one level, only one form is legal.
        let layer = Layer::tiles("t", Grid::Mercator, [8]).unwrap();
        assert_eq!(read(&layer, None, "8/130/88.pbf").unwrap(), "12022010");
        // Two forms that give the same tile are no ambiguity.
        let layer = Layer::tiles("t", Grid::Mercator, [1]).unwrap();
        assert_eq!(read(&layer, None, "1/0/0.pbf").unwrap(), "0");
    }

    #[test]
    fn a_tile_is_one_file() {
        let layer = Layer::tiles("t", Grid::Mercator, 0..=31).unwrap();
        let mut names = Names::new(&layer, Some(TileNames::Quadkey));
        assert!(names.read("a/0123.json").is_ok() && names.read("0122.json").is_ok());
        for file in ["a/0123.json", "b/0123.pbf", "here:283"] {
            let failed = names.read(file).unwrap_err();
            assert_eq!(
                failed.why, "it is tile `0123`, and so is `a/0123.json`: a tile can have only one file",
                "{file}"
            );
        }
    }

    #[test]
    fn ids_that_are_too_large_are_errors() {
        let layer = Layer::tiles("t", Grid::Mercator, 0..=31).unwrap();
        let largest = (1u64 << 63) - 1;
        assert!(read(&layer, Some(TileNames::Here), &format!("{largest}.pbf")).is_ok());
        for id in [(1u64 << 63).to_string(), u64::MAX.to_string(), "99999999999999999999".to_owned()] {
            let failed = read(&layer, Some(TileNames::Here), &id).unwrap_err();
            let why = format!("`{id}` is not a HERE tile id: it is too large: the ids of level 31 end at {largest}");
            assert_eq!(failed.why, why);
        }
        assert!(read(&layer, Some(TileNames::Here), "+1").unwrap_err().why.ends_with("expected a decimal number"));
    }

    #[test]
    fn only_tiles_of_the_layer_are_read() {
        let layer = Layer::tiles("t", Grid::Here, [4]).unwrap();
        let mercator = Layer::tiles("t", Grid::Mercator, 0..=31).unwrap();
        for (layer, names, file) in [
            (&layer, TileNames::Quadkey, "2222"),
            (&layer, TileNames::Here, "426"),
            (&layer, TileNames::Here, "here:426"),
            (&layer, TileNames::Quadkey, "here:426"),
            (&layer, TileNames::Quadkey, ".1202"),
            (&layer, TileNames::Quadkey, "sub/.gitkeep"),
            (&mercator, TileNames::Quadkey, ""),
            (&mercator, TileNames::Quadkey, "a/"),
            (&mercator, TileNames::Quadkey, ".DS_Store"),
            (&mercator, TileNames::Quadkey, "8/130/88"),
            (&mercator, TileNames::Xyz, "0123"),
            (&mercator, TileNames::Xyz, "8/130/088"),
            (&mercator, TileNames::Xyz, "8/+130/88"),
            (&mercator, TileNames::Xyz, "8/256/88"),
            (&mercator, TileNames::Xyz, "32/0/0"),
            (&mercator, TileNames::Xyz, "8/130/88@2x.png"),
            (&mercator, TileNames::Xyz, "264/0/0"),
        ] {
            assert!(read(layer, Some(names), file).is_err(), "{names} {file}");
            let is_other = names == TileNames::Xyz || file == "8/130/88";
            assert!(is_other || read(layer, None, file).is_err(), "{file}");
        }
    }
}
