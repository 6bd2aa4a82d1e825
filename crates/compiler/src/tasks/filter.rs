//! Filters: which inputs a task compiles. Other inputs make no outputs, as if they did not exist. They can still be read through the
//! context.
//!
//! A filter is data, so it can be part of a configuration. It is also part of the fingerprint of its task:
//!
//! ```toml
//! [filters.coverage]
//! all = [
//!     { box = { south = 46.9, west = 7.4, north = 47.0, east = 7.5, generic = true } },
//!     { not = { allow = { layers = ["in/names"], partitions = ["test"] } } },
//!     { custom = "recent" },
//! ]
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use deltic_core::{BoundingBox, Grid, Key, Layer, LayerRef, Scheme, Tile};
use serde::{Deserialize, Serialize};

/// Which inputs a task compiles.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// Those that one of these filters takes; none if the list is empty.
    Any(Vec<Filter>),
    /// Those that all of these filters take; all if the list is empty.
    All(Vec<Filter>),
    /// Those that this filter does not take.
    Not(Box<Filter>),
    /// Those that are listed.
    Allow(Allow),
    /// Tiles that a box has points in.
    Box(InBox),
    /// Those that a function takes, registered by [`Setup::filter`](crate::Setup::filter).
    Custom(Custom),
}

/// A list of inputs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Inputs in these layers, `catalog/layer` or `layer`; without it, in all layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<BTreeSet<LayerName>>,
    /// Inputs with these names; tiles as quadkey digits, or as `here:` and a HERE tile id; without it, with any name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<BTreeSet<String>>,
}

/// A layer as its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerName(pub LayerRef);

/// A box in degrees. If its west is greater than its east, it crosses the antimeridian.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Edges", into = "Edges")]
pub struct InBox {
    bounds: BoundingBox,
    generic: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edges {
    south: f64,
    west: f64,
    north: f64,
    east: f64,
    #[serde(default)]
    generic: bool,
}

/// A function, by its name.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Custom {
    name: String,
    takes: Option<Takes>,
}

/// Decides whether a key is taken. Must depend on the key alone.
pub(crate) type Takes = Arc<dyn Fn(&Key) -> bool + Send + Sync>;

impl Filter {
    /// A filter as a function. Its name is part of the fingerprint; the function counts as the task's code.
    pub fn custom(name: &str, takes: impl Fn(&Key) -> bool + Send + Sync + 'static) -> Filter {
        Filter::Custom(Custom { name: name.to_owned(), takes: Some(Arc::new(takes)) })
    }

    /// Whether an input of a layer is compiled. A custom filter without a registered function takes nothing.
    pub fn matches(&self, key: &Key, layer: &Layer) -> bool {
        match self {
            Filter::Any(filters) => filters.iter().any(|filter| filter.matches(key, layer)),
            Filter::All(filters) => filters.iter().all(|filter| filter.matches(key, layer)),
            Filter::Not(filter) => !filter.matches(key, layer),
            Filter::Allow(allow) => allow.matches(key),
            Filter::Box(in_box) => in_box.matches(key, layer),
            Filter::Custom(custom) => custom.takes.as_ref().is_some_and(|takes| takes(key)),
        }
    }

    /// Finds the functions of all custom filters. The error is the name of the first that has none.
    pub(crate) fn resolve(&mut self, find: &dyn Fn(&str) -> Option<Takes>) -> Result<(), String> {
        match self {
            Filter::Any(filters) | Filter::All(filters) => filters.iter_mut().try_for_each(|one| one.resolve(find)),
            Filter::Not(filter) => filter.resolve(find),
            Filter::Allow(_) | Filter::Box(_) => Ok(()),
            Filter::Custom(Custom { takes: Some(_), .. }) => Ok(()),
            Filter::Custom(Custom { name, takes }) => {
                *takes = find(name);
                if takes.is_some() { Ok(()) } else { Err(name.clone()) }
            }
        }
    }
}

