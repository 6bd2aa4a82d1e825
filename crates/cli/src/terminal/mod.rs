//! What reaches people and programs, on standard output and standard error: results, failures, progress and logs, panics; and how
//! text, numbers and colours look there.
//!
//! Uses no other room. All text passes [`escape`], so that nothing in it can command a terminal or look like another line.

pub(crate) mod colours;
pub(crate) mod columns;
pub(crate) mod escape;
pub(crate) mod failure;
pub(crate) mod numbers;
pub(crate) mod out;
pub(crate) mod panics;
pub(crate) mod progress;
mod running_calls;
pub(crate) mod shell_words;
pub(crate) mod stdout;
