//! No look gets lost: not one of code over the whole input, and not what it tells of user fields.

use std::collections::BTreeMap;

use deltic::prelude::*;
use deltic_testkit::Lab;
use expect_test::expect;

type Table = BTreeMap<String, String>;

/// Says in which language a text is: that is a user field of a table that the text names.
struct Languages;

impl InputLayers for Languages {
    fn input_layers(&self) -> Result<Vec<LayerRef>> {
        layers(["in/texts"])
    }

    fn reference_layers(&self) -> Result<Vec<LayerRef>> {
        layers(["in/tables"])
    }

    fn projections(&self) -> Vec<Projection> {
        let decode = |payload: &Payload| Ok(payload.fields().get("language").unwrap_or("none").to_owned());
        vec![Projection::new("language", decode, |language: &String, _: &str| Ok(Some(language.clone())))]
    }
}

impl OutputLayers for Languages {
    fn output_layers(&self) -> Result<Vec<Layer>> {
        Ok(vec![Layer::generic("languages")?])
    }
}

impl DirectCompiler for Languages {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("languages", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let table = inputs[0].text()?;
        let projected = context.project::<String>("in/tables", table, "language", "")?.unwrap_or_default();
        let decoded = context.decoded::<String>("in/tables", table, "language")?.unwrap_or_default();
        Ok(Some(format!("{projected} {decoded}").into()))
    }
}

fn table_in(language: &str) -> Payload {
    Payload::from("{}").with_field("language", language).unwrap()
}

#[test]
fn equal_bytes_with_other_fields_are_decoded_apart() {
    let mut lab = Lab::new(vec![Task::new("languages", Direct(Languages)).unwrap().version("1")]);
    for (name, table) in [("fr", table_in("french")), ("de", table_in("german")), ("xx", "{}".into())] {
        lab.put("in/tables", name, table);
        lab.put("in/texts", name, name);
    }
    lab.run();
    let made = |lab: &Lab| ["de", "fr", "xx"].map(|name| lab.text("languages", name).unwrap()).join(", ");
    assert_eq!(made(&lab), "german german, french french, none none");
    lab.put("in/tables", "fr", table_in("old french"));
    expect!["back   languages  languages/fr\n"].assert_eq(&lab.run().log());
    assert_eq!(made(&lab), "german german, old french old french, none none");
    lab.assert_equals_scratch();
}

/// Puts texts on the shelves that a table names, and lists them there with their user field.
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
        let language = |input: &Input| input.payload.fields().get("language").unwrap_or("none").to_owned();
        Ok(Some(inputs.iter().map(language).collect::<Vec<_>>().join(" ").into()))
    }
}

fn shelves() -> Lab {
    let mut lab = Lab::new(vec![Task::new("shelves", IncrementalDep(Shelves)).unwrap().version("1")]);
    lab.put("in/tables", "shelves", r#"{"a": "low", "b": "low", "c": "high"}"#);
    for (name, language) in [("a", "one"), ("b", "two"), ("c", "two")] {
        lab.put("in/texts", name, table_in(language));
    }
    lab.run();
    lab
}

#[test]
fn a_graph_follows_a_change_of_user_fields_alone() {
    let mut lab = shelves();
    assert_eq!(lab.text("shelves", "low").as_deref(), Some("one two"));
    lab.put("in/texts", "a", table_in("three"));
    expect!["back   shelves  shelves/low\n"].assert_eq(&lab.run().log());
    assert_eq!(lab.text("shelves", "low").as_deref(), Some("three two"));
    lab.assert_equals_scratch();
    lab.assert_verified();
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
