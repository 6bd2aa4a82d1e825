//! Grids: where tiles lie on Earth.
//!
//! | grid | square of level 0 | rows count from | a point on an edge belongs to the tile in the |
//! |---|---|---|---|
//! | [`Grid::Here`] | WGS84 degrees, 360 by 360, south-west corner at -180, -90 | the south | north and east |
//! | [`Grid::Mercator`] | web map tiles: the Mercator projection between ±85.0511° | the north | south and east |
//!
//! Invariant: nothing here depends on the machine. The edges of columns, and of rows in the `here` grid, are exact in an `f64`. The
//! Mercator projection needs functions whose last bit differs between systems, so it takes them from `libm`, which computes them with
//! IEEE basic operations only. [`Grid::tile_at`] compares points with the edges of tiles, so it always agrees with [`Grid::bounds`].

use std::f64::consts::PI;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::tile::check_level;
use crate::{Error, Result, Tile};

/// Where tiles lie on Earth. Text form: `here`, `mercator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grid {
    /// WGS84 longitude and latitude; the square of level 0 is 360 degrees wide and high, so tiles in its northern
    /// half, digits 2 and 3 at level 1, lie beyond the pole and hold no point of Earth. Longitude 180 is -180.
    Here,
    /// Web map tiles. Latitudes beyond ±85.0511° belong to the outermost rows, longitude 180 to the last column.
    Mercator,
}

/// A box of longitudes and latitudes in degrees, its edges included.
///
/// A box whose west is greater than its east crosses the antimeridian. Longitudes 180 and -180 are the same meridian,
/// but are taken as the two ends of the map: a box from 170 to 180 does not hold -180.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundingBox {
    south: f64,
    west: f64,
    north: f64,
    east: f64,
}

impl BoundingBox {
    /// All of Earth.
    pub const WORLD: BoundingBox = BoundingBox { south: -90.0, west: -180.0, north: 90.0, east: 180.0 };

    /// Checks and takes the edges, in degrees. A box may be a line or a point.
    pub fn new(south: f64, west: f64, north: f64, east: f64) -> Result<BoundingBox> {
        let edges = [("south", south, 90.0), ("west", west, 180.0), ("north", north, 90.0), ("east", east, 180.0)];
        for (edge, value, limit) in edges {
            check_degrees(&format!("bounding box: {edge}"), value, limit)?;
        }
        if south > north {
            return Err(Error::new(format!("bounding box is upside down: south {south} is north of north {north}")));
        }
        Ok(BoundingBox { south, west, north, east })
    }

    /// The southern edge: a latitude, -90 to 90.
    pub fn south(&self) -> f64 {
        self.south
    }

    /// The western edge: a longitude, -180 to 180.
    pub fn west(&self) -> f64 {
        self.west
    }

    /// The northern edge: a latitude, -90 to 90, at least the southern one.
    pub fn north(&self) -> f64 {
        self.north
    }

    /// The eastern edge: a longitude, -180 to 180; less than the western one if the box crosses the antimeridian.
    pub fn east(&self) -> f64 {
        self.east
    }

    /// Whether the box crosses the antimeridian.
    pub fn crosses_antimeridian(&self) -> bool {
        self.west > self.east
    }

    /// Whether a point lies in the box or on its edge.
    pub fn contains(&self, longitude: f64, latitude: f64) -> bool {
        let (from_west, to_east) = (self.west <= longitude, longitude <= self.east);
        let within = if self.crosses_antimeridian() { from_west || to_east } else { from_west && to_east };
        within && longitude.abs() <= 180.0 && self.south <= latitude && latitude <= self.north
    }

    /// Whether two boxes have a point in common; touching edges do.
    pub fn intersects(&self, other: &BoundingBox) -> bool {
        // Two stretches of a circle meet if and only if one of them holds the western end of the other.
        let meridian = |of: &BoundingBox, longitude| of.contains(longitude, of.south);
        (meridian(self, other.west) || meridian(other, self.west))
            && self.south <= other.north
            && other.south <= self.north
    }
}

impl Grid {
    /// The tile of a level that a point is in. Longitude -180 to 180 and latitude -90 to 90, in degrees.
    pub fn tile_at(self, level: u8, longitude: f64, latitude: f64) -> Result<Tile> {
        check_level(level)?;
        check_degrees("longitude", longitude, 180.0)?;
        check_degrees("latitude", latitude, 90.0)?;
        Ok(Tile::at(level, self.column(level, longitude), self.row(level, latitude)))
    }

    /// Whether every tile of the grid holds a point of Earth.
    pub fn is_all_on_earth(self) -> bool {
        // The square of level 0 is the only one that lies on both sides of the pole.
        self.last_row(1) == 1
    }

    /// Whether a tile holds a point of Earth: in the `here` grid those beyond the pole do not.
    pub fn is_on_earth(self, tile: Tile) -> bool {
        tile.y() <= self.last_row(tile.level())
    }

    /// The edges of a tile. In the `here` grid the tile of level 0 ends at the poles, and tiles beyond the pole are an error. In the
    /// `mercator` grid the outermost rows end at ±85.0511°, although [`Grid::tile_at`] also puts points beyond that into them.
    pub fn bounds(self, tile: Tile) -> Result<BoundingBox> {
        self.check_on_earth(tile)?;
        let (level, x, y) = (tile.level(), tile.x(), tile.y());
        let (south, north) = match self {
            Grid::Here => (here_latitude(level, y), here_latitude(level, y + 1).min(90.0)),
            Grid::Mercator => (mercator_latitude(level, y + 1), mercator_latitude(level, y)),
        };
        Ok(BoundingBox { south, west: edge_longitude(level, x), north, east: edge_longitude(level, x + 1) })
    }

