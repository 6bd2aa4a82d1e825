//! The stock `deltic` binary.

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: deltic::Allocator = deltic::Allocator;

fn main() -> ExitCode {
    deltic::stock()
}
