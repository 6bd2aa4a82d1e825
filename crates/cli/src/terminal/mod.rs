//! Everything on standard output and standard error: results, failures, progress, logs and panics; and the form of text, numbers
//! and colours there.
//!
//! Uses no other room. All text passes [`escape`], so that nothing in it can control a terminal or look like another line.

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
