//! Rules of patterns that a compiler broke. Each message names the output, what made it, and what to do.

use deltic_core::TaskId;

use crate::{Error, ErrorKind, Phase};

fn broken(task: &TaskId, phase: Phase, key: String, message: String) -> Error {
    Error::new(ErrorKind::Contract, message).in_task(task).about(phase, key)
}

/// Two inputs of a [`Direct`](deltic_compiler::Direct) task claim one output: `first` and `second` by key.
pub(crate) fn two_producers(task: &TaskId, output: String, first: &str, second: &str) -> Error {
    let message = format!(
        "{task}: output {output} is made from two inputs, {first} and {second}: map them to different outputs, or register \
         the compiler as `DirectMany`"
    );
    broken(task, Phase::MapKey, output, message)
}

/// Two groups publish one output: `first` and `second` by key.
pub(crate) fn two_groups(task: &TaskId, output: String, first: &str, second: &str) -> Error {
    let message = format!(
        "{task}: output {output} is published by two groups, {first} and {second}: a partition belongs to one group, so let \
         names say which"
    );
    broken(task, Phase::Back, output, message)
}

/// A dependency graph sets the outputs of one input twice.
pub(crate) fn duplicate_edges(task: &TaskId, input: String) -> Error {
    let message = format!("{task}: the outputs of input {input} are set twice: set them once, all together");
    broken(task, Phase::Graph, input, message)
}

/// A global compiler publishes one output twice.
pub(crate) fn duplicate_output(task: &TaskId, output: String) -> Error {
    let message = format!("{task}: output {output} is published twice: publish each partition once");
    broken(task, Phase::Back, output, message)
}
