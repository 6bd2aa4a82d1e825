//! Errors of user code, as findings: a verification reports them and goes on.

use crate::{Error, ErrorKind, Failures};

/// The findings in an error of user code or of what it made, one line each. An error of a store or an engine is no finding
/// and is returned.
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
    fn a_list_that_was_cut_short_shows_it() {
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