impl Allow {
    fn matches(&self, key: &Key) -> bool {
        let in_layer = self.layers.as_ref().is_none_or(|layers| layers.iter().any(|layer| layer.0 == key.layer));
        in_layer
            && self.partitions.as_ref().is_none_or(|partitions| {
                let by_id = |tile: Tile| partitions.contains(&format!("here:{}", tile.here_id()));
                partitions.contains(&key.name.to_string()) || key.name.tile().is_some_and(by_id)
            })
    }
}

impl InBox {
    /// A box that takes no generic partitions.
    pub fn new(bounds: BoundingBox) -> InBox {
        InBox { bounds, generic: false }
    }

    /// Takes all generic partitions too, which have no place.
    #[must_use]
    pub fn and_generic(self) -> InBox {
        InBox { generic: true, ..self }
    }

    /// The box.
    pub fn bounds(&self) -> &BoundingBox {
        &self.bounds
    }

    /// Whether the box has a point in a tile.
    pub fn reaches(&self, grid: Grid, tile: Tile) -> bool {
        // In each direction a tile is an interval. So if the box has a point in the tile, the box's point nearest to the tile's middle
        // is such a point.
        let Ok((longitude, latitude)) = grid.center(tile) else {
            return false;
        };
        let bounds = &self.bounds;
        let latitude = latitude.clamp(bounds.south(), bounds.north());
        let nearest = if bounds.crosses_antimeridian() {
            [longitude.max(bounds.west()), longitude.min(bounds.east())]
        } else {
            [longitude.clamp(bounds.west(), bounds.east()); 2]
        };
        // The box may end at longitude 180, which belongs to the first column in some grids.
        nearest
            .into_iter()
            .chain([bounds.west(), bounds.east()])
            .any(|longitude| grid.tile_at(tile.level(), longitude, latitude).is_ok_and(|at| at == tile))
    }

    fn matches(&self, key: &Key, layer: &Layer) -> bool {
        match (&layer.scheme, key.name.tile()) {
            (Scheme::Tile(grid, _), Some(tile)) => self.reaches(*grid, tile),
            _ => self.generic,
        }
    }
}

impl TryFrom<Edges> for InBox {
    type Error = deltic_core::Error;

    fn try_from(edges: Edges) -> Result<InBox, deltic_core::Error> {
        let Edges { south, west, north, east, generic } = edges;
        Ok(InBox { bounds: BoundingBox::new(south, west, north, east)?, generic })
    }
}

impl From<InBox> for Edges {
    fn from(InBox { bounds, generic }: InBox) -> Edges {
        let (south, west) = (bounds.south(), bounds.west());
        Edges { south, west, north: bounds.north(), east: bounds.east(), generic }
    }
}

impl TryFrom<String> for LayerName {
    type Error = deltic_core::Error;

    fn try_from(text: String) -> Result<LayerName, deltic_core::Error> {
        LayerRef::parse(&text).map(LayerName)
    }
}

impl From<LayerName> for String {
    fn from(name: LayerName) -> String {
        name.0.to_string()
    }
}

impl From<String> for Custom {
    fn from(name: String) -> Custom {
        Custom { name, takes: None }
    }
}

