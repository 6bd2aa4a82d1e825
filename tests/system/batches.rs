//! Every batch that a run is cut into is crossed here more than twice, so that work which ends with its first batch shows:
//! partitions that are cut into batches (`local::BATCH_ITEMS`), looked up, settled and recalled together
//! (`elements::TOGETHER`, four times that in `incremental`), read together (`payloads::SCAN_ITEMS`), and reads that are turned
//! round together (`reads::TURN`). Bytes are crossed by `bounded::`.

use deltic::prelude::*;
use deltic_testkit::Lab;

use crate::bounded::{Moves, PATTERNS, tasks};

/// More than twice the greatest number of elements that are worked on together, 1,024, in each half.
const PARTITIONS: usize = 4200;

fn put(lab: &mut Lab, numbers: impl IntoIterator<Item = usize>, edition: usize) {
    for number in numbers {
        lab.put("in/a", format!("{number:05}"), format!("{:01200}", number * 10 + edition));
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
        (10..PARTITIONS).for_each(|number| lab.delete("in/a", format!("{number:05}")));
        last(&mut lab);
        assert!(lab.names("out").len() <= 10, "{pattern}");
        lab.assert_equals_scratch();
    }
}

/// Looks at five partitions of another layer for each of its own.
struct Looks;

impl InputLayers for Looks {
    fn input_layers(&self) -> Result<Vec<LayerRef>> {
        layers(["in/a"])
    }

    fn reference_layers(&self) -> Result<Vec<LayerRef>> {
        layers(["in/r"])
    }
}

impl OutputLayers for Looks {
    fn output_layers(&self) -> Result<Vec<Layer>> {
        Ok(vec![Layer::generic("out")?])
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
        (0..READERS).for_each(|n| lab.put("in/r", format!("{n:05}-{}", n % 5), edition));
    };
    (0..READERS).for_each(|n| lab.put("in/a", format!("{n:05}"), "x"));
    put(&mut lab, "1");
    lab.run();
    put(&mut lab, "2");
    let counts = lab.run().report.tasks[0].counts;
    assert_eq!((counts.compiled, counts.put, counts.same), (READERS as u64, READERS as u64, 0));
    lab.assert_equals_scratch();
    (0..READERS).for_each(|n| lab.delete("in/r", format!("{n:05}-{}", n % 5)));
    assert_eq!(lab.run().report.tasks[0].counts.compiled, READERS as u64);
    lab.assert_equals_scratch();
}
