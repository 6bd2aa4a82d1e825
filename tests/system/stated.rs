//! Statements of the manual that cite a test, and that belong to no other theme.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deltic::prelude::*;
use deltic_testkit::Lab;
use serde::{Deserialize, Serialize};

/// Copies partitions.
struct Copies;

impl HasLayers for Copies {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).output_layers([Layer::generic("out")?]))
    }
}

impl DirectCompiler for Copies {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("out", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(fielded(inputs[0].text()?)?))
    }
}

impl GlobalCompiler for Copies {
    fn compile(&self, input: &Whole<'_>, out: &mut Publish<'_>, _: &Context<'_>) -> Result<()> {
        for partition in input.partitions("in/a")? {
            let partition = partition?;
            out.put("out", partition.name(), fielded(partition.text()?)?);
        }
        Ok(())
    }
}

impl MapGroupCompiler for Copies {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        for word in input.text()?.split(' ') {
            out.emit("out", "all", word.to_owned());
        }
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<'_, String>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(values.collect::<Vec<_>>().join(" ").into()))
    }
}

impl MapSplitCompiler for Copies {
    type Value = String;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, String>, _: &Context<'_>) -> Result<()> {
        out.emit("out", input.name(), input.text()?.to_owned());
        Ok(())
    }

    fn compile_out(
        &self,
        group: &OutKey,
        values: Values<'_, String>,
        out: &mut Publish<'_>,
        _: &Context<'_>,
    ) -> Result<()> {
        for value in values {
            out.put_key(group, fielded(&value)?);
        }
        Ok(())
    }
}

/// The text before the bar as bytes, the text after it as a user field.
fn fielded(text: &str) -> Result<Payload> {
    let (bytes, note) = text.split_once('|').unwrap_or((text, "none"));
    Ok(Payload::from(bytes.to_owned()).with_field("note", note)?)
}

/// A build counts where no version is stated, and only there.
#[test]
fn another_build_is_other_code_unless_a_version_is_stated() {
    let modes = |lab: &mut Lab| format!("{:?}", lab.run().report.tasks[0].mode);
    let mut lab = Lab::new(vec![Task::new("copies", Direct(Copies)).unwrap()]);
    lab.put("in/a", "one", "1");
    lab.run();
    assert_eq!(modes(&mut lab), "Skipped");
    lab.code("another build");
    assert_eq!(modes(&mut lab), r#"Full { reason: "its code changed" }"#);
    assert_eq!(modes(&mut lab), "Skipped");
    lab.set_tasks(vec![Task::new("copies", Direct(Copies)).unwrap().version("3")]);
    assert_eq!(modes(&mut lab), r#"Full { reason: "its code changed" }"#);
    lab.code("a third build");
    assert_eq!(modes(&mut lab), "Skipped");
}

/// Each input emits several values to one output, in an order that no sorting gives.
#[test]
fn values_arrive_by_input_and_as_emitted() {
    for (threads, row_memory) in [(1, usize::MAX), (1, 0), (2, usize::MAX), (2, 0)] {
        let mut lab = Lab::new(vec![Task::new("words", MapGroup(Copies)).unwrap().version("1")]);
        lab.threads(threads);
        lab.row_memory(row_memory);
        let mut expected = Vec::new();
        for number in 0..600 {
            let words = format!("z{number} a{number} m{number} a{number} b");
            lab.put("in/a", format!("{number:04}"), words.as_str());
            expected.push(words);
        }
        lab.run();
        assert_eq!(lab.text("out", "all").unwrap(), expected.join(" "), "{threads} threads, {row_memory} bytes");
        lab.put("in/a", "0300", "y c x");
        expected[300] = "y c x".to_owned();
        lab.run();
        assert_eq!(lab.text("out", "all").unwrap(), expected.join(" "));
    }
}

/// The same bytes with another field are another partition: published, in every kind of publishing.
#[test]
fn a_user_field_alone_is_published() {
    let tasks: [fn() -> Task; 3] = [
        || Task::new("copies", Direct(Copies)).unwrap().version("1"),
        || Task::new("copies", Global(Copies)).unwrap().version("1"),
        || Task::new("copies", MapSplit(Copies)).unwrap().version("1"),
    ];
    for task in tasks {
        let mut lab = Lab::new(vec![task()]);
        lab.put("in/a", "one", "bytes|before");
        lab.put("in/a", "two", "bytes|stays");
        lab.run();
        lab.put("in/a", "one", "bytes|after");
        let counts = lab.run().report.tasks[0].counts;
        let output = lab.output();
        let tree = output.tree(&deltic::core::LayerId::new("out").unwrap()).unwrap();
        let note = |name: &str| {
            let meta = tree.get(&Name::generic(name).unwrap().to_bytes()).unwrap().unwrap().meta;
            meta.fields.get("note").map(str::to_owned)
        };
        assert_eq!((counts.put, note("one").as_deref(), note("two").as_deref()), (1, Some("after"), Some("stays")));
        lab.assert_equals_scratch();
        // The same again is nothing new.
        lab.full(true);
        let counts = lab.run().report.tasks[0].counts;
        assert_eq!((counts.put, counts.same), (0, 2));
    }
}

/// Takes a table that all share, and counts how often it is decoded.
struct Shares(Arc<AtomicUsize>);

impl HasLayers for Shares {
    fn layers(&self) -> Result<Layers> {
        let count = Arc::clone(&self.0);
        let decode = move |payload: &Payload| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(String::from_utf8(payload.bytes().to_vec())?)
        };
        Ok(Layers::new()
            .input_layers(["in/a"])
            .reference_layers(["in/table"])
            .projections([Projection::new("table", decode, |table: &String, _: &str| Ok(Some(table.clone())))])
            .output_layers([Layer::generic("out")?]))
    }
}

impl DirectCompiler for Shares {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("out", &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let table: Arc<String> = context.decoded("in/table", "all", "table")?.context("there is a table")?;
        Ok(Some(format!("{} of {table}", inputs[0].text()?).into()))
    }
}

#[test]
fn a_decoded_partition_is_shared_by_all_workers() {
    for threads in [1, 4] {
        let count = Arc::new(AtomicUsize::new(0));
        let mut lab = Lab::new(vec![Task::new("shares", Direct(Shares(Arc::clone(&count)))).unwrap().version("1")]);
        lab.threads(threads);
        lab.put("in/table", "all", "the table");
        (0..1500).for_each(|number| lab.put("in/a", format!("{number:04}"), number.to_string()));
        lab.run();
        let decoded = count.load(Ordering::Relaxed);
        assert!((1..=threads).contains(&decoded), "decoded {decoded} times for 1500 outputs on {threads} threads");
    }
}

#[derive(Serialize, Deserialize)]
struct Loose {
    value: serde_json::Value,
}

/// Would emit JSON.
struct EmitsJson;

impl HasLayers for EmitsJson {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).output_layers([Layer::generic("out")?]))
    }
}

impl MapGroupCompiler for EmitsJson {
    type Value = Loose;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, Loose>, _: &Context<'_>) -> Result<()> {
        out.emit("out", input.name(), Loose { value: input.json()? });
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<'_, Loose>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(values.map(|loose| loose.value.to_string()).collect::<String>().into()))
    }
}

#[test]
fn values_that_need_names_are_refused_before_anything_runs() {
    let error = Task::new("json", MapGroup(EmitsJson)).unwrap_err().to_string();
    assert!(error.starts_with("task `json`: its `Value` can not be an intermediate value"), "{error}");
    assert!(error.contains("serde_json::Value") && error.contains("the text of the JSON"), "{error}");
}
