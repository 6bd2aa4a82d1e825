//! `completions`: a script that completes commands and options in a shell.

use crate::terminal::failure::Outcome;
use crate::terminal::out::Out;

/// `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Writes the script for the command line of a binary.
pub(super) fn completions(args: &Args, mut of: clap::Command, out: &mut Out) -> Outcome {
    let name = of.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut of, name, &mut script);
    out.bytes(&script)
}
