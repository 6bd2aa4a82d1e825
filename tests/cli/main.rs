//! The command line as people and scripts use it: what it prints, its exit codes, and two processes at once.
//!
//! `UPDATE_EXPECT=1 cargo test -p deltic-tests --test cli` writes down what the commands print now.

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
