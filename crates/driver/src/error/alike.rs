//! Failures that say the same, on one line.
//!
//! One mistake in a compiler fails on a hundred partitions with one message: it is told once, with how many there are and
//! a few of them.

use std::collections::BTreeMap;
use std::fmt;

use deltic_core::TaskId;

use crate::{Failure, Phase, Quarantined};

/// So many partitions of a group are named. A group that has no more than that is none: each has its own line.
const EXAMPLES: usize = 3;

/// Partitions of a task that one message is about; shown on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// Where in the task.
    pub phase: Phase,
    /// How many partitions it is about.
    pub count: usize,
    /// Some of them: all, where it is one.
    pub keys: Vec<&'a str>,
    /// What is said about each.
    pub message: &'a str,
}

impl fmt::Display for Alike<'_> {
    /// Without the task. A line break of the message is written `\n`, so that the next line is never the message's own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, keys) = (self.phase, self.keys.join(", "));
        let message = self.message.replace('\n', "\\n");
        match self.count {
            1 => write!(f, "{phase} {keys}: {message}"),
            count => write!(f, "{phase} {count} partitions, such as {keys}: {message}"),
        }
    }
}

/// What can be told together.
pub trait Told {
    /// It alone.
    fn alone(&self) -> Alike<'_>;
}

impl Told for Failure {
    fn alone(&self) -> Alike<'_> {
        let Failure { task, phase, key, message, .. } = self;
        Alike { task, phase: *phase, count: 1, keys: vec![key], message }
    }
}

impl Told for Quarantined {
    fn alone(&self) -> Alike<'_> {
        let Quarantined { task, phase, key, message } = self;
        Alike { task, phase: *phase, count: 1, keys: vec![key], message }
    }
}

/// Puts together what says the same of more than three partitions of a task, at the place of the first; the order stays.
pub fn alike<T: Told>(all: &[T]) -> Vec<Alike<'_>> {
    let group = |one: &Alike<'_>| (one.task.to_string(), one.phase.to_string(), one.message.to_owned());
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    all.iter().for_each(|one| *counts.entry(group(&one.alone())).or_default() += 1);
    let mut places: BTreeMap<_, usize> = BTreeMap::new();
    let mut lines: Vec<Alike<'_>> = Vec::new();
    for one in all.iter().map(Told::alone) {
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
            lines.push(Alike { count, ..one });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_three_that_say_the_same_are_one_line() {
        let of = |task: &str, phase, key: String, message: &str| Quarantined {
            task: TaskId::new(task).unwrap(),
            phase,
            key,
            message: message.to_owned(),
        };
        let same = |n: usize| (0..n).map(|i| of("a", Phase::Front, format!("in/{i}"), "no\nway"));
        let lines = |all: &[Quarantined]| alike(all).iter().map(ToString::to_string).collect::<Vec<_>>();
        let three: Vec<_> = same(3).collect();
        assert_eq!(lines(&three), [0, 1, 2].map(|i| format!("front-end of in/{i}: no\\nway")));
        let mut all = vec![of("a", Phase::Front, "in/x".to_owned(), "other")];
        all.extend(same(5));
        // The same words about another part or task are not the same.
        all.insert(3, of("a", Phase::Back, "out/x".to_owned(), "no\nway"));
        all.push(of("b", Phase::Front, "in/0".to_owned(), "no\nway"));
        let expected = [
            "front-end of in/x: other",
            "front-end of 5 partitions, such as in/0, in/1, in/2: no\\nway",
            "back-end of out/x: no\\nway",
            "front-end of in/0: no\\nway",
        ];
        assert_eq!(lines(&all), expected);
        assert_eq!(alike(&all).iter().map(|one| one.count).sum::<usize>(), all.len());
    }
}
