//! Inputs that were restored from a copy and went on by themselves: the same uuid and the same numbers, with other
//! contents. What was read is known by its digest, so nothing is ever compared with a content that it was not made from.

use std::collections::BTreeMap;
use std::path::Path;

use deltic::core::{CatalogId, CatalogUuid, Grid, LayerId, Name, RunId, Timestamp, Version};
use deltic::driver::{
    At, Job, JobInput, LocalEngine, Mode, Options, Processing, Report, Sampling, Silent, Stop, Verify,
};
use deltic::prelude::*;
use deltic::store::{Catalog, Committed, Draft, DraftOptions, NewCatalog, NextVersion, Retention, Snapshot, Stores};
use deltic_testkit::{Edit, Lab, LabRun, Random, RandomHistory};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::patterns::{TILES, random_tasks};

/// Copies the partitions of a layer.
struct Copies(&'static str, &'static str);

impl InputLayers for Copies {
    fn input_layers(&self) -> Result<Vec<LayerRef>> {
        layers([self.0])
    }
}

impl OutputLayers for Copies {
    fn output_layers(&self) -> Result<Vec<Layer>> {
        Ok(vec![Layer::generic(self.1)?])
    }
}

impl DirectCompiler for Copies {
    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        out.add(self.1, &key.name);
    }

    fn compile(&self, _: &OutKey, inputs: &[Input], _: &Context<'_>) -> Result<Option<Payload>> {
        Ok(Some(inputs[0].payload.clone()))
    }
}

fn copies(id: &str, from: &'static str, to: &'static str) -> Task {
    Task::new(id, Direct(Copies(from, to))).unwrap().version("1")
}

/// A lab whose catalogs are folders, which can be copied and put back.
struct Folders {
    folder: TempDir,
    lab: Lab,
}

impl Folders {
    fn new(tasks: Vec<Task>) -> Folders {
        Folders::with(Lab::new(tasks))
    }

    fn with(lab: Lab) -> Folders {
        let folder = tempfile::tempdir().unwrap();
        let lab = lab.at(&format!("file:{}/", folder.path().display()));
        Folders { folder, lab }
    }

