//! No look gets lost: not one of code over the whole input.

use std::collections::BTreeMap;

use deltic::prelude::*;
use deltic_testkit::Lab;
use expect_test::expect;

type Table = BTreeMap<String, String>;

/// Puts texts on the shelves that a table names.
struct Shelves;

impl InputLayers for Shelves {
    fn input_layers(&self) -> Result<Vec<LayerRef>> {
        layers(["in/tables", "in/texts"])
    }
}

impl OutputLayers for Shelves {
    fn output_layers(&self) -> Result<Vec<Layer>> {
        Ok(vec![Layer::generic("shelves")?])
    }
}

impl Shelves {
    fn of(input: &Whole<'_>, text: &Key) -> Result<Option<String>> {
        ensure!(input.read("in/texts", &text.name)?.is_some(), "{text} does not exist");
        let table = input.read("in/tables", "shelves")?;
        let table = table.map(|table| table.json::<Table>()).transpose()?.unwrap_or_default();
        Ok(table.get(&text.name.to_string()).cloned())
    }
}

impl IncrementalDepCompiler for Shelves {
    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()> {
        for text in input.list("in/texts")? {
            let key = Key { layer: LayerRef::parse("in/texts")?, name: text?.name };
            out.set(&key, Shelves::of(input, &key)?.map(|shelf| ("shelves", shelf)))?;
        }
        Ok(())
    }

    fn update(
        &self,
        input: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        _: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()> {
        for change in changes {
            let InputChange { key, exists, .. } = change?;
            // The layer of tables comes first.
            if key.layer.layer.as_str() == "tables" {
                return self.graph(input, out);
            }
            if exists {
                out.set(&key, Shelves::of(input, &key)?.map(|shelf| ("shelves", shelf)))?;
            }
        }
        Ok(())
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        let texts: Vec<&str> = inputs.iter().map(Partition::text).collect::<Result<_>>()?;
        Ok(Some(texts.join(" ").into()))
    }
}

fn shelves() -> Lab {
    let mut lab = Lab::new(vec![Task::new("shelves", IncrementalDep(Shelves)).unwrap().version("1")]);
    lab.put("in/tables", "shelves", r#"{"a": "low", "b": "low", "c": "high"}"#);
    for (name, language) in [("a", "one"), ("b", "two"), ("c", "two")] {
        lab.put("in/texts", name, language);
    }
    lab.run();
    lab
}

#[test]
fn a_graph_reads_its_input_and_is_told_what_changed_there() {
    let mut lab = shelves();
    lab.put("in/tables", "shelves", r#"{"a": "low", "b": "high", "c": "high"}"#);
    expect![[r#"
        back   shelves  shelves/high
        back   shelves  shelves/low
    "#]]
    .assert_eq(&lab.run().log());
    assert_eq!(lab.text("shelves", "low").as_deref(), Some("one"));
    lab.assert_equals_scratch();
    lab.delete("in/tables", "shelves");
    lab.run();
    assert_eq!(lab.names("shelves"), [""; 0]);
    lab.assert_equals_scratch();
}
