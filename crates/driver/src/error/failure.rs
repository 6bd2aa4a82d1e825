//! Failures of compilers, as data: which partition failed, in which phase of the task, and with which message.
//!
//! A stage does not end at the first partition that fails. It runs to the end of its front-ends, or of its back-ends, so
//! that one report lists all inputs to repair. It ends early if very many fail, because then the compiler is broken.

use std::collections::BTreeMap;
use std::fmt;

use deltic_core::{Key, TaskId};
use deltic_store::Secrets;
use serde::Serialize;

use crate::error::groups::group_failures;
use crate::{Error, Phase, Result};

/// The most failures of a task that are listed; with more, its stage ends at once.
pub(crate) const LISTED: usize = 100;

/// The most failures of a task that are listed if the limit of its quarantine ended the run.
const EXAMPLES: usize = 5;

/// The most bytes of a message that are kept: a message may quote a whole payload, and is stored with the state.
const MESSAGE_BYTES: usize = 2048;

/// A partition on which a compiler failed or panicked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The task.
    pub task: TaskId,
    /// The part of the task that failed.
    pub phase: Phase,
    /// The partition it ran for.
    pub key: String,
    /// An input to look at, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub input: Option<Key>,
    /// The error or panic with its causes; cut if it is long.
    pub message: String,
}

fn as_text<S: serde::Serializer>(key: &Option<Key>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(&key.as_ref().map(ToString::to_string).unwrap_or_default())
}

impl Failure {
    pub(crate) fn new(
        task: &TaskId,
        phase: Phase,
        key: String,
        input: Option<&Key>,
        source: &anyhow::Error,
    ) -> Failure {
        // It may be stored in the table of errors, where anybody who reads the catalog can see it.
        let mut message = Secrets::of_environment().hide(&format!("{source:#}")).into_owned();
        if message.len() > MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
            message.push('…');
        }
        Failure { task: task.clone(), phase, key, input: input.cloned(), message }
    }
}

impl fmt::Display for Failure {
    /// On one line: a line break of the message is written `\n`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.replace('\n', "\\n");
        write!(f, "{}: {} {}: {message}", self.task, self.phase, self.key)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::compiler(Failures { all: vec![failure], ..Failures::default() })
    }
}

/// Separates a failure of user code, which is a result, from an error that ends the run.
pub(crate) fn attempt<T>(result: Result<T>) -> Result<std::result::Result<T, Box<Failure>>> {
    match result.map_err(Error::into_failures) {
        Ok(done) => Ok(Ok(done)),
        Err(Ok(failures)) => match <[Failure; 1]>::try_from(failures.all) {
            Ok([failure]) => Ok(Err(Box::new(failure))),
            Err(all) => Err(Error::compiler(Failures { all, ..failures })),
        },
        Err(Err(error)) => Err(error),
    }
}

/// What failed in a run: task by task in their order, in each in the order of the partitions.
///
/// A task ends at once when it has more than 100 failures, or more than its quarantine takes if that is a greater number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// The failures; never none in an error.
    pub all: Vec<Failure>,
    /// Whether a task ended early because too many partitions failed: there may be more failures.
    pub cut_short: bool,
    /// Why a task that has a quarantine could not use it: it has another pattern than in the base, so that it is not known
    /// which partitions to keep.
    pub because: Option<String>,
    /// The quarantines that are full.
    pub full: Vec<QuarantineFull>,
}

/// A quarantine whose limit was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantineFull {
    /// The task.
    pub task: TaskId,
    /// The most partitions that may fail.
    pub most: usize,
}

impl fmt::Display for QuarantineFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let QuarantineFull { task, most } = self;
        write!(
            f,
            "the quarantine of task `{task}` is full: at most {most} of its partitions may fail; raise the limit with \
             compiler.{task}.on_error = {{ quarantine = N }} or `Task::on_error`, or mend what fails"
        )
    }
}

impl Failures {
    /// Adds a failure; returns an error with all of them if they are too many to go on.
    pub(crate) fn add(&mut self, failure: Failure, most: usize) -> Result<()> {
        self.all.push(failure);
        if self.all.len() <= most.max(LISTED) {
            return Ok(());
        }
        self.cut_short = true;
        Err(Error::compiler(std::mem::take(self)))
    }

    /// Adds the failures of a later task.
    pub(crate) fn extend(&mut self, other: Failures) {
        self.all.extend(other.all);
        self.cut_short |= other.cut_short;
        self.because = self.because.take().or(other.because);
        self.full.extend(other.full);
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = group_failures(&self.all);
        self.full.iter().try_for_each(|limit| write!(f, "{limit}\n  "))?;
        match &self.all[..] {
            [one] => write!(f, "{one}")?,
            all => write!(f, "{} failures", all.len())?,
        }
        let (mut listed, mut more) = (BTreeMap::<&TaskId, usize>::new(), 0);
        for line in lines.iter().filter(|_| self.all.len() > 1) {
            let of_task = listed.entry(line.task).or_default();
            *of_task += 1;
            let is_full = self.full.iter().any(|limit| limit.task == *line.task);
            match *of_task > if is_full { EXAMPLES } else { LISTED } {
                true => more += line.count,
                false => write!(f, "\n  {}: {line}", line.task)?,
            }
        }
        if more > 0 {
            write!(f, "\n  and {more} more")?;
        }
        if self.cut_short {
            f.write_str("\n  and perhaps more: too much failed to go on")?;
        }
        self.because.as_ref().map_or(Ok(()), |because| write!(f, "\n  {because}"))
    }
}

impl std::error::Error for Failures {}

/// A partition in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// The task.
    pub task: TaskId,
    /// `Front` for an input, `Back` for an output.
    pub phase: Phase,
    /// The partition.
    pub key: String,
    /// The message of the compiler, or which inputs hold the output back.
    pub message: String,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}: {}", self.task, self.phase, self.key, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_quarantine_hides_nothing_of_other_tasks() {
        let failure = |task: &str, number: usize| Failure {
            task: TaskId::new(task).unwrap(),
            phase: Phase::Front,
            key: format!("in/{number:03}"),
            input: None,
            message: format!("no {number}"),
        };
        let all: Vec<Failure> = (0..EXAMPLES + 2).map(|number| failure("a", number)).chain([failure("b", 7)]).collect();
        let full = vec![QuarantineFull { task: TaskId::new("a").unwrap(), most: EXAMPLES }];
        let text = Failures { all, full, ..Failures::default() }.to_string();
        let of = |task: &str| text.matches(&format!("\n  {task}: ")).count();
        assert_eq!((of("a"), of("b")), (EXAMPLES, 1), "{text}");
        assert!(text.ends_with("\n  and 2 more"), "{text}");
        let reached = |task: &str| Failures {
            all: vec![failure(task, 1)],
            full: vec![QuarantineFull { task: TaskId::new(task).unwrap(), most: 1 }],
            ..Failures::default()
        };
        let mut both = reached("a");
        both.extend(reached("b"));
        let text = both.to_string();
        assert!(
            ["`a` is full", "`b` is full", "a: front-end", "b: front-end"].iter().all(|one| text.contains(one)),
            "{text}"
        );
        let all: Vec<Failure> = (0..LISTED + 3).map(|number| failure("a", number)).collect();
        let text = Failures { all, ..Failures::default() }.to_string();
        assert!(text.matches("\n  a: ").count() == LISTED && text.ends_with("\n  and 3 more"), "{text}");
    }
}
