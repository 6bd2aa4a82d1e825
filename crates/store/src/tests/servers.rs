//! What a catalog asks of a store, asked of servers, in a folder whose name a URL has to escape.
//!
//! `.ci/servers` starts the servers and names them in the environment; a folder is always asked.

use deltic_core::RunId;

use crate::{Depth, Stores, doctor};

fn ask(url: &str) {
    let found = doctor(&Stores::new(), url, RunId(7), Depth::Full).unwrap();
    let problems: Vec<_> = found.iter().filter(|one| one.problem.is_some()).collect();
    assert!(problems.is_empty(), "{url}: {problems:#?}");
}

#[test]
fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    ask(&format!("file:{}/a b+ä%", folder.path().display()));
}

fn server(variable: &str) {
    let Ok(url) = std::env::var(variable) else {
        println!("skipped: {variable} names no store; .ci/servers does");
        return;
    };
    let own = tempfile::tempdir().unwrap();
    let own = own.path().file_name().unwrap().to_str().unwrap().to_owned();
    ask(&format!("{url}/a b+ä%26%25c/{own}"));
}

#[test]
fn s3() {
    server("DELTIC_TEST_S3");
}

#[test]
fn azure() {
    server("DELTIC_TEST_AZURE");
}
