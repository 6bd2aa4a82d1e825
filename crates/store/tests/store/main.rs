//! Tests of catalogs, trees and packs through the crate's public face: one binary, one module a theme.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails should fail loudly")]

#[path = "../../../../tests/support/listed.rs"]
mod listed;
#[path = "../../../../tests/support/seeds.rs"]
mod seeds;
mod support;

mod batches;
mod bounds;
mod budget;
mod catalog;
mod commit;
mod compare;
mod corruption;
mod damage;
mod doctor;
mod draft;
mod fsck;
mod gc;
mod golden;
mod hand_over;
mod hostile;
mod in_runtime;
mod lineage;
mod lines;
mod parts;
mod progress;
mod repack;
mod retention;
mod second_read;
mod simulation;
mod standing;
mod tree;

/// A file of tests that nobody lists would never run.
#[test]
fn every_file_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store");
    assert_eq!(listed::unlisted(folder.as_ref()), Vec::<String>::new());
}
