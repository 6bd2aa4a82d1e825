//! The error of a run: a kind to decide by, a place, and a message for people.
//!
//! There is one kind for each thing that a caller can do, as in `deltic_store`. No kind is a catch-all: an error of the
//! store keeps its own kind, a failure of this machine is [`ErrorKind::Machine`], and a bug in this crate is
//! [`ErrorKind::Internal`].
//!
//! After an error of a run no new version exists, with one exception: after an error of the store at the commit it may exist,
//! where the answer was lost. [`Catalog::log`](deltic_store::Catalog::log) shows whether it does.

pub(crate) mod contract;
pub(crate) mod difference;
pub(crate) mod failure;
pub(crate) mod findings;
pub(crate) mod groups;
mod kind;
pub(crate) mod offender;
pub(crate) mod panics;
mod phase;

use std::fmt;

use deltic_core::{LayerId, TaskId, Version};
use deltic_store::Owner;

pub use kind::ErrorKind;
pub use phase::Phase;

use crate::{Failures, Offender};

/// The result of a step of a run.
pub type Result<T> = std::result::Result<T, Error>;

/// An error: a kind to decide by, where it happened as far as that is known, and a message for people.
///
/// It is as large as a pointer, so that results stay small.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    /// Empty where the kind holds an error of its own, which has its message.
    message: String,
    task: Option<TaskId>,
    phase: Option<Phase>,
    key: Option<String>,
    source: Option<std::io::Error>,
}

impl Error {
    /// Makes an error from its kind, and a message in lower case that names the place and the way out.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, message: message.into(), task: None, phase: None, key: None, source: None }))
    }

    /// What the caller should do.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The kind, with the failures or the error of the store that it holds.
    pub fn into_kind(self) -> ErrorKind {
        self.0.kind
    }

    /// The task it happened in: the first that failed, where several did.
    pub fn task(&self) -> Option<&TaskId> {
        match &self.0.kind {
            ErrorKind::Compiler(failures) => failures.all.first().map(|failure| &failure.task),
            ErrorKind::NotDeterministic { offenders, .. } => offenders.first().map(|offender| &offender.task),
            _ => self.0.task.as_ref(),
        }
    }

    /// The part of the task that it happened in: of the first partition that failed, where several did.
    pub fn phase(&self) -> Option<Phase> {
        match &self.0.kind {
            ErrorKind::Compiler(failures) => failures.all.first().map(|failure| failure.phase),
            ErrorKind::NotDeterministic { offenders, .. } => offenders.first().map(|offender| offender.phase),
            _ => self.0.phase,
        }
    }

    /// The partition it is about, as it is shown: `catalog/layer/name` of an input, `layer/name` of an output. The first that
    /// failed, where several did.
    pub fn key(&self) -> Option<&str> {
        match &self.0.kind {
            ErrorKind::Compiler(failures) => failures.all.first().map(|failure| &*failure.key),
            ErrorKind::NotDeterministic { offenders, .. } => offenders.first().map(|offender| &*offender.key),
            _ => self.0.key.as_deref(),
        }
    }

    /// Adds the task it happened in.
    fn in_task(mut self, task: &TaskId) -> Error {
        self.0.task = Some(task.clone());
        self
    }

    /// Adds the part of the task, and the partition, that it is about.
    fn about(mut self, phase: Phase, key: impl Into<String>) -> Error {
        (self.0.phase, self.0.key) = (Some(phase), Some(key.into()));
        self
    }

    /// Adds the cause. The message contains its text already.
    fn because(mut self, source: std::io::Error) -> Error {
        self.0.source = Some(source);
        self
    }

    pub(crate) fn setup(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Setup, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Refused, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, message)
    }

    /// This machine could not do `what`; `remedy` is what to do about it, and may be empty.
    pub(crate) fn machine(what: impl fmt::Display, source: std::io::Error, remedy: &str) -> Error {
        let separator = if remedy.is_empty() { "" } else { "; " };
        Error::new(ErrorKind::Machine, format!("{what}: {source}{separator}{remedy}")).because(source)
    }

    /// The stored state of a task does not fit: `what` is wrong with it.
    pub(crate) fn state(task: &TaskId, what: impl fmt::Display) -> Error {
        let message = format!("{task}: the stored state is inconsistent: {what}; run with `--full` to build it again");
        Error::new(ErrorKind::State, message).in_task(task)
    }

    /// A partition can not be published in `layer`: `what` is wrong with it.
    pub(crate) fn publish(layer: &LayerId, what: impl fmt::Display) -> Error {
        let message = format!("layer {layer}: {what}");
        Error::new(ErrorKind::InvalidInput { layer: layer.clone(), what: what.to_string() }, message)
    }

    pub(crate) fn compiler(failures: Failures) -> Error {
        Error::new(ErrorKind::Compiler(failures), "")
    }

    /// The failures of user code, if it is an error of these.
    pub(crate) fn into_failures(self) -> std::result::Result<Failures, Error> {
        match self.0.kind {
            ErrorKind::Compiler(failures) => Ok(failures),
            _ => Err(self),
        }
    }

    pub(crate) fn guarded(url: &str, layer: &LayerId, is_empty: bool, deleted: u64, before: u64) -> Error {
        let message = match is_empty {
            true => format!("{url}: layer `{layer}`: its source is empty, and {before} partitions would be deleted"),
            false => format!("{url}: layer `{layer}`: {deleted} of {before} partitions would be deleted"),
        };
        let (url, layer) = (url.to_owned(), layer.clone());
        Error::new(ErrorKind::Guarded { url, layer, is_empty, deleted, before }, message)
    }

    pub(crate) fn not_deterministic(offenders: Vec<Offender>, more: u64) -> Error {
        let first = offenders.first().map(ToString::to_string).unwrap_or_default();
        let message = match offenders.len() as u64 + more {
            1 => format!("1 partition gives different results when compiled twice: {first}"),
            count => format!("{count} partitions give different results when compiled twice: {first}"),
        };
        Error::new(ErrorKind::NotDeterministic { offenders, more }, message)
    }

    pub(crate) fn owned(url: &str, owner: Owner, by: &'static str) -> Error {
        let message = format!("catalog {url} belongs to {owner}, and {by} would replace its content");
        Error::new(ErrorKind::Owned { url: url.to_owned(), owner, by }, message)
    }

    pub(crate) fn base_moved(expected: Version, found: Version) -> Error {
        let message =
            format!("the output catalog is at version {found}, not at {expected} as expected: make a new plan");
        Error::new(ErrorKind::BaseMoved { expected, found }, message)
    }

    pub(crate) fn stopped(base: Version) -> Error {
        let message = format!("stopped: nothing was published; the latest version is {base}");
        Error::new(ErrorKind::Stopped { base }, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            // Formed when it is shown: a stage that goes on makes one of these for each partition that fails.
            ErrorKind::Compiler(failures) => failures.fmt(f),
            ErrorKind::Store(error) => error.fmt(f),
            _ => f.write_str(&self.0.message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            // Its text is this error's text, so the chain goes on with what caused it.
            ErrorKind::Store(error) => error.source(),
            _ => self.0.source.as_ref().map(|source| source as _),
        }
    }
}

