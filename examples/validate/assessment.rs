//! `assessment`: is the map good enough to be published?

use deltic::prelude::*;
use serde::{Deserialize, Serialize};

use super::metrics::Metrics;

/// Compares the metrics of the whole map with limits.
#[derive(Debug)]
pub struct Assessment(pub Limits);

/// How many of a thousand references may dangle.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// From ways to nodes.
    pub way_node: u64,
    /// From relations to ways. An extract has all nodes of its ways, but relations reach far beyond it.
    pub relation_way: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { way_node: 0, relation_way: 950 }
    }
}

/// The verdict on the whole map.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether all criteria are met.
    pub ok: bool,
    /// Each of them.
    pub criteria: Vec<Criterion>,
}

/// One of the limits, and the figure that it was compared with.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criterion {
    /// The kind of references.
    pub references: String,
    /// How many there are.
    pub count: u64,
    /// How many of them dangle.
    pub dangling: u64,
    /// How many of a thousand may.
    pub limit_per_thousand: u64,
    /// Whether no more do.
    pub ok: bool,
}

impl HasLayers for Assessment {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new()
            .input_layers(["metrics-0"])
            .output_layers([Layer::generic("assessment")?.with_content_type("application/json")]))
    }
}

impl DirectCompiler for Assessment {
    fn map_key(&self, _: &Key, out: &mut Outputs) {
        out.add("assessment", "verdict");
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context) -> Result<Option<Payload>> {
        let metrics: Metrics = inputs[0].json()?;
        let criterion = |references: &str, limit_per_thousand: u64| {
            let metric = |name: &str| metrics.get(name).copied().unwrap_or_default();
            let (count, dangling) = (metric(references), metric(&format!("{references}-dangling")));
            let ok = dangling * 1000 <= count * limit_per_thousand;
            Criterion { references: references.to_owned(), count, dangling, limit_per_thousand, ok }
        };
        let criteria = vec![criterion("way-node", self.0.way_node), criterion("relation-way", self.0.relation_way)];
        let ok = criteria.iter().all(|criterion| criterion.ok);
        Ok(Some(Payload::from_json_pretty(&Verdict { ok, criteria })?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(metrics: &str) -> Verdict {
        let assessment = Assessment(Limits { way_node: 0, relation_way: 500 });
        let fixture = Fixture::new(&assessment).unwrap();
        let input = fixture.input("metrics-0", Tile::ROOT, metrics).unwrap();
        let output = OutKey::new("assessment", "verdict").unwrap();
        assessment.compile(&output, &[input], &fixture.context()).unwrap().unwrap().json().unwrap()
    }

    #[test]
    fn limits_are_limits() {
        assert!(verdict(r#"{"way-node":9,"relation-way":4,"relation-way-dangling":2}"#).ok);
        assert!(!verdict(r#"{"way-node":9,"relation-way":4,"relation-way-dangling":3}"#).ok);
        assert!(!verdict(r#"{"way-node":9,"way-node-dangling":1}"#).ok);
        assert!(verdict("{}").ok, "nothing is wrong where nothing is");
    }
}
