//! `metrics-12`, `metrics-10`, …: the metrics of finer tiles, added up in coarser ones.

use deltic::prelude::*;

use super::metrics::{Metrics, add, metrics_layer};

/// One step up the tree. Metrics that are already higher than the step stay in their tile.
#[derive(Debug)]
pub struct RollUp {
    /// The level that is read.
    pub from: u8,
    /// The level that is written.
    pub to: u8,
}

impl HasLayers for RollUp {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers([format!("metrics-{}", self.from)]).output_layers([metrics_layer(self.to)?]))
    }
}

impl DirectCompiler for RollUp {
    fn map_key(&self, key: &Key, out: &mut Outputs) {
        if let Some(tile) = key.name.tile() {
            out.add(&format!("metrics-{}", self.to), tile.ancestor(self.to).unwrap_or(tile));
        }
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context) -> Result<Option<Payload>> {
        let mut sum = Metrics::new();
        for input in inputs {
            add(&mut sum, input.json()?);
        }
        Ok(Some(Payload::from_json(&sum)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: RollUp = RollUp { from: 14, to: 2 };

    #[test]
    fn finer_tiles_go_up_and_coarser_ones_stay() {
        let fixture = Fixture::new(&STEP).unwrap();
        for (tile, above) in [("12031", "12"), ("12", "12"), ("1", "1"), ("root", "root")] {
            let input = fixture.input("metrics-14", tile.parse::<Tile>().unwrap(), "").unwrap();
            let mut out = Outputs::new(fixture.outputs());
            STEP.map_key(&input.key, &mut out);
            let names: Vec<String> = out.into_keys().unwrap().iter().map(|(_, name)| name.to_string()).collect();
            assert_eq!(names, [above], "{tile}");
        }
    }

    #[test]
    fn counts_are_added_up_by_name() {
        let fixture = Fixture::new(&STEP).unwrap();
        let input = |tile: &str, json| fixture.input("metrics-14", tile.parse::<Tile>().unwrap(), json).unwrap();
        let inputs = [input("121", r#"{"way":2,"relation":1}"#), input("122", r#"{"way":3}"#)];
        let output = OutKey::new("metrics-2", "12".parse::<Tile>().unwrap()).unwrap();
        let payload = STEP.compile(&output, &inputs, &fixture.context()).unwrap();
        assert_eq!(payload, Some(r#"{"relation":1,"way":5}"#.into()));
    }
}
