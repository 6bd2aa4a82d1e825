//! `countries`: one summary a country.

use std::collections::{BTreeMap, BTreeSet};

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

use super::model::Feed;

/// Groups schedule feeds by country.
#[derive(Debug)]
pub struct Countries;

/// A feed as its country's summary counts it.
#[derive(Debug, Serialize, Deserialize)]
pub struct CountryLine {
    provider: String,
    subdivision: Option<String>,
    has_area: bool,
    is_active: bool,
}

#[derive(Serialize)]
struct Country {
    feeds: usize,
    active: usize,
    with_area: usize,
    providers: usize,
    feeds_by_subdivision: BTreeMap<String, usize>,
}

impl HasLayers for Countries {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["transit/gtfs-schedule"])
            .output_layers([Layer::generic("countries")?.with_content_type("application/json")]))
    }
}

impl MapGroupCompiler for Countries {
    type Value = CountryLine;

    fn compile_in(&self, input: &Input, out: &mut Emit<CountryLine>, _: &Context) -> Result<()> {
        let feed = Feed::read(input)?;
        let line = CountryLine {
            provider: feed.provider,
            has_area: feed.location.area()?.is_some(),
            is_active: feed.status.is_none_or(|status| status == "active"),
            subdivision: feed.location.subdivision_name,
        };
        out.emit("countries", feed.location.country_code.as_deref().unwrap_or("unknown"), line);
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, lines: Values<CountryLine>, _: &Context) -> Result<Option<Payload>> {
        let lines: Vec<CountryLine> = lines.collect();
        let mut by_subdivision = BTreeMap::new();
        for line in &lines {
            *by_subdivision.entry(line.subdivision.clone().unwrap_or_default()).or_default() += 1;
        }
        let summary = Country {
            feeds: lines.len(),
            active: lines.iter().filter(|line| line.is_active).count(),
            with_area: lines.iter().filter(|line| line.has_area).count(),
            providers: lines.iter().map(|line| &line.provider).collect::<BTreeSet<_>>().len(),
            feeds_by_subdivision: by_subdivision,
        };
        Ok(Some(Payload::from_json_pretty(&summary)?))
    }
}
