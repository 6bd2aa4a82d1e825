//! The stock binary, as the tests of the command line run it.

use std::process::ExitCode;

fn main() -> ExitCode {
    deltic::stock()
}
