//! What can go wrong in a run, by what the caller should do about it.

pub(crate) mod alike;
pub(crate) mod difference;
pub(crate) mod failure;
pub(crate) mod findings;
pub(crate) mod offender;
pub(crate) mod panics;

use deltic_core::{LayerId, TaskId, Version};
use deltic_store::Owner;
use serde::Serialize;

use crate::{Failures, Offender};

/// The result of a step of a run.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a run ended without a new version. The base stands as it was in every case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Compilers said no to partitions, or panicked. Fix the inputs or the compiler.
    #[error("{0}")]
    Compiler(Failures),
    /// Two inputs of a [`Direct`](deltic_compiler::Direct) task claim one output.
    #[error(
        "{task}: output {output} is made from two inputs, {first} and {second}: \
         map them to different outputs, or register the compiler as `DirectMany`"
    )]
    TwoProducers {
        /// The task.
        task: TaskId,
        /// The output both claim.
        output: String,
        /// The first claimant by key.
        first: String,
        /// The second.
        second: String,
    },
    /// Two groups publish one output.
    #[error(
        "{task}: output {output} is published by two groups, {first} and {second}: a partition belongs to one group, so \
         let names say which"
    )]
    TwoGroups {
        /// The task.
        task: TaskId,
        /// The output both publish.
        output: String,
        /// The first group by key.
        first: String,
        /// The second.
        second: String,
    },
    /// A dependency graph mentions one input twice.
    #[error("{task}: the outputs of input {input} are set twice: set them once, all together")]
    MentionedTwice {
        /// The task.
        task: TaskId,
        /// The input.
        input: String,
    },
    /// A global compiler published one output twice.
    #[error("{task}: output {output} is published twice: publish each partition once")]
    PublishedTwice {
        /// The task.
        task: TaskId,
        /// The output.
        output: String,
    },
    /// Compiled twice, partitions came out differently. Make the compilers functions of their inputs: no order of hash
    /// maps, clocks, randomness, threads, or anything kept between calls.
    #[error("{} when compiled twice: {}", count(offenders.len() as u64 + more), first(offenders))]
    NotDeterministic {
        /// The first by task, part and key.
        offenders: Vec<Offender>,
        /// How many others there are.
        more: u64,
    },
    /// What is asked for can not be done with what is there. Nothing was compiled.
    #[error("{0}")]
    Refused(String),
    /// Tasks, layers and catalogs do not fit together. Nothing has run.
    #[error("{0}")]
    Setup(String),
    /// Somebody else writes to the catalog, and would lose what is there. Nothing was written.
    #[error("catalog {url} is written by {owner}, and {by} would replace what is there")]
    Owned {
        /// The catalog.
        url: String,
        /// Who writes to it.
        owner: Owner,
        /// Who was about to: `a run of other tasks`, `an import`.
        by: &'static str,
    },
    /// An import would take more away than its [`ImportLimits`](crate::ImportLimits) allow. Nothing was imported.
    #[error("{url}: layer `{layer}`: {}", guarded(*is_empty, *deleted, *before))]
    Guarded {
        /// The catalog.
        url: String,
        /// The layer.
        layer: LayerId,
        /// Whether nothing would be left of it, because the source is empty.
        is_empty: bool,
        /// How many partitions would be deleted.
        deleted: u64,
        /// Of how many.
        before: u64,
    },
    /// The output catalog is not at the version that the caller expected.
    #[error("the output catalog is at version {found}, not at {expected} as expected: plan again from there")]
    BaseMoved {
        /// What the caller expected.
        expected: Version,
        /// What is there.
        found: Version,
    },
    /// The stored state does not fit the stored layers.
    #[error("{task}: the stored state is inconsistent: {message}; run with `--full` to build it anew")]
    State {
        /// The task.
        task: TaskId,
        /// What does not fit.
        message: String,
    },
    /// An output layer could not be published.
    #[error("layer {layer}: {message}")]
    Publish {
        /// The layer.
        layer: LayerId,
        /// What is wrong.
        message: String,
    },
    /// It was asked to end early, by [`Stop`](crate::Stop).
    #[error("stopped: nothing was published; version {stands} stands")]
    Stopped {
        /// The version that it started from.
        stands: Version,
    },
    /// The engine could not run.
    #[error("engine: {0}")]
    Engine(String),
    /// The store failed, or another run committed first.
    #[error(transparent)]
    Store(#[from] deltic_store::Error),
}

/// The part of a task that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Deciding whether an input is compiled.
    Filter,
    /// Mapping an input key to output keys.
    MapKey,
    /// The front-end.
    Front,
    /// The back-end.
    Back,
    /// The dependency graph.
    Graph,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Phase::Filter => "filter of",
            Phase::MapKey => "mapping the key of",
            Phase::Front => "front-end of",
            Phase::Back => "back-end of",
            Phase::Graph => "dependency graph of",
        })
    }
}

impl Phase {
    /// The phase as data has it.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Phase::Filter => "filter",
            Phase::MapKey => "map-key",
            Phase::Front => "front",
            Phase::Back => "back",
            Phase::Graph => "graph",
        }
    }
}

fn count(offenders: u64) -> String {
    if offenders == 1 {
        "1 partition comes out differently".to_owned()
    } else {
        format!("{offenders} partitions come out differently")
    }
}

fn guarded(is_empty: bool, deleted: u64, before: u64) -> String {
    if is_empty {
        format!("its source is empty, and {before} partitions would be deleted")
    } else {
        format!("{deleted} of {before} partitions would be deleted")
    }
}

fn first(offenders: &[Offender]) -> String {
    offenders.first().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_have_one_name_as_data() {
        for phase in [Phase::Filter, Phase::MapKey, Phase::Front, Phase::Back, Phase::Graph] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.id());
        }
    }
}
