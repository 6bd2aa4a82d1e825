//! Inputs that were restored from a copy and then changed: the same uuid and the same numbers, with other contents. A run knows
//! the content that it read by its digest, so it never compares an output with a content that it was not made from.

mod mixed;
mod random;
mod verified;

use std::path::Path;

use deltic::core::{CatalogId, CatalogUuid, LayerId, RunId, Timestamp, Version};
use deltic::driver::{ErrorKind, Job, LocalEngine, Mode, Options, Processing, Report};
use deltic::prelude::*;
use deltic::store::{Catalog, NewCatalog, Retention, Snapshot, Stores};
use deltic_testkit::{Lab, LabRun};
use expect_test::{Expect, expect};
use tempfile::TempDir;

/// Copies the partitions of a layer.
struct Copies(&'static str, &'static str);

impl HasLayers for Copies {
    fn layers(&self) -> Result<Layers> {
        Ok(Layers::new().input_layers([self.0]).output_layers([Layer::generic(self.1)?]))
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
            note: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79: `in` has another history now, as after a copy was restored and changed; its readers are compiled in full
            one full: the changes of in/a are not known: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79
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
            note: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79: `in` has another history now, as after a copy was restored and changed; its readers are compiled in full
            one full: the changes of in/a are not known: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79
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
            note: version 2 of `in` has digest 9bc12c7fe94e, and version 1 of the output was made from one with digest 674490f03f79: `in` has another history now, as after a copy was restored and changed; the changes since its version 3, which has that content, are compiled
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
            note: `in` has no version 2, which version 1 of the output was made from: `in` is an older copy, or was restored from one; its readers are compiled in full
            one full: the changes of in/a are not known: `in` has no version 2, which version 1 of the output was made from
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
            note: `in` has no version 3, which version 1 of the output was made from: `in` is an older copy, or was restored from one; the changes since its version 1, which has that content, are compiled
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
            note: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79: `in` has another history now, as after a copy was restored and changed; its readers are compiled in full
            one full: the changes of in/a are not known: version 2 of `in` has digest 90635e96e1dc, and version 1 of the output was made from one with digest 674490f03f79
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
        // Version 3 has the content of version 2.
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
                one full: the changes of in/a are not known: version 2 of `in`, which version 1 of the output was made from, has expired
                back   one  x/a
                back   one  x/b
            "#]],
        };
        ran(&mut folders.lab, &expected);
    }
}

#[test]
fn what_a_job_states_of_an_input_with_another_history() {
    let since = |folders: &mut Folders, since: u64| {
        folders.lab.processing("in", Processing::Changes { since: Version(since) });
        let notes = folders.lab.run().report.notes;
        folders.lab.assert_equals_scratch();
        notes.into_iter().filter(|note| note.contains("the job states")).collect::<Vec<_>>().join("\n")
    };
    let shifted = || {
        let mut folders = at_2();
        folders.next(&[("c", "5")]);
        folders.next(&[("a", "2"), ("c", "1")]);
        folders.next(&[("b", "6")]);
        folders
    };
    assert_eq!(since(&mut shifted(), 3), "", "the number that the content has now");
    expect!["the job states that `in` changed since version 2, but version 1 of the output was made from its version 3: the changes since 3 are compiled"].assert_eq(&since(&mut shifted(), 2));
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
        note: version 2 of `in` has digest f7bac89405be, and version 1 of the output was made from one with digest 3a75b0a7a88c: `in` has another history now, as after a copy was restored and changed; the changes since its version 3, which has that content, are compiled
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
    compatible: bool,
}

impl ByHand<'_> {
    fn run(&self) -> Report {
        self.try_run().unwrap()
    }

    fn try_run(&self) -> deltic::driver::Result<Report> {
        let options = Options::new(RunId(self.run), Timestamp(0), LayerId::new("state").unwrap());
        let options = Options { compatible: self.compatible, ..options };
        let job = self.inputs.iter().fold(Job::new(self.output, self.tasks, options), |job, (id, catalog)| {
            job.input(CatalogId::new(id).unwrap(), catalog.clone())
        });
        job.run(&LocalEngine::new(1))
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
        ByHand { inputs, output: &output, tasks: &tasks, run, compatible: false }.run()
    };
    assert_eq!(job(&mut folders, 7001).notes, [""; 0]);
    folders.restore("in", "copy");
    folders.next(&[("b", "3")]);
    let inputs = vec![("in", folders.lab.input_catalog("in")), ("mid", middle.clone())];
    match (ByHand { inputs, output: &output, tasks: &tasks, run: 7004, compatible: true }).try_run() {
        Err(error) if matches!(error.kind(), ErrorKind::Refused) => {
            assert!(error.to_string().contains("has two histories"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let report = job(&mut folders, 7002);
    expect![[r#"
        version 2 of `in` has digest f7bac89405be, and version 1 of the output was made from one with digest 3a75b0a7a88c: `in` has another history now, as after a copy was restored and changed; its readers are compiled in full
        version 2 of catalog 00000000000000000000000000000001 has two histories: `mid` was made from digest 3a75b0a7a88c, `in` is read with digest f7bac89405be
        three full: the changes of in/a are not known: version 2 of `in` has digest f7bac89405be, and version 1 of the output was made from one with digest 3a75b0a7a88c
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
