//! Maintenance beside compiling: retention, sweeping and repacking change nothing that versions need; and their commands.

use std::path::Path;
use std::process::{Command, Output};

use deltic::core::{RunId, Timestamp};
use deltic::driver::Mode;
use deltic::prelude::*;
use deltic::store::{Catalog, ErrorKind, RepackOptions, Retention};
use deltic_testkit::Lab;

use crate::patterns::{Groups, Shape};

fn lab() -> Lab {
    let shape = Shape { salt: 7, inputs: vec!["in/a"], references: Vec::new(), output: "x" };
    let mut lab = Lab::new(vec![Task::new("one", MapGroup(Groups(shape))).unwrap().version("1")]);
    for number in 0..40 {
        lab.put("in/a", format!("{number:02}"), format!("{number:>200}"));
    }
    lab.run();
    lab
}

fn change(lab: &mut Lab, edition: u64) {
    for number in edition..edition + 30 {
        lab.put("in/a", format!("{:02}", number % 40), format!("{number:>200} {edition:>200}"));
    }
    lab.commit_inputs();
}

fn keep_latest(catalog: &Catalog, run: u64) {
    let rules = Retention { keep: [catalog.latest().unwrap().version()].into(), ..Retention::default() };
    catalog.retain(&rules, RunId(run), Timestamp(0), false).unwrap();
}

/// A version of which little is needed any more, old ones, and packs that nobody needs: all is tidied up between runs.
fn tidy(catalog: &Catalog, run: u64) -> u64 {
    keep_latest(catalog, run);
    let options = RepackOptions { below_percent: 100, ..RepackOptions::default() };
    catalog.repack(&options, RunId(run + 1), Timestamp(0), false).unwrap();
    keep_latest(catalog, run + 2);
    catalog.gc(false).unwrap().removed.count
}

#[test]
fn runs_go_on_incrementally_over_a_tidied_output() {
    let mut lab = lab();
    let mut removed = 0;
    for edition in 1..6 {
        change(&mut lab, edition);
        lab.run();
        let before = lab.output();
        let output = lab.output_catalog().unwrap().clone();
        removed += tidy(&output, 9000 + 10 * edition);
        lab.forget_caches();
        let after = lab.output();
        assert!(after.version() > before.version());
        assert_eq!((after.digest(), after.state_digest()), (before.digest(), before.state_digest()));
        assert!(output.fsck(true).unwrap().damage.is_empty());
        let again = lab.run();
        assert!(again.report.tasks.iter().all(|task| matches!(task.mode, Mode::Skipped)), "tidying is no change");
    }
    assert!(removed >= 5, "{removed} packs removed");
    change(&mut lab, 7);
    let run = lab.run();
    assert!(run.report.tasks.iter().all(|task| matches!(task.mode, Mode::Incremental { .. })));
    lab.assert_equals_scratch();
}

/// Only when the version that a run has to compare with has expired does it compile everything.
#[test]
fn an_input_version_that_has_expired_makes_a_full_run_of_equal_result() {
    for expires in [false, true] {
        let mut lab = lab();
        let input = lab.input_catalog("in");
        let since = input.latest().unwrap().version();
        change(&mut lab, 1);
        let rules =
            Retention { keep: if expires { [].into() } else { [since].into() }, last: Some(1), ..Retention::default() };
        input.retain(&rules, RunId(9000), Timestamp(0), false).unwrap();
        input.gc(false).unwrap();
        lab.forget_caches();
        let opened = lab.input_catalog("in").snapshot(since);
        assert_eq!(opened.is_err_and(|error| *error.kind() == ErrorKind::Expired), expires);
        let run = lab.run();
        assert!(run.report.tasks.iter().all(|task| matches!(task.mode, Mode::Full { .. }) == expires), "{expires}");
        lab.assert_equals_scratch();
    }
}

fn deltic(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deltic-test-stock"));
    // On one thread, so that an import puts the first partition first into its pack.
    command.args(line.split(' ')).current_dir(folder).env("RAYON_NUM_THREADS", "1").output().unwrap()
}

