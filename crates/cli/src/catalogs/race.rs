//! Commits that race against other runs: which are tried again, and which version stands after one that lost.

use deltic_core::RunId;
use deltic_store::{Catalog, ErrorKind};

use crate::system::identity::new_run_id;
use crate::terminal::failure::{Failure, Outcome};

/// How often a command that lost a race against a run begins again.
const TRIES: u32 = 5;

/// Does something that may lose a race against runs, a few times, each as a run of its own.
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

/// Adds to why run `run` made no version which one stands now: another one where it was overtaken. `nothing` says what was not
/// done. Where the run could not tell whether its version was made, and it was, that is added.
pub(crate) fn stands(failure: Failure, catalog: &Catalog, run: RunId, nothing: &str) -> Failure {
    match catalog.latest() {
        Ok(now) if now.record().run == run => failure.hint(format!("version {} was made all the same", now.version())),
        Ok(now) => failure.hint(format!("{nothing}; version {} stands", now.version())),
        Err(_) => failure,
    }
}
