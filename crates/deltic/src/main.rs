//! The stock `deltic` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    deltic::stock()
}
