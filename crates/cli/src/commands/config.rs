//! `config show`: what holds after all layers of the configuration.

use deltic_compiler::Setup;
use serde_json::json;

use super::job::{load, not_registered};
use crate::args;
use crate::config::{document, with_origins};
use crate::failure::{Failure, Outcome};
use crate::out::{Format, Out};
use crate::sources::{Inputs, Register};

/// Prints every effective value. No catalog is opened.
pub(super) fn show(args: &args::Show, mut register: Register<'_>, out: &mut Out) -> Outcome {
    let config = load(&args.configuration)?;
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
