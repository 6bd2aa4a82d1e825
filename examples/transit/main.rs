//! Compiles 378 real versions of 3,400 transit feed descriptions, each incrementally, and proves at the end that
//! the result equals a build from scratch.
//!
//! `cargo run --release --bin transit -- --help`

use deltic_examples::{replay, transit};

fn main() -> anyhow::Result<()> {
    replay::main(&transit::EXAMPLE)?;
    Ok(())
}
