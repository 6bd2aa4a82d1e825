//! The conformance suite on servers, in a folder whose name must be escaped in a URL.
//!
//! `.ci/servers` starts the servers and names them in the environment. A local folder is always checked.

use deltic_core::RunId;

use crate::{Depth, Stores, doctor};

fn check(url: &str) {
    let found = doctor(&Stores::new(), url, RunId(7), Depth::Full).unwrap();
    let problems: Vec<_> = found.iter().filter(|one| one.problem.is_some()).collect();
    assert!(problems.is_empty(), "{url}: {problems:#?}");
}

#[test]
fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    check(&format!("file:{}/a b+ä%", folder.path().display()));
}

fn server(variable: &str) {
    let Ok(url) = std::env::var(variable) else {
        println!("skipped: {variable} names no store; .ci/servers does");
        return;
    };
    let own = tempfile::tempdir().unwrap();
    let own = own.path().file_name().unwrap().to_str().unwrap().to_owned();
    check(&format!("{url}/a b+ä%26%25c/{own}"));
}

#[test]
fn s3() {
    server("DELTIC_TEST_S3");
}

#[test]
fn azure() {
    server("DELTIC_TEST_AZURE");
}
