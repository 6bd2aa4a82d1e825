//! The command line of an example.

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser};

/// The options of every example.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Keep the catalogs here, as DIR/in and DIR/out, to inspect with `deltic log`, `ls` and `diff`; a later run continues
    /// where this one stopped
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Stop after this version
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub versions: Option<u64>,
    /// Threads; 0 is one for each processor
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
}

impl Arguments {
    /// Reads the command line of this process, and ends it with a message if that is wrong or asks for help.
    pub fn parse(about: &'static str) -> Arguments {
        let matches = Arguments::command().about(about).long_about(None).get_matches();
        Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}
