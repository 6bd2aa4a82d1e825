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
