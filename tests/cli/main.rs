//! The command line as people and scripts use it: what it prints, its exit codes, and two processes at once.
//!
//! `UPDATE_EXPECT=1 cargo test -p deltic-tests --test cli` rewrites the transcripts with what the commands print now, and
//! `messages.txt`, the page of all messages.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "test code")]

mod archives;
mod batches;
mod documented;
mod environment;
mod exported;
mod failures;
mod hostile;
mod import;
mod interrupt;
#[path = "../support/listed.rs"]
mod listed;
mod messages;
mod mistakes;
mod names;
mod output;
mod printing;
mod race;
mod redact;
mod resume;
mod secrets;
mod server;
mod shell;
mod tiles;
mod transcripts;

/// A file of tests that nobody lists would never run.
#[test]
fn every_file_is_listed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/cli");
    assert_eq!(listed::unlisted(folder.as_ref()), Vec::<String>::new());
}
