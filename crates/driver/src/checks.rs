//! What a stage does besides its work while it is being checked.

use crate::twice::Offenders;
use crate::verify::Sample;
use crate::{Error, Failures};

/// How a stage is checked: not at all, unless told otherwise.
#[derive(Clone, Copy, Default)]
pub(crate) struct Checks<'a> {
    /// User code runs twice, and what comes out differently is noted here.
    pub(crate) twice: Option<&'a Offenders>,
    /// The order of work within a batch is not the usual one, the first time either.
    pub(crate) shuffled: bool,
    /// What user code fails on is in quarantine, so much of it at most, whatever the task's policy is.
    pub(crate) failures: Option<usize>,
    /// This takes the place of what a change affects.
    pub(crate) sample: Option<&'a Sample>,
}

/// The most differences and offenders that are listed.
pub(crate) const MOST: usize = 100;

/// The most failures of a task that a verification goes on after.
pub(crate) const MOST_FAILURES: usize = 10_000;

/// What an error tells of user code or of what it made, a line each; the error itself where it is one of stores or
/// engines: that is no finding.
pub(crate) fn findings(error: Error) -> Result<Vec<String>, Error> {
    match error {
        Error::Compiler(Failures { all, because, cut_short, .. }) => {
            let task = all.last().map(|last| last.task.clone()).filter(|_| cut_short);
            let more = task.map(|task| format!("{task}: too much failed to go on, and there may be more"));
            Ok(all.iter().map(ToString::to_string).chain(because).chain(more).collect())
        }
        Error::TwoProducers { .. }
        | Error::TwoGroups { .. }
        | Error::MentionedTwice { .. }
        | Error::PublishedTwice { .. }
        | Error::State { .. } => Ok(vec![error.to_string()]),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, Phase};

    #[test]
    fn a_list_that_was_cut_short_says_so() {
        let task = deltic_core::TaskId::new("words").unwrap();
        let (key, message) = ("in/texts/a".to_owned(), "no".to_owned());
        let all = vec![Failure { task, phase: Phase::Front, key, input: None, message }];
        let found = |cut_short| {
            findings(Error::Compiler(Failures { all: all.clone(), cut_short, ..Failures::default() }))
                .unwrap()
                .join("\n")
        };
        assert_eq!(found(false), "words: front-end of in/texts/a: no");
        let more = "\nwords: too much failed to go on, and there may be more";
        assert_eq!(found(true), found(false) + more);
    }
}