fn ok(folder: &Path, line: &str) -> String {
    let output = deltic(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, line: &str) -> serde_json::Value {
    serde_json::from_slice(&deltic(folder, &format!("{line} --format json")).stdout).unwrap()
}

/// A catalog of five versions in a folder `c`, each replacing most of the one before.
fn five(folder: &Path) {
    ok(folder, "init file:c --layer names=generic");
    std::fs::create_dir(folder.join("names")).unwrap();
    for edition in 0..5 {
        for number in (if edition == 0 { 0 } else { 3 })..30 {
            std::fs::write(folder.join(format!("names/{number:02}")), format!("{number:>300}{edition:>300}")).unwrap();
        }
        ok(folder, "import file:c --layer names=names");
    }
}

#[test]
fn the_commands_retain_sweep_and_repack() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    five(folder);
    let size = || -> u64 {
        let packs = std::fs::read_dir(folder.join("c/packs")).unwrap();
        packs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    assert_eq!(deltic(folder, "retain file:c").status.code(), Some(2), "no rule is no request");
    assert!(ok(folder, "retain file:c --last 2 --dry-run").contains("would expire: versions 0-3"));
    let text = ok(folder, "retain file:c --last 2");
    assert_eq!(
        text,
        "committed version 6: versions 0-3 expired; versions 4-6 can be read\n`deltic-test-stock gc file:c` frees the space\n"
    );
    assert!(ok(folder, "retain file:c --last 2").starts_with("nothing expires: versions 4-6"));
    let expired = deltic(folder, "ls file:c names --version 2");
    let message = String::from_utf8(expired.stderr).unwrap();
    assert_eq!(
        (expired.status.code(), message.contains("version 2 has expired") && message.contains("4-6")),
        (Some(1), true)
    );
    assert_eq!(deltic(folder, "retain file:c --keep 2").status.code(), Some(1));
    let before = size();
    let would = json(folder, "gc file:c --dry-run");
    assert_eq!(size(), before, "nothing is removed yet");
    // Two editions are gone altogether. An import that several threads write may leave more than one pack.
    let removed = would["removed"]["packs"].as_u64().unwrap();
    assert!(removed >= 2, "{would}");
    let text = ok(folder, "gc file:c");
    assert!(text.starts_with(&format!("removed {removed} packs")), "{text}");
    assert_eq!(before - size(), would["removed"]["bytes"].as_u64().unwrap());
    ok(folder, "retain file:c --keep 5");
    ok(folder, "gc file:c");
    let digest = json(folder, "digest file:c");
    let repacked = json(folder, "repack file:c --below 50%");
    assert_eq!(repacked["version"].as_u64(), Some(8), "{repacked}");
    assert!(repacked["replaced"]["packs"].as_u64() >= Some(1), "{repacked}");
    let after = json(folder, "digest file:c");
    assert_eq!((&after["catalog"], &after["layers"]), (&digest["catalog"], &digest["layers"]));
    assert!(ok(folder, "repack file:c").starts_with("nothing to do"));
    let before = size();
    ok(folder, "retain file:c --keep 8");
    ok(folder, "gc file:c");
    assert!(size() < before, "{before} bytes before, {} after", size());
    assert_eq!(ok(folder, "get file:c names 01").trim_start(), format!("1{:>300}", 0));
    assert_eq!(deltic(folder, "fsck file:c --payloads").status.code(), Some(0));
}

#[test]
fn the_check_of_a_catalog_shows_damage_by_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    five(folder);
    let whole = json(folder, "fsck file:c --payloads");
    assert_eq!((whole["versions"].as_u64(), whole["damage"].as_array().unwrap().len()), (Some(6), 0));
    assert!(ok(folder, "fsck file:c").contains("no damage"));
    // A byte of the first payload of the first pack.
    let mut packs: Vec<_> =
        std::fs::read_dir(folder.join("c/packs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    let mut bytes = std::fs::read(&packs[0]).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&packs[0], bytes).unwrap();
    assert_eq!(deltic(folder, "fsck file:c").status.code(), Some(0), "payloads are not read");
    let found = deltic(folder, "fsck file:c --payloads");
    let (text, message) = (String::from_utf8(found.stdout).unwrap(), String::from_utf8(found.stderr).unwrap());
    assert_eq!(found.status.code(), Some(1));
    let name = packs[0].file_name().unwrap().to_str().unwrap();
    assert!(text.contains(&format!("packs/{name}: bytes of payloads do not match their digests")), "{text}");
    assert!(text.contains("version 1-5, layer `names`: 1 entry, up to `00`"), "{text}");
    assert!(message.contains("one damaged object found") && message.contains("restore"), "{message}");
    let body = json(folder, "fsck file:c --payloads");
    assert_eq!(body["damage"][0]["touches"][0]["layer"], "names");
    assert_eq!(body["damage"][0]["touches"][0]["versions"], serde_json::json!([[1, 5]]));
}

#[test]
fn a_folder_is_a_good_store_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    five(folder);
    let before = json(folder, "log file:c");
    let found = json(folder, "doctor file:c");
    let checks = found["checks"].as_array().unwrap();
    assert!(checks.len() >= 8 && checks.iter().all(|check| check["problem"].is_null()), "{found}");
    assert_eq!(json(folder, "log file:c"), before);
    let mut left: Vec<_> =
        std::fs::read_dir(folder.join("c")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["catalog.json", "packs", "versions"]);
}
