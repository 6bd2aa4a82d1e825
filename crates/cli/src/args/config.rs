//! The options that select the sources of the configuration.

use std::path::PathBuf;

use crate::config::{Config, Sources};
use crate::terminal::failure::Outcome;

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ConfigArgs {
    /// The configuration file; the default is application.conf, if it exists
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set a value, such as driver.threads=4; it overrides the file and the environment
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}

impl ConfigArgs {
    /// Reads the configuration that the command line asks for.
    pub(crate) fn load(&self) -> Outcome<Config> {
        let environment = std::env::vars_os().collect();
        let sources = Sources { file: self.config.clone(), environment, settings: self.settings.clone() };
        Ok(Config::load(&sources)?)
    }
}
