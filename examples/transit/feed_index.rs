//! `feeds-by-id`: the known facts about a feed, under the number by which others refer to it.

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

use super::model::Feed;

/// Groups all descriptions by feed number. Numbers should be unique but are not: an entry lists every file.
#[derive(Debug)]
pub struct FeedIndex;

/// The facts about a feed that others need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedLine {
    pub(super) file: String,
    pub(super) data_type: String,
    pub(super) provider: String,
    pub(super) name: Option<String>,
    pub(super) status: Option<String>,
    pub(super) country: Option<String>,
}

impl HasLayers for FeedIndex {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["transit/gtfs-realtime", "transit/gtfs-schedule"])
            .output_layers([Layer::generic("feeds-by-id")?.with_content_type("application/json")]))
    }
}

impl MapGroupCompiler for FeedIndex {
    type Value = FeedLine;

    fn compile_in(&self, input: &Input, out: &mut Emit<FeedLine>, _: &Context) -> Result<()> {
        let feed = Feed::read(input)?;
        let line = FeedLine {
            file: format!("{}/{}", input.key.layer.layer, input.name()),
            data_type: feed.data_type,
            provider: feed.provider,
            name: feed.name,
            status: feed.status,
            country: feed.location.country_code,
        };
        out.emit("feeds-by-id", feed.id.to_string(), line);
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, feeds: Values<FeedLine>, _: &Context) -> Result<Option<Payload>> {
        Ok(Some(Payload::from_json_pretty(&feeds.collect::<Vec<_>>())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_goes_under_its_number() {
        let fixture = Fixture::new(&FeedIndex).unwrap();
        let json =
            r#"{"mdb_source_id": 7, "data_type": "gtfs", "provider": "Rhb", "location": {"country_code": "CH"}}"#;
        let input = fixture.input("transit/gtfs-schedule", "ch-rhb.json", json).unwrap();
        let mut out = Emit::new(fixture.outputs());
        FeedIndex.compile_in(&input, &mut out, &fixture.context()).unwrap();
        let rows = out.into_rows().unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].0, OutKey::new("feeds-by-id", "7").unwrap());
        assert_eq!(rows[0].1.file, "gtfs-schedule/ch-rhb.json");
    }
}
