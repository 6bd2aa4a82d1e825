//! The tasks of a binary: how they are registered, and the identity of their code.

use deltic_compiler::{BadPlan, BadTask, ConfigError, Setup, Task};

use super::inputs::Inputs;
use crate::config::Config;
use crate::system::identity;
use crate::terminal::failure::{Failure, Outcome};

/// How a binary registers its tasks.
pub(crate) type Register<'a> = Box<dyn FnMut(&mut Setup, &Inputs<'_>) -> anyhow::Result<()> + 'a>;

/// Registers the tasks. The errors of compilers about their sections get their place in the configuration.
pub(crate) fn tasks(
    config: &Config,
    mut setup: Setup,
    mut register: Register<'_>,
    inputs: &Inputs<'_>,
) -> Outcome<Vec<Task>> {
    let registered = register(&mut setup, inputs).and_then(|()| setup.finish());
    registered.map_err(|error| not_registered(config, error))
}

/// Tasks that could not be registered.
pub(crate) fn not_registered(config: &Config, error: anyhow::Error) -> Failure {
    match error.downcast_ref::<ConfigError>() {
        Some(wrong) => config.locate(wrong).into(),
        None if error.is::<BadTask>() || error.is::<BadPlan>() => Failure::usage(format!("{error:#}")),
        None => error.into(),
    }
}

/// The identity of code, where a task states none. To know it takes a look at the whole executable: only where it counts.
pub(crate) fn code_of(tasks: &[Task]) -> Outcome<String> {
    let stated = tasks.iter().all(|task| task.code_version().is_some());
    Ok(if stated { String::new() } else { identity::code_identity()? })
}