    fn folder(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a copy of an input as it is.
    fn save(&mut self, input: &str, copy: &str) {
        self.lab.commit_inputs();
        self.lab.input_catalog(input);
        copy_folder(&self.folder(&format!("in-{input}")), &self.folder(copy));
    }

    /// Replaces an input by a copy.
    fn restore(&mut self, input: &str, copy: &str) {
        let input = self.folder(&format!("in-{input}"));
        std::fs::remove_dir_all(&input).unwrap();
        copy_folder(&self.folder(copy), &input);
        self.lab.forget_caches();
    }

    /// Makes the next version of layer `in/a`.
    fn next(&mut self, edits: &[(&str, &str)]) {
        for (name, payload) in edits {
            match *payload {
                "" => self.lab.delete("in/a", *name),
                payload => self.lab.put("in/a", *name, payload),
            }
        }
        self.lab.commit_inputs();
    }

    fn latest(&mut self, input: &str) -> Snapshot {
        self.lab.input_catalog(input).latest().unwrap()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn modes(report: &Report) -> String {
    let mode = |mode: &Mode| match mode {
        Mode::Skipped => "skipped".to_owned(),
        Mode::Incremental { changed } => format!("incremental {}", changed.join(" ")),
        Mode::Full { reason } => format!("full: {reason}"),
    };
    report.tasks.iter().map(|task| format!("{} {}\n", task.task, mode(&task.mode))).collect()
}

fn all(run: &LabRun) -> String {
    let notes: String = run.report.notes.iter().map(|note| format!("note: {note}\n")).collect();
    format!("{notes}{}{}", modes(&run.report), run.log())
}

fn ran(lab: &mut Lab, expected: &Expect) {
    let run = lab.run();
    expected.assert_eq(&all(&run));
    lab.assert_equals_scratch();
    let again = lab.run();
    assert_eq!((again.report.version, again.report.notes.len(), again.log().as_str()), (None, 0, ""), "all is still");
}

/// The input at version 2, from which the output was made, and a copy of it at version 1.
fn at_2() -> Folders {
    let mut folders = Folders::new(vec![copies("one", "in/a", "x"), copies("two", "else/b", "y")]);
    folders.lab.put("else/b", "0", "0");
    folders.next(&[("a", "1"), ("b", "1"), ("c", "1")]);
    folders.save("in", "copy");
    folders.next(&[("a", "2")]);
    folders.lab.run();
    folders.restore("in", "copy");
    folders
}

#[test]
fn the_same_number_with_other_content() {
    let mut folders = at_2();
    folders.next(&[("b", "3")]);
    assert_eq!(folders.latest("in").version(), Version(2));
    ran(
        &mut folders.lab,
        &expect![[r#"
        note: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79: `in` has another history now, as a restored copy has that went on; what reads it is compiled in full
        one full: what changed in in/a can not be told: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79
        two skipped
        back   one  x/a
        back   one  x/b
        back   one  x/c
    "#]],
    );
}

/// What changed since version 2 is not what changed since the content that was read as version 2.
#[test]
fn a_later_number_after_other_content() {
    let mut folders = at_2();
    folders.next(&[("b", "3")]);
    folders.next(&[("c", "4")]);
    ran(
        &mut folders.lab,
        &expect![[r#"
        note: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79: `in` has another history now, as a restored copy has that went on; what reads it is compiled in full
        one full: what changed in in/a can not be told: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79
        two skipped
        back   one  x/a
        back   one  x/b
        back   one  x/c
    "#]],
    );
    assert_eq!(folders.lab.text("x", "a").as_deref(), Some("1"));
}

/// Another number has the content that was read: what changed since is all that is compiled.
#[test]
fn the_content_under_another_number() {
    let mut folders = at_2();
    folders.next(&[("c", "5")]);
    folders.next(&[("a", "2"), ("c", "1")]);
    folders.next(&[("b", "6")]);
    ran(
        &mut folders.lab,
        &expect![[r#"
        note: version 2 of `in` has digest 9bc12c7fe94e, and version 1 of the output was made from one with digest 674490f03f79: `in` has another history now, as a restored copy has that went on; what changed is taken from its version 3, which has that content
        one incremental in/a
        two skipped
        back   one  x/b
    "#]],
    );

    // And where the latest has it, nothing is compiled; the record names the new number.
    let mut folders = at_2();
    folders.next(&[("c", "5")]);
    folders.next(&[("a", "2"), ("c", "1")]);
    ran(
        &mut folders.lab,
        &expect![[r#"
        one skipped
        two skipped
    "#]],
    );
    assert_eq!(folders.lab.output().record().dependencies[1].version, Version(3));
}

#[test]
fn an_older_copy() {
    let mut folders = at_2();
    ran(
        &mut folders.lab,
        &expect![[r#"
        note: `in` has no version 2, which version 1 of the output was made from: `in` is an older copy, or was restored from one; what reads it is compiled in full
        one full: what changed in in/a can not be told: `in` has no version 2, which version 1 of the output was made from
        two skipped
        back   one  x/a
        back   one  x/b
        back   one  x/c
    "#]],
    );

    // An older version has the content that was read.
    let mut folders = Folders::new(vec![copies("one", "in/a", "x")]);
    folders.next(&[("a", "1"), ("b", "1")]);
    folders.next(&[("a", "2")]);
    folders.save("in", "copy");
    folders.next(&[("a", "1")]);
    folders.lab.run();
    folders.restore("in", "copy");
    ran(
        &mut folders.lab,
        &expect![[r#"
        note: `in` has no version 3, which version 1 of the output was made from: `in` is an older copy, or was restored from one; what changed is taken from its version 1, which has that content
        one incremental in/a
        back   one  x/a
    "#]],
    );
}

#[test]
fn a_version_that_is_named() {
    let mut folders = at_2();
    folders.next(&[("b", "3")]);
    folders.next(&[("c", "4")]);
    folders.lab.pin("in", 2);
    ran(
        &mut folders.lab,
        &expect![[r#"
        note: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79: `in` has another history now, as a restored copy has that went on; what reads it is compiled in full
        one full: what changed in in/a can not be told: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79
        two skipped
        back   one  x/a
        back   one  x/b
        back   one  x/c
    "#]],
    );
    folders.lab.unpin("in");
    ran(
        &mut folders.lab,
        &expect![[r#"
        one incremental in/a
        two skipped
        back   one  x/c
    "#]],
    );
}

/// Maintenance makes versions of equal content: where one of them can be read, the version that has expired is not missed.
#[test]
fn an_expired_version_that_a_later_one_repeats() {
    for kept in [&[3, 4][..], &[4]] {
        let mut folders = Folders::new(vec![copies("one", "in/a", "x")]);
        folders.next(&[("a", "1"), ("b", "1")]);
        folders.next(&[("a", "2")]);
        folders.lab.run();
        let input = folders.lab.input_catalog("in");
        let keep = |versions: &[u64], run| {
            let rules = Retention { keep: versions.iter().copied().map(Version).collect(), ..Retention::default() };
            input.retain(&rules, RunId(run), Timestamp(0), false).unwrap();
        };
        // Version 3 says what version 2 does.
        keep(&[2], 9000);
        folders.next(&[("b", "3")]);
        keep(kept, 9001);
        folders.lab.forget_caches();
        assert!(folders.lab.input_catalog("in").snapshot(Version(2)).is_err());
        let expected = match kept.len() {
            2 => expect![[r#"
                one incremental in/a
                back   one  x/b
            "#]],
            _ => expect![[r#"
                one full: what changed in in/a can not be told: version 2 of `in`, which version 1 of the output was made from, has expired
                back   one  x/a
                back   one  x/b
            "#]],
        };
        ran(&mut folders.lab, &expected);
    }
}

#[test]
fn what_a_job_says_of_an_input_with_another_history() {
    let since = |folders: &mut Folders, since: u64| {
        folders.lab.processing("in", Processing::Changes { since: Version(since) });
        let notes = folders.lab.run().report.notes;
        folders.lab.assert_equals_scratch();
        notes.into_iter().filter(|note| note.contains("is said")).collect::<Vec<_>>().join("\n")
    };
    let shifted = || {
        let mut folders = at_2();
        folders.next(&[("c", "5")]);
        folders.next(&[("a", "2"), ("c", "1")]);
        folders.next(&[("b", "6")]);
        folders
    };
    assert_eq!(since(&mut shifted(), 3), "", "the number that the content has now");
    expect!["`in` is said to have changed since version 2, and version 1 of the output was made from its version 3: what changed since 3 counts"].assert_eq(&since(&mut shifted(), 2));
}

/// What an input was some runs ago is read by its digest too.
#[test]
fn what_an_earlier_run_read() {
    let lab = || {
        let lab =
            Lab::new(vec![copies("one", "in/a", "x"), copies("old", "before/a", "y")]).runs_ago("before", "in", 1);
        let mut folders = Folders::with(lab);
        folders.next(&[("a", "1"), ("b", "1")]);
        folders.save("in", "copy");
        folders.next(&[("a", "2")]);
        folders.lab.run();
        folders.restore("in", "copy");
        folders
    };
    // It is nowhere any more.
    let mut folders = lab();
    folders.next(&[("b", "3")]);
    let base = folders.lab.output().version();
    expect!["catalog `before` is what an earlier run read of `in`, and that can not be read any more: version 2 of `in` has digest f7bac89405be, and that run read one with digest 3a75b0a7a88c; restore it, or bind `before` to a version of `in` for as many runs as it looks back"].assert_eq(&folders.lab.try_run().unwrap_err().to_string());
    assert_eq!(folders.lab.output().version(), base);

    // It has another number.
    let mut folders = lab();
    folders.next(&[("b", "3")]);
    folders.next(&[("a", "2"), ("b", "1")]);
    folders.next(&[("b", "4")]);
    let run = folders.lab.run();
    expect![[r#"
        note: version 2 of `in` has digest f7bac89405be, and version 1 of the output was made from one with digest 3a75b0a7a88c: `in` has another history now, as a restored copy has that went on; what changed is taken from its version 3, which has that content
        one incremental in/a
        old incremental before/a
        back   old  y/a
        back   old  y/b
        back   one  x/b
    "#]].assert_eq(&all(&run));
    assert_eq!((folders.lab.text("y", "a").as_deref(), folders.lab.text("y", "b").as_deref()), (Some("2"), Some("1")));
}

/// A job without a lab.
struct ByHand<'a> {
    inputs: Vec<(&'a str, Catalog)>,
    output: &'a Catalog,
    tasks: &'a [Task],
    run: u64,
}

impl ByHand<'_> {
    fn run(&self) -> Report {
        let input =
            |(id, catalog): &(&str, Catalog)| (CatalogId::new(id).unwrap(), JobInput::new(catalog.clone(), At::Latest));
        deltic::driver::run(&Job {
            inputs: self.inputs.iter().map(input).collect(),
            output: self.output.clone(),
            tasks: self.tasks,
            engine: &LocalEngine::new(1),
            observer: &Silent,
            options: Options::new(RunId(self.run), Timestamp(0), LayerId::new("state").unwrap()),
            stop: Stop::new(),
        })
        .unwrap()
    }
}

/// An input that was made from the history which another input has no more.
#[test]
fn an_input_of_an_input_with_another_history() {
    let mut folders = Folders::new(vec![copies("one", "in/a", "x")]);
    folders.next(&[("a", "1"), ("b", "1")]);
    folders.save("in", "copy");
    folders.next(&[("a", "2")]);
    folders.lab.run();
    let middle = folders.lab.output_catalog().unwrap().clone();
    let output = Catalog::create(
        &Stores::new(),
        "memory:last",
        Vec::new(),
        NewCatalog { uuid: CatalogUuid(7000), run: RunId(7000), created: Timestamp(0) },
    )
    .unwrap();
    let tasks = [copies("three", "in/a", "z"), copies("four", "mid/x", "w")];
    let job = |folders: &mut Folders, run| {
        let inputs = vec![("in", folders.lab.input_catalog("in")), ("mid", middle.clone())];
        ByHand { inputs, output: &output, tasks: &tasks, run }.run()
    };
    assert_eq!(job(&mut folders, 7001).notes, [""; 0]);
    folders.restore("in", "copy");
    folders.next(&[("b", "3")]);
    let report = job(&mut folders, 7002);
    expect![[r#"
        version 2 of `in` has digest f7bac89405be, and version 1 of the output was made from one with digest 3a75b0a7a88c: `in` has another history now, as a restored copy has that went on; what reads it is compiled in full
        version 2 of catalog 00000000000000000000000000000001 has two histories: `mid` was made from digest 3a75b0a7a88c, `in` is read with digest f7bac89405be
        three full: what changed in in/a can not be told: version 2 of `in` has digest f7bac89405be, and version 1 of the output was made from one with digest 3a75b0a7a88c
        four skipped
    "#]].assert_eq(&format!("{}\n{}", report.notes.join("\n"), modes(&report)));
    let named: Vec<_> =
        output.latest().unwrap().record().dependencies.iter().map(|one| (one.direct, one.version.0)).collect();
    assert_eq!(named, [(true, 2), (true, 1), (false, 2)], "both contents of version 2");
    // Made again, they are of one history.
    folders.lab.run();
    let report = job(&mut folders, 7003);
    expect![[r#"

        three skipped
        four incremental mid/x
    "#]]
    .assert_eq(&format!("{}\n{}", report.notes.join("\n"), modes(&report)));
    assert_eq!(output.latest().unwrap().record().dependencies.len(), 2);
}

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

/// One partition of five hundred is not what the record says that it was made from, and is in no sample.
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
        version 1 of the output was made from version 2 of `in` with digest 1c633081b5c7, and that has digest 7d0c5173942d now: `in` has another history, so all of what reads it was verified
        one: x/001 is not what is compiled, from byte 0 of 1: "1" and "3"
        one: x/a should not be there: nothing makes it"#]].assert_eq(&format!("{}\n{}", found.notes.join("\n"), listed.join("\n")));
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

/// How often something happened in random histories.
#[derive(Debug, Default)]
struct Happened {
    full: u64,
    found: u64,
}

/// What an input holds.
type Content = BTreeMap<(String, Name), Payload>;

fn set(lab: &mut Lab, layer: &str, name: &Name, payload: Option<Payload>) {
    match payload {
        Some(payload) => lab.put(layer, name, payload),
        None => lab.delete(layer, name),
    }
}

/// A history in which the input is now and then replaced by a copy that was made of it, and goes on from there.
fn random_history(seed: u64, happened: &mut Happened) {
    let layers =
        vec![("in/a".to_owned(), RandomHistory::generic_names(4)), (TILES.to_owned(), RandomHistory::tile_names(2))];
    let history = RandomHistory { layers, steps: 9, contents: 4 }.make(seed);
    let mut folders = Folders::with(Lab::new(random_tasks(seed)).tiles(TILES, Grid::Here));
    let mut random = Random::new(seed ^ 0x0dd);
    folders.save("in", "copy");
    let (mut content, mut copied) = (Content::new(), Content::new());
    for (number, step) in history.into_iter().enumerate() {
        match random.below(4) {
            0 => {
                std::fs::remove_dir_all(folders.folder("copy")).unwrap();
                folders.save("in", "copy");
                copied.clone_from(&content);
            }
            1 => {
                folders.restore("in", "copy");
                let lost = std::mem::replace(&mut content, copied.clone());
                // What was lost is sometimes made again, under another number.
                if random.below(3) > 0 {
                    for edition in 0..=random.below(3) {
                        folders.next(&[("not there before", &edition.to_string())]);
                    }
                    folders.lab.delete("in/a", "not there before");
                    for (layer, name) in content.keys().chain(lost.keys()) {
                        set(&mut folders.lab, layer, name, lost.get(&(layer.clone(), name.clone())).cloned());
                    }
                    folders.lab.commit_inputs();
                    content = lost;
                    let (name, payload) = (Name::generic("00").unwrap(), Payload::from(format!("step {number}")));
                    set(&mut folders.lab, "in/a", &name, Some(payload.clone()));
                    content.insert(("in/a".to_owned(), name), payload);
                }
            }
            _ => {}
        }
        for Edit { layer, name, payload } in step {
            set(&mut folders.lab, &layer, &name, payload.clone());
            match payload {
                Some(payload) => drop(content.insert((layer, name), payload)),
                None => drop(content.remove(&(layer, name))),
            }
            // Several versions a run, so that numbers of two histories meet and pass each other.
            if random.below(2) == 0 {
                folders.lab.commit_inputs();
            }
        }
        let run = folders.lab.run();
        let notes = run.report.notes.join("\n");
        happened.found += u64::from(notes.contains("what changed is taken from"));
        let is_full = notes.contains("is compiled in full");
        happened.full += u64::from(is_full);
        if number > 0 {
            let full = |mode: &Mode| matches!(mode, Mode::Full { reason } if reason.contains("can not be told: "));
            let by_task = run.report.tasks.iter().any(|task| full(&task.mode));
            assert_eq!(by_task, is_full, "seed {seed}, step {number}: {notes}");
        }
        if let Err(difference) = folders.lab.compare_with_scratch() {
            panic!("seed {seed}, step {number}: incremental differs from scratch: {difference}; {notes}");
        }
        let again = folders.lab.run();
        assert_eq!((again.report.version, again.log().as_str()), (None, ""), "seed {seed}, step {number}");
    }
    folders.lab.assert_verified();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(6) })]

    #[test]
    fn random_histories_of_an_input_that_is_restored(seed: u64) {
        random_history(seed, &mut Happened::default());
    }
}

/// Both ways out are met.
#[test]
fn inputs_that_are_restored_now_and_then() {
    let mut happened = Happened::default();
    for seed in 0..6 {
        random_history(seed, &mut happened);
    }
    assert!(happened.full > 0 && happened.found > 0, "{happened:?}");
}

/// `DELTIC_SEEDS=FROM..TO` says which; 200 without.
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn many_restored_inputs() {
    let mut happened = Happened::default();
    for seed in crate::seeds::seeds("0..200") {
        random_history(seed, &mut happened);
    }
    println!("{happened:?}");
}
