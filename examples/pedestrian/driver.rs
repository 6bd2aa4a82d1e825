//! The driver of `docs/tutorial.md`: the pedestrian network by tracked reads, and the whole command line.

use deltic::prelude::*;

fn main() -> ExitCode {
    deltic::main(deltic_examples::pedestrian::setup)
}