impl From<Custom> for String {
    fn from(custom: Custom) -> String {
        custom.name
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Custom({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use deltic_core::Name;

    use super::*;

    fn filter(json: &str) -> Filter {
        serde_json::from_str(json).unwrap()
    }

    fn takes(filter: &Filter, layer: &str, settings: &Layer, name: &str) -> bool {
        let key = Key { layer: LayerRef::parse(layer).unwrap(), name: settings.parse_name(name).unwrap() };
        filter.matches(&key, settings)
    }

    #[test]
    fn lists_and_their_combinations() {
        let names = Layer::generic("names").unwrap();
        let of = |json: &str, layer: &str, name: &str| takes(&filter(json), layer, &names, name);
        let listed = r#"{"allow": {"layers": ["in/names"], "partitions": ["a", "b"]}}"#;
        assert!(of(listed, "in/names", "a") && !of(listed, "in/names", "c") && !of(listed, "names", "a"));
        assert!(of(r#"{"allow": {}}"#, "in/names", "a") && !of(r#"{"allow": {"layers": []}}"#, "in/names", "a"));
        assert!(of(r#"{"allow": {"partitions": ["a"]}}"#, "x", "a"));
        let not = format!(r#"{{"not": {listed}}}"#);
        assert!(!of(&not, "in/names", "a") && of(&not, "in/names", "c"));
        let both = |kind: &str| format!(r#"{{"{kind}": [{listed}, {{"allow": {{"partitions": ["b", "c"]}}}}]}}"#);
        let which = |kind: &str| ["a", "b", "c", "d"].map(|name| of(&both(kind), "in/names", name));
        assert_eq!(which("any"), [true, true, true, false]);
        assert_eq!(which("all"), [false, true, false, false]);
        assert!(of(r#"{"all": []}"#, "x", "a") && !of(r#"{"any": []}"#, "x", "a"));
    }

    #[test]
    fn boxes_take_tiles_and_generic_partitions_if_asked() {
        let tiles = Layer::tiles("tiles", Grid::Here, 0..=20).unwrap();
        let names = Layer::generic("names").unwrap();
        let inside = filter(r#"{"box": {"south": 1, "west": 1, "north": 2, "east": 2}}"#);
        let generic = filter(r#"{"box": {"south": 1, "west": 1, "north": 2, "east": 2, "generic": true}}"#);
        // The level-1 tile that longitude 1, latitude 1 lies in, and its neighbour.
        let at = Grid::Here.tile_at(1, 1.0, 1.0).unwrap();
        let other = Grid::Here.tile_at(1, -1.0, 1.0).unwrap();
        for filter in [&inside, &generic] {
            assert!(takes(filter, "in/tiles", &tiles, &Name::Tile(at).to_string()));
            assert!(!takes(filter, "in/tiles", &tiles, &Name::Tile(other).to_string()));
        }
        assert!(!takes(&inside, "in/names", &names, "a") && takes(&generic, "in/names", &names, "a"));
        let by_id = filter(&format!(r#"{{"allow": {{"partitions": ["here:{}"]}}}}"#, at.here_id()));
        assert!(takes(&by_id, "in/tiles", &tiles, &Name::Tile(at).to_string()));
    }

    #[test]
    fn code_is_found_by_name() {
        let names = Layer::generic("names").unwrap();
        let mut short = filter(r#"{"not": {"any": [{"custom": "long"}]}}"#);
        assert_eq!(short.resolve(&|_| None), Err("long".to_owned()));
        short
            .resolve(&|name| (name == "long").then(|| -> Takes { Arc::new(|key| key.name.to_string().len() > 2) }))
            .unwrap();
        assert!(takes(&short, "in/names", &names, "ab") && !takes(&short, "in/names", &names, "abc"));
        assert_eq!(serde_json::to_string(&short).unwrap(), r#"{"not":{"any":[{"custom":"long"}]}}"#);
    }

    #[test]
    fn mistakes() {
        let wrong = |json: &str| serde_json::from_str::<Filter>(json).unwrap_err().to_string();
        assert!(wrong(r#"{"some": []}"#).starts_with("unknown variant `some`, expected one of `any`, `all`, `not`,"));
        assert!(wrong(r#"{"allow": {"layer": []}}"#).starts_with("unknown field `layer`, expected `layers` or"));
        assert!(wrong(r#"{"allow": {"layers": ["a b"]}}"#).starts_with("`a b` is not a layer id"));
        assert!(wrong(r#"{"box": {"south": 2, "west": 1, "north": 1, "east": 2}}"#).contains("upside down"));
        assert!(wrong(r#"{"box": {"south": 2, "west": 1, "north": 1}}"#).starts_with("missing field `east`"));
    }
}
