//! Work of more than two batches, of every kind of batch, so that code which stops after its first batch fails: partitions that
//! are cut into batches (`local::BATCH_ITEMS`), looked up, written and recalled together (`key_set::TOGETHER`, four times that in
//! `incremental`), read together (`payloads::SCAN_ITEMS`), and reads that are reversed together (`reads::TURN`). `bounded::` does
//! the same for limits in bytes.

use deltic::prelude::*;
use deltic_testkit::Lab;

use crate::bounded::{Moves, PATTERNS, tasks};

/// More than twice the greatest number of elements that are worked on together, 1,024, in each half.
const PARTITIONS: usize = 4200;

fn put(lab: &mut Lab, numbers: impl IntoIterator<Item = usize>, edition: usize) {
    for number in numbers {
        lab.put("in/a", format!("{number:07}"), format!("{:01200}", number * 10 + edition));
    }
}

#[test]
fn every_pattern_crosses_every_batch() {
    let half = PARTITIONS / 2;
    for (index, pattern) in PATTERNS.into_iter().filter(|pattern| *pattern != "import").enumerate() {
        let mut lab = Lab::new(tasks(pattern, Moves { partitions: PARTITIONS, value_bytes: None }));
        lab.threads(1 + index % 2);
        put(&mut lab, 0..PARTITIONS, 1);
        let last = |lab: &mut Lab| lab.run().report.tasks.last().unwrap().counts;
        let counts = last(&mut lab);
        let outputs = if matches!(pattern, "direct" | "map-split" | "global") { PARTITIONS } else { half };
        assert_eq!(counts.put as usize, outputs, "{pattern}: {counts:?}");

        // Half of the inputs change. Each output of two has one that did not.
        put(&mut lab, half..PARTITIONS, 2);
        let counts = last(&mut lab);
        assert!(counts.put as usize >= half - 1, "{pattern}: {counts:?}");
        match pattern {
            "map-group" => assert_eq!((counts.inputs, counts.fronts_again), (half as u64, half as u64)),
            "map-group with a memo" => assert_eq!((counts.fronts_again, counts.remembered), (0, half as u64)),
            "direct" | "incremental-dep" => {
                assert_eq!((counts.inputs, counts.compiled), (half as u64, half as u64));
            }
            _ => {}
        }
        lab.assert_equals_scratch();

        // All but a few go.
        (10..PARTITIONS).for_each(|number| lab.delete("in/a", format!("{number:07}")));
        last(&mut lab);
        assert!(lab.names("out").len() <= 10, "{pattern}");
        lab.assert_equals_scratch();
    }
}

/// Batches end by the bytes of their payloads too: the first that does not fit goes into the next one.
#[test]
fn payloads_cross_the_bytes_of_a_batch() {
    const HEAVY: usize = 60;
    let text = |number: usize| format!("{number:07}").repeat(30_000);
    let mut lab = Lab::new(tasks("direct", Moves { partitions: HEAVY, value_bytes: None }));
    (0..HEAVY).for_each(|number| lab.put("in/a", format!("{number:07}"), text(number)));
    lab.run();
    assert_eq!(lab.names("out").len(), HEAVY);
    assert!((0..HEAVY).all(|number| lab.text("out", format!("{number:07}")) == Some(text(number))));
}

/// What a graph gives to back-ends is where payloads lie, so that it takes many to cross a megabyte.
#[test]
fn a_graph_crosses_the_bytes_of_its_rows() {
    const NODES: usize = 16_000;
    let mut lab = Lab::new(tasks("incremental-dep", Moves { partitions: NODES, value_bytes: None }));
    (0..NODES).for_each(|number| lab.put("in/a", format!("{number:07}"), "x"));
    lab.run();
    assert_eq!(lab.names("out").len(), NODES / 2);
}

/// Emits each partition to one output.
struct Gathers;

impl HasLayers for Gathers {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).output_layers([Layer::generic("out")?]))
    }
}

impl MapGroupCompiler for Gathers {
    type Value = u64;

    fn compile_in(&self, input: &Input, out: &mut Emit<'_, u64>, _: &Context<'_>) -> Result<()> {
        out.emit("out", "all", input.text()?.parse()?);
        Ok(())
    }

    fn compile_out(&self, _: &OutKey, values: Values<'_, u64>, _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(values.sum::<u64>().to_string().into()))
    }
}

#[test]
fn what_is_remembered_for_one_output_crosses_every_batch() {
    const INPUTS: u64 = 700;
    let mut lab = Lab::new(vec![Task::new("gathers", MapGroup(Gathers)).unwrap().version("1").memo(u32::MAX)]);
    (0..INPUTS).for_each(|number| lab.put("in/a", format!("{number:07}"), "1"));
    lab.run();
    lab.put("in/a", "0000000", "2");
    let counts = lab.run().report.tasks[0].counts;
    assert_eq!((counts.fronts, counts.fronts_again, counts.remembered), (1, 0, INPUTS - 1));
    assert_eq!(lab.text("out", "all").as_deref(), Some("701"));
}

/// Looks at five partitions of another layer for each of its own.
pub(crate) struct Looks;

impl HasLayers for Looks {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers(["in/a"]).reference_layers(["in/r"]).output_layers([Layer::generic("out")?]))
    }
}

impl DirectCompiler for Looks {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add("out", &key.name);
    }

    fn compile(&self, out: &OutKey, _: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let mut text = String::new();
        for number in 0..5 {
            let found = context.read("in/r", format!("{}-{number}", out.name))?;
            text.push_str(found.as_ref().map_or(Ok("-"), |found| found.text())?);
        }
        Ok(Some(text.into()))
    }
}

/// All that was looked at changes: whoever looked runs, wherever in the order it is.
#[test]
fn changes_that_are_looked_up_cross_every_batch() {
    const READERS: usize = 1900;
    let mut lab = Lab::new(vec![Task::new("looks", Direct(Looks)).unwrap().version("1")]);
    let put = |lab: &mut Lab, edition: &str| {
        (0..READERS).for_each(|n| lab.put("in/r", format!("{n:07}-{}", n % 5), edition));
    };
    (0..READERS).for_each(|n| lab.put("in/a", format!("{n:07}"), "x"));
    put(&mut lab, "1");
    lab.run();
    put(&mut lab, "2");
    let counts = lab.run().report.tasks[0].counts;
    assert_eq!((counts.compiled, counts.put, counts.same), (READERS as u64, READERS as u64, 0));
    lab.assert_equals_scratch();
    (0..READERS).for_each(|n| lab.delete("in/r", format!("{n:07}-{}", n % 5)));
    assert_eq!(lab.run().report.tasks[0].counts.compiled, READERS as u64);
    lab.assert_equals_scratch();
}
