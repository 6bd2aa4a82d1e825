//! `availability`: the features of a file with the dates of the releases that brought them.

use std::collections::BTreeMap;

use deltic::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::model::{Browser, Statement, features};

const BROWSERS: &str = "compat/browsers";

/// Looks releases up in the tables of browsers.
#[derive(Debug, Clone, Copy)]
pub struct Availability {
    /// How.
    pub reads: Reads,
}

/// The part of a table that a look-up depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The row alone.
    Parts,
    /// All of it.
    Whole,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Support {
    Since { version: String, date: Option<String> },
    Mirrors { mirrors: Option<String> },
}

impl HasLayers for Availability {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(super::FEATURES.iter().map(|layer| format!("compat/{layer}")))
            .reference_layers([BROWSERS])
            .projections([
                Projection::new("date", Browser::read, |browser: &Browser, version: &str| {
                    Ok(browser.date(version).map(str::to_owned))
                }),
                Projection::new("upstream", Browser::read, |browser: &Browser, _: &str| Ok(browser.upstream.clone())),
            ])
            .output_layers([Layer::generic("availability")?.with_content_type("application/json")]))
    }
}

impl DirectCompiler for Availability {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("availability", format!("{}/{}", key.layer.layer, key.name));
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let mut looks = Looks { reads: self.reads, context, dates: BTreeMap::new(), upstreams: BTreeMap::new() };
        let mut all: BTreeMap<String, BTreeMap<String, Support>> = BTreeMap::new();
        for feature in features(&inputs[0].json::<Value>()?) {
            let mut support = BTreeMap::new();
            for (browser, statement) in feature.support {
                let dated = match statement {
                    Statement::Since(version) => Support::Since { date: looks.date(&browser, &version)?, version },
                    Statement::Mirror => Support::Mirrors { mirrors: looks.upstream(&browser)? },
                };
                support.insert(browser, dated);
            }
            all.insert(feature.path, support);
        }
        Ok(Some(Payload::from_json_pretty(&all)?))
    }
}

/// The look-ups of one file, each made once: the features of a file name the same releases many times.
struct Looks<'a> {
    reads: Reads,
    context: &'a Context<'a>,
    dates: BTreeMap<(String, String), Option<String>>,
    upstreams: BTreeMap<String, Option<String>>,
}

impl Looks<'_> {
    fn date(&mut self, browser: &str, version: &str) -> Result<Option<String>> {
        let version = version.trim_start_matches('≤');
        let key = (browser.to_owned(), version.to_owned());
        if let Some(known) = self.dates.get(&key) {
            return Ok(known.clone());
        }
        let date = match self.reads {
            Reads::Parts => self.context.project(BROWSERS, browser, "date", version)?,
            Reads::Whole => self.whole(browser, "date", |browser| browser.date(version).map(str::to_owned))?,
        };
        self.dates.insert(key, date.clone());
        Ok(date)
    }

    fn upstream(&mut self, browser: &str) -> Result<Option<String>> {
        if let Some(known) = self.upstreams.get(browser) {
            return Ok(known.clone());
        }
        let upstream = match self.reads {
            Reads::Parts => self.context.project(BROWSERS, browser, "upstream", "")?,
            Reads::Whole => self.whole(browser, "upstream", |browser| browser.upstream.clone())?,
        };
        self.upstreams.insert(browser.to_owned(), upstream.clone());
        Ok(upstream)
    }

    fn whole(&self, name: &str, id: &str, of: impl Fn(&Browser) -> Option<String>) -> Result<Option<String>> {
        Ok(self.context.decoded::<Browser>(BROWSERS, name, id)?.and_then(|browser| of(&browser)))
    }
}
