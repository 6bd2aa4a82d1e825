//! The failure of a command: its message, its hints and its exit code.
//!
//! | code | when |
//! |---|---|
//! | 0 | done; also when the reader of the output went away |
//! | 1 | failed: data, compiler or store |
//! | 2 | usage or configuration: nothing was tried |
//! | 3 | conflict: another run was first |
//! | 4 | done, but the result could not be written: what was committed stands |
//! | 130, 143 | stopped by Ctrl-C, by SIGTERM: nothing was published |

use std::error::Error as StdError;
use std::fmt;

use deltic_driver::{ErrorKind as RunErrorKind, Failures};
use deltic_store::{ErrorKind, Secrets};
use serde_json::{Map, Value, json};

use crate::terminal::{colours, escape};

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command failed: a message of one line, and more lines below it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    kind: &'static str,
    message: String,
    /// Lines that belong to the message: what failed, one by one.
    listed: Vec<String>,
    hints: Vec<String>,
    /// What programs are told besides.
    details: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// The reader of the output has gone: nothing failed.
    Unread,
    /// The output could not be written.
    Unwritten,
    /// The same, of a command that has done what it was to do.
    DoneUnwritten,
    Failed,
    Usage,
    Conflict,
    Stopped,
}

impl Failure {
    /// Data, a compiler or a store failed.
    pub(crate) fn failed(message: impl Into<String>) -> Failure {
        Failure {
            exit: Exit::Failed,
            kind: "failed",
            message: message.into(),
            listed: Vec::new(),
            hints: Vec::new(),
            details: Map::new(),
        }
    }

