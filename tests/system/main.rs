//! Everything that takes more than one crate to test, in one binary.

mod graph;
mod incremental;
mod patterns;
mod transit;
mod which_ran;
