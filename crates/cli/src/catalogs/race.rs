//! Commits that compete with other runs: which are tried again, and which version is the latest after one that lost.

use deltic_core::RunId;
use deltic_store::{Catalog, ErrorKind};

use crate::system::identity::new_run_id;
use crate::terminal::failure::{Failure, Outcome};

/// How often a command starts again after it lost a race against a run.
const TRIES: u32 = 5;

/// Does something that may lose a race against runs, a few times, each time with a new run id.
pub(crate) fn again<T>(mut attempt: impl FnMut(RunId) -> deltic_store::Result<T>) -> Outcome<T> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match attempt(new_run_id()?) {
            Err(error) if left > 0 && matches!(error.kind(), ErrorKind::Conflict { .. }) => {}
            done => return Ok(done?),
        }
    }
}

/// Adds to the failure of run `run` which version is the latest now: another one if the run was overtaken. `nothing` states what
/// was not done. If the run could not find out whether its version was made, and it was made, the hint states that instead.
pub(crate) fn with_latest(failure: Failure, catalog: &Catalog, run: RunId, nothing: &str) -> Failure {
    match catalog.latest() {
        Ok(now) if now.record().run == run => failure.hint(format!("version {} was made nevertheless", now.version())),
        Ok(now) => failure.hint(format!("{nothing}; the latest version is {}", now.version())),
        Err(_) => failure,
    }
}

#[cfg(test)]
mod tests {
    use deltic_core::{CatalogUuid, Timestamp};
    use deltic_store::{NewCatalog, Stores};

    use super::*;

    /// Where an answer was lost, the version may have been made by this very run.
    #[test]
    fn a_version_that_was_made_after_all_is_named() {
        let identity = NewCatalog { uuid: CatalogUuid(5), run: RunId(7), created: Timestamp(0) };
        let catalog = Catalog::create(&Stores::new(), "memory:out", Vec::new(), identity).unwrap();
        let hints =
            |run| with_latest(Failure::failed("no answer"), &catalog, run, "nothing was published").hints().to_vec();
        assert_eq!(hints(RunId(7)), ["version 0 was made nevertheless"]);
        assert_eq!(hints(RunId(8)), ["nothing was published; the latest version is 0"]);
    }
}
