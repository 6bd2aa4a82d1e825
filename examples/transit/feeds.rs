//! `feeds`: each realtime feed with the schedule feeds it belongs to.

use deltic::prelude::*;
use serde::Serialize;

use super::feed_index::FeedLine;
use super::model::Feed;

/// Joins a realtime feed with its schedules, found by tracked reads in the layer that `feed-index` has just published. A
/// reference to a feed that does not exist is kept, and is resolved when the feed appears.
#[derive(Debug)]
pub struct Feeds;

#[derive(Serialize)]
struct Joined {
    provider: String,
    name: Option<String>,
    schedules: Vec<Schedule>,
}

#[derive(Serialize)]
struct Schedule {
    id: String,
    /// None where the reference dangles.
    feeds: Vec<FeedLine>,
}

impl HasLayers for Feeds {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["transit/gtfs-realtime"])
            .reference_layers(["feeds-by-id"])
            .output_layers([Layer::generic("feeds")?.with_content_type("application/json")]))
    }
}

impl DirectCompiler for Feeds {
    fn map_key(&self, key: &Key, out: &mut Outputs) {
        out.add("feeds", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context) -> Result<Option<Payload>> {
        let feed = Feed::read(&inputs[0])?;
        let mut schedules = Vec::new();
        for id in feed.static_reference {
            let feeds = match context.read("feeds-by-id", &id)? {
                Some(target) => target.json()?,
                None => Vec::new(),
            };
            schedules.push(Schedule { id, feeds });
        }
        Ok(Some(Payload::from_json_pretty(&Joined { provider: feed.provider, name: feed.name, schedules })?))
    }
}
