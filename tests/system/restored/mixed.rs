//! Inputs that were made from another version of a catalog than the run reads: the output mixes the two versions.

use deltic::driver::ErrorKind;

use super::*;

fn output(url: &str, number: u128) -> Catalog {
    let identity = NewCatalog { uuid: CatalogUuid(number), run: RunId(number as u64), created: Timestamp(0) };
    Catalog::create(&Stores::new(), url, Vec::new(), identity).unwrap()
}

/// A catalog, and a product of it that follows later.
fn behind() -> (Lab, Catalog, Catalog) {
    let mut lab = Lab::new(vec![copies("one", "in/a", "x")]);
    lab.put("in/a", "a", "1");
    lab.run();
    let (input, product) = (lab.input_catalog("in"), lab.output_catalog().unwrap().clone());
    lab.put("in/a", "a", "2");
    lab.commit_inputs();
    (lab, input, product)
}

#[test]
fn a_product_that_was_made_from_another_version_is_noted() {
    let (mut lab, input, product) = behind();
    let tasks = [copies("three", "in/a", "z"), copies("four", "mid/x", "w")];
    let output = output("memory:mixed", 7100);
    let by_hand = |run, compatible| {
        let inputs = vec![("in", input.clone()), ("mid", product.clone())];
        ByHand { inputs, output: &output, tasks: &tasks, run, compatible }.try_run()
    };
    let note = "`mid` was made from version 1 of `in`, and this run reads its version 2";
    match by_hand(7101, true) {
        Err(error) if matches!(error.kind(), ErrorKind::Refused) => assert_eq!(error.to_string(), note),
        other => panic!("{other:?}"),
    }
    assert_eq!(output.latest().unwrap().version(), Version(0), "nothing was made");
    assert_eq!(by_hand(7102, false).unwrap().notes, [note]);
    // The product follows.
    lab.run();
    assert_eq!(by_hand(7103, true).unwrap().notes, [""; 0]);
    assert_eq!(output.latest().unwrap().version(), Version(2));
    // A version of the input with the same content does not count as another one.
    let rules = Retention { last: Some(1), ..Retention::default() };
    input.retain(&rules, RunId(7104), Timestamp(1), false).unwrap();
    assert_eq!(by_hand(7105, true).unwrap().notes, [""; 0]);
}

/// Neither of two products need be read beside what they were made from.
#[test]
fn two_products_of_different_versions_are_noted() {
    let (_, input, product) = behind();
    let other = output("memory:other", 7200);
    let tasks = [copies("two", "in/a", "y")];
    ByHand { inputs: vec![("in", input)], output: &other, tasks: &tasks, run: 7201, compatible: true }.run();
    let last = output("memory:last of two", 7300);
    let tasks = [copies("three", "mid/x", "z"), copies("four", "other/y", "w")];
    let inputs = vec![("mid", product), ("other", other)];
    let report = ByHand { inputs, output: &last, tasks: &tasks, run: 7301, compatible: false }.run();
    let [note] = &report.notes[..] else { panic!("{:?}", report.notes) };
    assert!(note.starts_with("`mid` was made from version 1 of catalog 0000"), "{note}");
    assert!(note.ends_with(", and `other` from version 2"), "{note}");
}

/// Each of three agrees with the next one in a version, and the first and the last in none; the second does not agree with
/// itself.
#[test]
fn what_agrees_with_a_neighbour_only_is_noted() {
    let (_, input, one) = behind();
    let both = output("memory:both", 7400);
    let tasks = [copies("three", "in/a", "z"), copies("four", "mid/x", "w")];
    let inputs = vec![("in", input.clone()), ("mid", one.clone())];
    ByHand { inputs, output: &both, tasks: &tasks, run: 7401, compatible: false }.run();
    let two = output("memory:two", 7500);
    let tasks = [copies("two", "in/a", "y")];
    ByHand { inputs: vec![("in", input.clone())], output: &two, tasks: &tasks, run: 7501, compatible: true }.run();

    let last = output("memory:last of three", 7600);
    let tasks = [copies("five", "a/x", "v"), copies("six", "b/z", "u"), copies("seven", "c/y", "t")];
    let inputs = vec![("a", one), ("b", both.clone()), ("c", two)];
    let report = ByHand { inputs, output: &last, tasks: &tasks, run: 7601, compatible: false }.run();
    let [note] = &report.notes[..] else { panic!("{:?}", report.notes) };
    assert!(note.starts_with("`a` was made from version 1 of catalog 0000"), "{note}");
    assert!(note.ends_with(", and `b` from versions 1 and 2, and `c` from version 2"), "{note}");

    // By itself, and beside the version that it was made from directly.
    let alone = output("memory:alone", 7700);
    let tasks = [copies("six", "b/z", "u"), copies("eight", "in/a", "s")];
    let run = |tasks: &[Task], inputs, run| {
        let report = ByHand { inputs, output: &alone, tasks, run, compatible: false }.run();
        report.notes
    };
    let [note] = &run(&tasks[..1], vec![("b", both.clone())], 7701)[..] else { panic!("one note") };
    assert!(note.starts_with("`b` was made from versions 1 and 2 of catalog 0000"), "{note}");
    let note = "`b` was made from version 1 of `in`, and this run reads its version 2";
    assert_eq!(run(&tasks, vec![("b", both), ("in", input)], 7702), [note]);
}
