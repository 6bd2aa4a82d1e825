//! How `verify` and `rebuild` treat inputs that have another history now.

use deltic::core::{RunId, Version};
use deltic::driver::{Sampling, Verify};
use deltic::store::{Committed, Draft, DraftOptions, NextVersion};

use deltic_testkit::Lab;
use expect_test::expect;

use super::{Folders, at_2, copies};

fn sample() -> Verify {
    Verify { sample: Some(Sampling { millionths: 10_000, seed: 0 }), ..Verify::default() }
}

/// A version whose record names what its content was not made from, as a program makes it that goes by numbers.
fn by_number(folders: &mut Folders) {
    let (base, input) = (folders.lab.output(), folders.latest("in"));
    let record = base.record();
    let draft = Draft::begin(&base, RunId(8000), DraftOptions::default());
    let mut dependencies = record.dependencies.clone();
    for known in dependencies.iter_mut().filter(|known| known.uuid == input.uuid()) {
        (known.version, known.digest) = (input.version(), input.digest());
    }
    let layers = base.layers().map(|layer| (layer.clone(), draft.adopt(&base.tree(&layer.id).unwrap()))).collect();
    let tables = base.state_tables().map(|name| (name.to_owned(), draft.adopt(&base.state_table(name).unwrap())));
    let next = NextVersion {
        layers,
        state: tables.collect(),
        dependencies,
        tasks: record.tasks.clone(),
        ..NextVersion::default()
    };
    assert!(matches!(draft.commit(next).unwrap(), Committed::New(_)));
}

/// One partition of five hundred differs from the recorded input, and is in no sample.
#[test]
fn a_sample_finds_what_was_compared_with_another_history() {
    let mut folders = Folders::new(vec![copies("one", "in/a", "x"), copies("two", "else/b", "y")]);
    for number in 0..500 {
        folders.lab.put("in/a", format!("{number:03}"), "1");
        folders.lab.put("else/b", format!("{number:03}"), "1");
    }
    folders.save("in", "copy");
    folders.next(&[("a", "2")]);
    folders.lab.run();
    let found = folders.lab.verify(&sample()).unwrap();
    assert!(found.is_clean() && found.notes.is_empty());
    let taken: Vec<u64> = found.tasks.iter().map(|task| task.outputs).collect();
    assert!(taken.iter().all(|taken| (1..50).contains(taken)), "{taken:?}");

    folders.restore("in", "copy");
    folders.next(&[("001", "3")]);
    assert_eq!(folders.latest("in").version(), Version(2));
    by_number(&mut folders);
    let found = folders.lab.verify(&sample()).unwrap();
    let listed: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
    expect![[r#"
        version 1 of the output was made from version 2 of `in` with digest 1c633081b5c7, but that version has digest 7d0c5173942d now: `in` has another history, so everything that reads it was verified
        one: x/001 is not what is compiled, from byte 0 of 1: "1" and "3"
        one: x/a should not exist: no input makes it"#]].assert_eq(&format!("{}\n{}", found.notes.join("\n"), listed.join("\n")));
    let taken: Vec<u64> = found.tasks.iter().map(|task| task.outputs).collect();
    assert_eq!((taken[0], taken[1] < 50), (500, true), "the other input is what it was: {taken:?}");

    // It is noticed for 64 versions.
    for edition in 0..63 {
        folders.lab.put("else/b", "000", edition.to_string());
        folders.lab.run();
    }
    let noticed = |lab: &mut Lab| lab.verify(&sample()).unwrap().notes.len();
    assert_eq!(noticed(&mut folders.lab), 1);
    folders.lab.put("else/b", "000", "last");
    folders.lab.run();
    assert_eq!(noticed(&mut folders.lab), 0);
    assert!(!folders.lab.verify(&Verify::default()).unwrap().is_clean(), "all of it is still verified on request");
}

/// A version is verified and rebuilt from what it was made from, whatever number that has now.
#[test]
fn what_a_version_was_made_from_under_another_number() {
    let mut folders = at_2();
    folders.next(&[("c", "5")]);
    let error = folders.lab.verify(&Verify::default()).unwrap_err().to_string();
    assert!(error.contains("version 2 of input `in` can not be read") && error.contains("has digest"), "{error}");
    folders.next(&[("a", "2"), ("c", "1")]);
    let found = folders.lab.verify(&Verify::default()).unwrap();
    assert!(found.is_clean());
    assert_eq!(found.inputs.iter().map(|input| input.version.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(folders.lab.rebuild(1).unwrap().verdict, deltic::driver::Verdict::Equal);
}