    /// The command line or the configuration is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, kind: "usage", ..Failure::failed(message) }
    }

    /// Another run was first.
    pub(crate) fn conflict(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Conflict, kind: "conflict", ..Failure::failed(message) }
    }

    /// It was asked to end, and did.
    pub(crate) fn stopped(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Stopped, kind: "stopped", ..Failure::failed(message) }
    }

    /// A file could not be read or written.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
        Failure::failed(format!("{}: {doing}: {error}", path.display()))
    }

    /// Adds a line that helps.
    #[must_use]
    pub(crate) fn hint(mut self, line: impl Into<String>) -> Failure {
        self.hints.push(line.into());
        self
    }

    /// By what a program that is to decide may go.
    #[must_use]
    fn of_kind(self, kind: &'static str) -> Failure {
        Failure { kind, ..self }
    }

    /// Adds a field for programs.
    #[must_use]
    pub(crate) fn detail(mut self, field: &str, value: impl Into<Value>) -> Failure {
        self.details.insert(field.to_owned(), value.into());
        self
    }

    /// What programs are told: the fields of `deltic.failure/1`. Nothing where it is the output that failed, or nobody reads it.
    pub(crate) fn for_programs(&self) -> Option<Map<String, Value>> {
        if matches!(self.exit, Exit::Unread | Exit::Unwritten | Exit::DoneUnwritten) {
            return None;
        }
        let mut fields = self.details.clone();
        let hints: Vec<_> = self.hints.iter().map(|hint| escape::with_program_name(hint)).collect();
        fields.extend([
            ("kind".to_owned(), json!(self.kind)),
            ("message".to_owned(), json!(escape::with_program_name(&self.message))),
            ("hints".to_owned(), json!(hints)),
        ]);
        let secrets = Secrets::of_environment();
        fields.values_mut().for_each(|value| hide(&secrets, value));
        Some(fields)
    }

    /// The same, if it is the output that failed, of a command that had done something by then: that is said.
    pub(crate) fn after(self, done: String) -> Failure {
        match self.exit {
            // Nothing else than this is said.
            Exit::Unread => Failure { message: format!("nobody read the output to its end: {done}"), ..self },
            Exit::Unwritten => Failure { exit: Exit::DoneUnwritten, ..self.hint(done) },
            _ => self,
        }
    }

    /// Whether it was asked to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.exit == Exit::Stopped
    }

    /// Says on standard error what happened, and gives the exit code; `stopped` is that of a command that was stopped.
    pub(crate) fn report(&self, stopped: u8) -> u8 {
        // A message may repeat what was typed or configured, and what compilers said.
        let secrets = Secrets::of_environment();
        let label = if matches!(self.exit, Exit::Stopped | Exit::Unread) { "" } else { "error: " };
        let say = |label: &str, line: &str| {
            escape::to_stderr(&format!("{}{}\n", colours::on_error(label), escape::line(&secrets.hide(line))));
        };
        if !self.message.is_empty() {
            say(label, &self.message);
        }
        self.listed.iter().chain(&self.hints).for_each(|line| say("  ", line));
        match self.exit {
            Exit::Unread => 0,
            Exit::Failed | Exit::Unwritten => 1,
            Exit::Usage => 2,
            Exit::Conflict => 3,
            Exit::DoneUnwritten => 4,
            Exit::Stopped => stopped,
        }
    }

    fn of_store(error: &deltic_store::Error, message: String) -> Failure {
        match error.kind() {
            ErrorKind::Conflict { .. } => Failure::conflict(message),
            ErrorKind::InvalidInput => Failure::usage(message),
            ErrorKind::NotFound => Failure::failed(message).of_kind("not-found"),
            ErrorKind::Expired => Failure::failed(message).of_kind("expired"),
            ErrorKind::Corrupt { .. } => Failure::failed(message).of_kind("corrupt"),
            ErrorKind::Unavailable => Failure::failed(message).of_kind("unavailable"),
            _ => Failure::failed(message),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// So that user code's errors and these can travel the same way.
impl StdError for Failure {}

impl From<deltic_store::Error> for Failure {
    fn from(error: deltic_store::Error) -> Failure {
        Failure::of_store(&error, in_full(&error))
    }
}

impl From<deltic_driver::Error> for Failure {
    fn from(error: deltic_driver::Error) -> Failure {
        let message = in_full(&error);
        match error.kind() {
            // The one error of several lines, each about one partition.
            RunErrorKind::Compiler(Failures { all, cut_short, because, full }) => {
                let mut lines = message.split('\n');
                let first = Failure::failed(lines.next().unwrap_or_default()).of_kind("compiler");
                let first = first.detail("failures", json!(all)).detail("cut_short", *cut_short);
                let first = first.detail("because", because.clone()).detail("limits_passed", json!(full));
                Failure { listed: lines.map(|line| line.trim_start().to_owned()).collect(), ..first }
            }
            RunErrorKind::NotDeterministic { .. } => Failure::failed(message).of_kind("compiler"),
            RunErrorKind::Setup | RunErrorKind::Owned { .. } => Failure::usage(message),
            RunErrorKind::Stopped { .. } => Failure::stopped(message),
            RunErrorKind::BaseMoved { .. } => Failure::conflict(message),
            RunErrorKind::Store(error) => Failure::of_store(error, message),
            _ => Failure::failed(message),
        }
    }
}

impl From<deltic_core::Error> for Failure {
    /// Only what people typed is checked by hand, so it is the usage that is wrong.
    fn from(error: deltic_core::Error) -> Failure {
        Failure::usage(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        match error.downcast::<Failure>() {
            Ok(failure) => failure,
            Err(error) => Failure::failed(format!("{error:#}")),
        }
    }
}

/// What became of the output.
pub(crate) fn unwritten(error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Failure { exit: Exit::Unread, ..Failure::failed("") };
    }
    let message = format!("the output could not be written: {error}");
    Failure { exit: Exit::Unwritten, ..Failure::failed(message) }
}

/// Takes secrets out of all texts of a value.
fn hide(secrets: &Secrets, value: &mut Value) {
    match value {
        Value::String(text) => *text = secrets.hide(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(secrets, item)),
        Value::Object(fields) => fields.values_mut().for_each(|field| hide(secrets, field)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// An error with its causes, none of them twice.
fn in_full(error: &dyn StdError) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let inner = std::io::Error::other("disk full");
        let error = anyhow::Error::new(inner).context("writing").context("copying: writing: disk full");
        assert_eq!(in_full(error.as_ref()), "copying: writing: disk full");
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(unwritten(&gone).exit, Exit::Unread);
        assert_eq!(unwritten(&std::io::Error::other("x")).exit, Exit::Unwritten);
    }
}
