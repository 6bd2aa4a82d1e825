//! The inputs that a task compiles: all partitions of its input layers, or those that its filter takes.

use deltic_compiler::{Lookup, Task};

use crate::error::panics::catch_panic;
use crate::input::view::View;
use crate::key::InputKey;
use crate::{Error, Failure, Phase, Result};

/// Whether a task compiles an input. Cost: nothing for a task without a filter.
pub(crate) fn passes_filter(task: &Task, view: &View, input: &InputKey) -> Result<bool> {
    let Some(filter) = task.filter() else { return Ok(true) };
    let failed =
        |key: String, source: anyhow::Error| Error::from(Failure::new(task.id(), Phase::Filter, key, None, &source));
    let key = view.key(input).map_err(|error| failed(format!("{:?}", input.name), error.into()))?;
    let Some((_, layer)) = view.layers().get(input.layer.place()) else { return Ok(false) };
    catch_panic(|| filter.matches(&key, layer))
        .map_err(|panicked| failed(key.to_string(), anyhow::Error::msg(panicked)))
}

/// Leaves out what a task's filter does not take; errors stay.
pub(crate) fn filtered<'a, T>(
    task: &'a Task,
    view: &'a View,
    found: impl Iterator<Item = Result<T>> + 'a,
    key: impl Fn(&T) -> InputKey + 'a,
) -> impl Iterator<Item = Result<T>> + 'a {
    found.filter_map(move |found| match found {
        Ok(one) if task.filter().is_some() => match passes_filter(task, view, &key(&one)) {
            Ok(true) => Some(Ok(one)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        },
        found => Some(found),
    })
}
