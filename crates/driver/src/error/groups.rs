//! Failures with one message, on one line.
//!
//! One mistake in a compiler fails on a hundred partitions with one message. It is reported once, with the number of
//! partitions and a few of their keys.

use std::collections::BTreeMap;
use std::fmt;

use deltic_core::TaskId;

use crate::{Failure, Phase, Quarantined};

/// The number of partitions of a group whose keys are shown. A group that is not larger is split into lines of its own.
const EXAMPLES: usize = 3;

/// Partitions of a task that failed with one message. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// Where in the task.
    pub phase: Phase,
    /// The number of partitions.
    pub count: usize,
    /// The keys of at most three of them.
    pub keys: Vec<&'a str>,
    /// The message of each.
    pub message: &'a str,
}

impl fmt::Display for FailureGroup<'_> {
    /// Without the task. A line break of the message is written `\n`, so that a message is always one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, keys) = (self.phase, self.keys.join(", "));
        let message = self.message.replace('\n', "\\n");
        match self.count {
            1 => write!(f, "{phase} {keys}: {message}"),
            count => write!(f, "{phase} {count} partitions, such as {keys}: {message}"),
        }
    }
}

/// A failure that can be grouped with others.
pub trait Groupable {
    /// The failure as a group of one.
    fn ungrouped(&self) -> FailureGroup<'_>;
}

impl Groupable for Failure {
    fn ungrouped(&self) -> FailureGroup<'_> {
        let Failure { task, phase, key, message, .. } = self;
        FailureGroup { task, phase: *phase, count: 1, keys: vec![key], message }
    }
}

impl Groupable for Quarantined {
    fn ungrouped(&self) -> FailureGroup<'_> {
        let Quarantined { task, phase, key, message } = self;
        FailureGroup { task, phase: *phase, count: 1, keys: vec![key], message }
    }
}

/// Groups failures of a task that have one phase and one message, if there are more than three of them. A group takes the
/// place of its first failure; otherwise the order is kept.
pub fn group_failures<T: Groupable>(all: &[T]) -> Vec<FailureGroup<'_>> {
    let group = |one: &FailureGroup<'_>| (one.task.to_string(), one.phase.to_string(), one.message.to_owned());
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    all.iter().for_each(|one| *counts.entry(group(&one.ungrouped())).or_default() += 1);
    let mut places: BTreeMap<_, usize> = BTreeMap::new();
    let mut lines: Vec<FailureGroup<'_>> = Vec::new();
    for one in all.iter().map(Groupable::ungrouped) {
        let group = group(&one);
        let count = counts.get(&group).copied().unwrap_or(1);
        if count <= EXAMPLES {
            lines.push(one);
        } else if let Some(first) = places.get(&group).and_then(|place| lines.get_mut(*place)) {
            if first.keys.len() < EXAMPLES {
                first.keys.extend(one.keys);
            }
        } else {
            places.insert(group, lines.len());
            lines.push(FailureGroup { count, ..one });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_three_with_one_message_are_one_line() {
        let of = |task: &str, phase, key: String, message: &str| Quarantined {
            task: TaskId::new(task).unwrap(),
            phase,
            key,
            message: message.to_owned(),
        };
        let same = |n: usize| (0..n).map(|i| of("a", Phase::Front, format!("in/{i}"), "no\nway"));
        let lines = |all: &[Quarantined]| group_failures(all).iter().map(ToString::to_string).collect::<Vec<_>>();
        let three: Vec<_> = same(3).collect();
        assert_eq!(lines(&three), [0, 1, 2].map(|i| format!("front-end of in/{i}: no\\nway")));
        let mut all = vec![of("a", Phase::Front, "in/x".to_owned(), "other")];
        all.extend(same(5));
        // One message of another phase or task is another group.
        all.insert(3, of("a", Phase::Back, "out/x".to_owned(), "no\nway"));
        all.push(of("b", Phase::Front, "in/0".to_owned(), "no\nway"));
        let expected = [
            "front-end of in/x: other",
            "front-end of 5 partitions, such as in/0, in/1, in/2: no\\nway",
            "back-end of out/x: no\\nway",
            "front-end of in/0: no\\nway",
        ];
        assert_eq!(lines(&all), expected);
        assert_eq!(group_failures(&all).iter().map(|one| one.count).sum::<usize>(), all.len());
    }
}
