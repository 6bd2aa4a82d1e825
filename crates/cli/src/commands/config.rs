//! `config show`: the effective configuration.

use deltic_compiler::Setup;
use serde_json::json;

use crate::args::ConfigArgs;
use crate::config::{document, with_origins};
use crate::job::Register;
use crate::job::inputs::Inputs;
use crate::job::tasks::not_registered;
use crate::terminal::failure::{Failure, Outcome};
use crate::terminal::out::{Format, Out};

/// `config`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every effective value
    Show(Show),
}

/// `config show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) configuration: ConfigArgs,
    /// Show the origin of each value
    #[arg(long)]
    pub(crate) origin: bool,
}

/// Prints every effective value. No catalog is opened.
pub(super) fn show(args: &Show, mut register: Register<'_>, out: &mut Out) -> Outcome {
    let config = args.configuration.load()?;
    let mut setup = Setup::new(config.sections()).with_filters(config.filters());
    let registered = register(&mut setup, &Inputs::closed(&config));
    let sections = setup.effective().clone();
    let tasks = registered.and_then(|()| setup.finish()).map_err(|error| not_registered(&config, error))?;
    let values = config.show(&tasks, &sections);
    if out.format == Format::Json {
        return out.document("deltic.config/1", json!({ "values": values }));
    }
    let text = if args.origin { with_origins(&values) } else { document(&values) };
    let text = text.map_err(|error| Failure::failed(format!("a value can not be written as TOML: {error}")))?;
    out.part(&text)
}
