//! The descriptions as their authors write them, with the irregularities of four years of manual editing.

use deltic::prelude::*;
use serde::{Deserialize, Deserializer};

/// A feed's description.
#[derive(Debug, Deserialize)]
pub(super) struct Feed {
    #[serde(rename = "mdb_source_id")]
    pub(super) id: u64,
    pub(super) data_type: String,
    pub(super) provider: String,
    pub(super) name: Option<String>,
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) location: Location,
    /// The schedule feeds that a realtime feed belongs to.
    #[serde(default, deserialize_with = "ids")]
    pub(super) static_reference: Vec<String>,
}

impl Feed {
    /// Reads a description. Some have a field twice: the last one counts.
    pub(super) fn read(input: &Input) -> Result<Feed> {
        let value: serde_json::Value = input.json()?;
        Ok(serde_json::from_value(value)?)
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Location {
    pub(super) country_code: Option<String>,
    pub(super) subdivision_name: Option<String>,
    bounding_box: Option<Corners>,
}

#[derive(Debug, Deserialize)]
struct Corners {
    minimum_latitude: Option<f64>,
    maximum_latitude: Option<f64>,
    minimum_longitude: Option<f64>,
    maximum_longitude: Option<f64>,
}

impl Location {
    /// The area that is served; many feeds do not state it.
    ///
    /// A box whose west lies east of its east crosses the antimeridian, unless it would then go round more than half of
    /// the world: such a box has its corners swapped.
    pub(super) fn area(&self) -> Result<Option<BoundingBox>> {
        let Some(corners) = &self.bounding_box else { return Ok(None) };
        let (Some(south), Some(north), Some(west), Some(east)) =
            (corners.minimum_latitude, corners.maximum_latitude, corners.minimum_longitude, corners.maximum_longitude)
        else {
            return Ok(None);
        };
        let swapped = west > east && west - east < 180.0;
        let (west, east) = if swapped { (east, west) } else { (west, east) };
        Ok(Some(BoundingBox::new(south, west, north, east)?))
    }
}

/// References were written as one number, as numbers, and as texts.
fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(u64),
        Text(String),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ids {
        One(Id),
        Many(Vec<Id>),
    }
    let text = |id| match id {
        Id::Number(number) => number.to_string(),
        Id::Text(text) => text.trim().to_owned(),
    };
    Ok(match Option::<Ids>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Ids::One(id)) => vec![text(id)],
        Some(Ids::Many(ids)) => ids.into_iter().map(text).filter(|id| !id.is_empty()).collect(),
    })
}