    /// The longitude and latitude of a tile's middle, as the grid's map shows it: in the `mercator` grid the point
    /// where its four children meet. Tiles beyond the pole are an error, as in [`Grid::bounds`].
    pub fn center(self, tile: Tile) -> Result<(f64, f64)> {
        let bounds = self.bounds(tile)?;
        let latitude = match self {
            Grid::Here => (bounds.south + bounds.north) / 2.0,
            Grid::Mercator => mercator_latitude(tile.level() + 1, 2 * tile.y() + 1),
        };
        Ok(((bounds.west + bounds.east) / 2.0, latitude))
    }

    /// The columns of a level in which a box has points, as one or two ranges, ascending and apart.
    pub(crate) fn columns(self, area: &BoundingBox, level: u8) -> Vec<RangeInclusive<u32>> {
        let (west, east) = (self.column(level, area.west), self.column(level, area.east));
        let last = (1u32 << level) - 1;
        // In the `here` grid longitude 180 belongs to the first column: a box that ends there has a point in it.
        let starts_over = self == Grid::Here && area.west == 180.0;
        let ends_over = self == Grid::Here && area.east == 180.0;
        match (area.crosses_antimeridian() || ends_over) && !starts_over {
            true if u64::from(east) + 1 >= u64::from(west) => vec![0..=last],
            true => vec![0..=east, west..=last],
            false => vec![west..=east],
        }
    }

    /// The rows of a level in which a box has points.
    pub(crate) fn rows(self, area: &BoundingBox, level: u8) -> RangeInclusive<u32> {
        let (south, north) = (self.row(level, area.south), self.row(level, area.north));
        south.min(north)..=south.max(north)
    }

    /// The column of a longitude, which must be in range.
    fn column(self, level: u8, longitude: f64) -> u32 {
        let longitude = if self == Grid::Here && longitude == 180.0 { -180.0 } else { longitude };
        let guess = (longitude + 180.0) / 360.0 * side(level);
        correct(guess, (1u32 << level) - 1, |x| longitude < edge_longitude(level, x))
    }

    /// The row of a latitude, which must be in range.
    fn row(self, level: u8, latitude: f64) -> u32 {
        match self {
            Grid::Here => {
                let guess = (latitude + 90.0) / 360.0 * side(level);
                correct(guess, self.last_row(level), |y| latitude < here_latitude(level, y))
            }
            Grid::Mercator => {
                let guess = (1.0 - libm::asinh(libm::tan(latitude.to_radians())) / PI) / 2.0 * side(level);
                correct(guess, self.last_row(level), |y| latitude > mercator_latitude(level, y))
            }
        }
    }

    /// The last row of a level that holds a point of Earth.
    fn last_row(self, level: u8) -> u32 {
        match self {
            Grid::Here => (1 << level.saturating_sub(1)) - 1,
            Grid::Mercator => (1 << level) - 1,
        }
    }

    pub(crate) fn check_on_earth(self, tile: Tile) -> Result<()> {
        if self.is_on_earth(tile) {
            return Ok(());
        }
        Err(Error::new(format!(
            "tile `{tile}` lies beyond the north pole: rows of level {} in the {self} grid go from 0 to {}, not {}",
            tile.level(),
            self.last_row(tile.level()),
            tile.y()
        )))
    }
}

/// Corrects a guessed column or row, which may be wrong by rounding: the edges decide.
fn correct(guess: f64, last: u32, lies_before: impl Fn(u32) -> bool) -> u32 {
    // The cast saturates, so a guess just outside of the map becomes its edge.
    let mut index = (guess as u32).min(last);
    while index > 0 && lies_before(index) {
        index -= 1;
    }
    while index < last && !lies_before(index + 1) {
        index += 1;
    }
    index
}

/// How many columns a level has.
fn side(level: u8) -> f64 {
    (1u64 << level) as f64
}

/// The longitude of a column's western edge: exact, as a multiple of 45 divided by a power of two.
fn edge_longitude(level: u8, x: u32) -> f64 {
    f64::from(x) / side(level) * 360.0 - 180.0
}

/// The latitude of a row's southern edge in the `here` grid: exact, as [`edge_longitude`] is.
fn here_latitude(level: u8, y: u32) -> f64 {
    f64::from(y) / side(level) * 360.0 - 90.0
}

/// The latitude of a row's northern edge in the `mercator` grid. Two levels get the same number for an edge that they share.
fn mercator_latitude(level: u8, y: u32) -> f64 {
    let up = 1.0 - 2.0 * (f64::from(y) / side(level));
    libm::atan(libm::sinh(PI * up)).to_degrees()
}

/// Checks that a number of degrees is finite and at most `limit` away from 0.
fn check_degrees(what: &str, value: f64, limit: f64) -> Result<()> {
    if value.abs() <= limit {
        return Ok(());
    }
    Err(Error::new(format!("{what} {value} is out of range: -{limit} to {limit} degrees")))
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Grid::Here => "here",
            Grid::Mercator => "mercator",
        })
    }
}

impl FromStr for Grid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Grid> {
        match text {
            "here" => Ok(Grid::Here),
            "mercator" => Ok(Grid::Mercator),
            _ => Err(Error::new(format!("`{}` is not a grid: expected `here` or `mercator`", crate::shown(text)))),
        }
    }
}
