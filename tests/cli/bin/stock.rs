//! The stock binary, as the tests of the command line run it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: deltic::Allocator = deltic::Allocator;

fn main() -> ExitCode {
    deltic::stock()
}
