//! Everything that takes more than one crate to test, in one binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can not go on has failed")]

#[cfg(target_os = "linux")]
mod batches;
mod beyond_pole;
#[cfg(target_os = "linux")]
mod bounded;
mod budgets;
mod damage;
mod dataset;
mod dataset_plan;
mod dataset_ran;
mod dataset_renamed;
mod determinism;
mod failures;
mod filters;
mod fingerprints;
mod graph;
mod incremental;
#[cfg(unix)]
mod killed;
mod leveling;
#[path = "../support/listed.rs"]
mod listed;
mod looked_up;
mod maintenance;
mod manual;
#[cfg(target_os = "linux")]
mod memory;
mod owner;
mod patterns;
mod private;
mod quarantine;
mod races;
mod ranges;
mod rebuild;
mod rebuild_settings;
mod ref_tree;
mod restored;
mod resumed;
mod resumed_random;
#[path = "../support/seeds.rs"]
mod seeds;
mod settings;
mod shapes;
mod side_by_side;
mod special;
mod stated;
mod stopped;
mod tracked;
mod transit;
mod verify;
mod which_ran;

/// A file of tests that nobody lists would never run.
#[test]
fn every_file_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/system");
    assert_eq!(listed::unlisted(folder.as_ref()), Vec::<String>::new());
}

#[test]
fn a_file_that_is_not_listed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    ["out", "data"].iter().for_each(|name| std::fs::create_dir(folder.path().join(name)).unwrap());
    write("main.rs", "mod a;\n// mod b;\npub(crate) mod out;\n");
    ["a.rs", "b.rs", "out/c.rs", "out/named.md", "out/other.md", "data/program.rs", "data/c.txt"]
        .iter()
        .for_each(|name| write(name, ""));
    write("out.rs", "//! Checks `named.md`.\n");
    let found = listed::unlisted(folder.path());
    let start = folder.path().display().to_string().len() + 1;
    let found: Vec<&str> = found.iter().map(|path| &path[start..]).collect();
    assert_eq!(found, ["b.rs", "data/program.rs", "out/c.rs", "out/other.md"]);
}
