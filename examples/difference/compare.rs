//! `node-changes`, `way-changes`, `relation-changes`: reports, under the names of the partitions that they compare.

use deltic::prelude::*;

use super::report::compare;
use crate::osm;

/// Compares each partition with its earlier version.
#[derive(Debug)]
pub struct Difference;

impl HasLayers for Difference {
    fn layers(&self) -> Result<Layers> {
        let report = |layer: Layer| Ok(Layer { id: format!("{}-changes", layer.id).parse()?, ..layer });
        let outputs = osm::input_layers()?.into_iter().map(report).collect::<Result<Vec<_>>>()?;
        Ok(Layers::new()
            .input_layers(["before/node", "before/way", "before/relation", "now/node", "now/way", "now/relation"])
            .output_layers(outputs))
    }
}

impl DirectCompiler for Difference {
    /// A partition and its earlier version meet under one name.
    fn map_key(&self, key: &Key, out: &mut Outputs) {
        out.add(&format!("{}-changes", key.layer.layer), &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context) -> Result<Option<Payload>> {
        let report = compare(side(inputs, "before")?, side(inputs, "now")?)?;
        if report.is_empty() {
            return Ok(None);
        }
        Ok(Some(osm::write_lines(&report)?))
    }
}

/// The elements on one side; none if the partition does not exist there.
fn side<'a>(inputs: &'a [Input], catalog: &str) -> Result<&'a str> {
    let of = |input: &&Input| input.key.layer.catalog.as_ref().is_some_and(|id| id.as_str() == catalog);
    inputs.iter().find(of).map_or(Ok(""), Input::text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(inputs: &[Input]) -> Option<String> {
        let fixture = Fixture::new(&Difference).unwrap();
        let output = OutKey::new("relation-changes", "b00").unwrap();
        let payload = Difference.compile(&output, inputs, &fixture.context()).unwrap()?;
        Some(String::from_utf8(payload.bytes().to_vec()).unwrap())
    }

    fn relation(catalog: &str, name: &str) -> Input {
        let fixture = Fixture::new(&Difference).unwrap();
        let line = format!("{{\"id\":1,\"members\":[],\"tags\":{{\"name\":\"{name}\"}}}}\n");
        fixture.input(&format!("{catalog}/relation"), "b00", line).unwrap()
    }

    #[test]
    fn both_versions_of_a_partition_meet_in_one_report() {
        let fixture = Fixture::new(&Difference).unwrap();
        let keys = |catalog| {
            let mut out = Outputs::new(fixture.outputs());
            Difference.map_key(&relation(catalog, "A").key, &mut out);
            out.into_keys().unwrap()
        };
        assert_eq!(keys("now").len(), 1);
        assert_eq!(keys("now"), keys("before"));
    }

    #[test]
    fn there_is_a_report_only_of_what_differs() {
        let (old, new) = (relation("before", "A"), relation("now", "B"));
        let modified = "{\"id\":1,\"change\":\"modified\",\"fields\":[\"tags.name\"]}\n";
        assert_eq!(report(&[old.clone(), new.clone()]).as_deref(), Some(modified));
        assert_eq!(report(std::slice::from_ref(&old)).as_deref(), Some("{\"id\":1,\"change\":\"removed\"}\n"));
        assert_eq!(report(std::slice::from_ref(&new)).as_deref(), Some("{\"id\":1,\"change\":\"added\"}\n"));
        assert_eq!(report(&[old, relation("now", "A")]), None);
    }
}
