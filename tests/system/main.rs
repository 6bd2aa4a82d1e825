//! Everything that takes more than one crate to test, in one binary.

mod budgets;
mod graph;
mod incremental;
mod patterns;
mod races;
mod transit;
mod which_ran;
