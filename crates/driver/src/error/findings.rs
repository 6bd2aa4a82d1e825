//! What an error tells of user code, where it is a finding of a check and not the end of it.

use crate::{Error, ErrorKind, Failures};

/// What an error tells of user code or of what it made, a line each; the error itself where it is one of stores or
/// engines: that is no finding.
pub(crate) fn findings(error: Error) -> Result<Vec<String>, Error> {
    match error.kind() {
        ErrorKind::Compiler(Failures { all, because, cut_short, .. }) => {
            let task = all.last().map(|last| &last.task).filter(|_| *cut_short);
            let more = task.map(|task| format!("{task}: too much failed to go on, and there may be more"));
            Ok(all.iter().map(ToString::to_string).chain(because.clone()).chain(more).collect())
        }
        ErrorKind::Contract | ErrorKind::State => Ok(vec![error.to_string()]),
        _ => Err(error),
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
            findings(Error::compiler(Failures { all: all.clone(), cut_short, ..Failures::default() }))
                .unwrap()
                .join("\n")
        };
        assert_eq!(found(false), "words: front-end of in/texts/a: no");
        let more = "\nwords: too much failed to go on, and there may be more";
        assert_eq!(found(true), found(false) + more);
    }
}
