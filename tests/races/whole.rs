//! The whole life of a catalog on each server, by the command line: doctor, init, import, run, retention, sweep.

use std::path::Path;
use std::process::Command;

use crate::store::Store;

fn deltic(folder: &Path, line: &[&str]) -> String {
    let ended = Command::new(env!("CARGO_BIN_EXE_deltic-test-stock")).args(line).current_dir(folder).output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{line:?}: {out}{errors}");
    assert!(!errors.contains("WARN"), "{line:?}: {errors}");
    out.into_owned()
}

fn live(store: &Store) {
    let folder = tempfile::tempdir().unwrap();
    let (url, output) = (store.catalog("in"), store.catalog("out"));
    let deltic = |line: &[&str]| deltic(folder.path(), line);
    let write = |name: &str, text: &str| {
        let path = folder.path().join("names").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let configuration = format!(
        "[catalogs]\nin = '{url}'\nout = '{output}'\n[compiler.copy]\nfrom = 'in'\nlayers = ['names']\nprefix = 'p'\n"
    );
    std::fs::write(folder.path().join("application.conf"), configuration).unwrap();

    let checked = deltic(&["doctor", &store.catalog("doctor")]);
    assert!(checked.lines().count() == 8 && checked.lines().all(|line| line.starts_with("ok")), "{checked}");
    deltic(&["init", &url, "--layer", "names=generic"]);
    for number in 0..300 {
        write(&format!("p{number}/Zürich +%2F&?#=.json"), &format!("{number} ").repeat(100));
        write(&format!("q{number}"), "passed over");
    }
    let done = deltic(&["import", &url, "--layer", "names=names"]);
    assert!(done.starts_with("committed version 1: 600 added"), "{done}");
    let done = deltic(&["run"]);
    assert!(done.contains("committed version 1: 300 put"), "{done}");

    write("p7/Zürich +%2F&?#=.json", "another");
    write("p1000", "new");
    std::fs::remove_file(folder.path().join("names/p8/Zürich +%2F&?#=.json")).unwrap();
    let done = deltic(&["import", &url, "--layer", "names=names"]);
    assert!(done.starts_with("committed version 2: 1 added, 1 modified, 1 deleted"), "{done}");
    assert!(deltic(&["plan"]).contains("incremental"));
    let done = deltic(&["run"]);
    assert!(done.contains("committed version 2: 2 put, 1 deleted"), "{done}");
    assert!(deltic(&["run"]).contains("nothing changed"));
    assert_eq!(deltic(&["get", &output, "names", "p7/Zürich +%2F&?#=.json"]), "another");
    assert_eq!(deltic(&["get", &output, "names", "p8/Zürich +%2F&?#=.json", "--version", "1"]), "8 ".repeat(100));

    write("p9/Zürich +%2F&?#=.json", &"more ".repeat(1000));
    deltic(&["import", &url, "--layer", "names=names"]);
    deltic(&["run"]);
    for catalog in [&url, &output] {
        deltic(&["retain", catalog, "--last", "1"]);
        assert!(deltic(&["gc", catalog]).starts_with("removed "));
        let checked = deltic(&["fsck", catalog, "--payloads"]);
        assert!(checked.contains("no damage"), "{checked}");
    }
    // The content equals that of a full run.
    let digest = deltic(&["digest", &output]);
    assert!(deltic(&["run", "--full"]).contains("0 put") || deltic(&["digest", &output]) == digest);
    assert_eq!(deltic(&["digest", &output]), digest);
    assert_eq!(deltic(&["ls", &output, "names"]).lines().count(), 300);
}

#[test]
fn a_whole_life_on_s3() {
    Store::s3().iter().for_each(live);
}

#[test]
fn a_whole_life_on_azure() {
    Store::azure().iter().for_each(live);
}

#[test]
fn a_whole_life_in_a_folder() {
    live(&Store::folder());
}