impl From<deltic_store::Error> for Error {
    fn from(error: deltic_store::Error) -> Error {
        Error::new(ErrorKind::Store(error), "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;

    fn task() -> TaskId {
        TaskId::new("roads").unwrap()
    }

    #[test]
    fn an_error_is_small_and_can_travel() {
        fn travels<T: Send + Sync + 'static>() {}
        travels::<Error>();
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    /// What a caller does depends on the kind alone.
    #[test]
    fn each_error_has_the_kind_that_it_is_made_for() {
        use ErrorKind::{Contract, Internal, Machine, Refused, Setup, State};
        let (task, layer) = (task(), LayerId::new("roads").unwrap());
        let machine = Error::machine("threads could not be started", std::io::Error::other("no memory"), "");
        assert!(matches!(machine.kind(), Machine), "{machine:?}");
        assert!(matches!(Error::state(&task, "no").kind(), State));
        assert!(matches!(Error::setup("no").kind(), Setup));
        assert!(matches!(Error::refused("no").kind(), Refused));
        assert!(matches!(Error::internal("no").kind(), Internal));
        assert!(matches!(Error::publish(&layer, "no").kind(), ErrorKind::InvalidInput { what, .. } if what == "no"));
        assert!(matches!(Error::base_moved(Version(1), Version(2)).kind(), ErrorKind::BaseMoved { .. }));
        assert!(matches!(Error::stopped(Version(1)).kind(), ErrorKind::Stopped { .. }));
        assert!(matches!(Error::guarded("file:a", &layer, true, 1, 1).kind(), ErrorKind::Guarded { .. }));
        for broken in [
            contract::two_producers(&task, "a/1".to_owned(), "b/1", "b/2"),
            contract::two_groups(&task, "a/1".to_owned(), "b/1", "b/2"),
            contract::duplicate_edges(&task, "b/1".to_owned()),
            contract::duplicate_output(&task, "a/1".to_owned()),
        ] {
            assert!(matches!(broken.kind(), Contract), "{broken:?}");
        }
    }

    #[test]
    fn an_error_names_its_place() {
        let place = |error: &Error| {
            let task = error.task().map(ToString::to_string);
            (task, error.phase(), error.key().map(str::to_owned))
        };
        let in_roads = Some("roads".to_owned());
        let failure = Failure {
            task: task(),
            phase: Phase::Front,
            key: "in/a/b/c".to_owned(),
            input: None,
            message: "no".to_owned(),
        };
        let mut failures = Failures { all: vec![failure.clone()], ..Failures::default() };
        failures.all.push(Failure { phase: Phase::Back, key: "roads/2".to_owned(), ..failure.clone() });
        let first = place(&Error::compiler(failures));
        let error = Error::from(failure);
        assert_eq!(first, place(&error), "of several it is the first");
        assert_eq!(place(&error), (in_roads.clone(), Some(Phase::Front), Some("in/a/b/c".to_owned())));
        assert_eq!(error.to_string(), "roads: front-end of in/a/b/c: no");
        let error = contract::two_producers(&task(), "roads/1".to_owned(), "in/a/b/1", "in/a/b/2");
        assert_eq!(place(&error), (in_roads.clone(), Some(Phase::MapKey), Some("roads/1".to_owned())));
        assert_eq!(place(&Error::state(&task(), "no")), (in_roads, None, None));
        assert_eq!(place(&Error::setup("no")), (None, None, None));
    }

    #[test]
    fn a_cause_is_the_source_and_part_of_the_text() {
        use std::error::Error as _;
        let error = Error::machine("starting threads", std::io::Error::other("no memory"), "");
        assert_eq!(error.to_string(), "starting threads: no memory");
        assert_eq!(error.source().unwrap().to_string(), "no memory");
        let store = deltic_store::Error::new(deltic_store::ErrorKind::Unavailable, "no answer");
        let error = Error::from(store);
        assert_eq!(error.to_string(), "no answer");
        assert!(error.source().is_none());
    }
}
