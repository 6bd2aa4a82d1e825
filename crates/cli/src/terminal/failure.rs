//! The failure of a command: its message, its hints and its exit code.
//!
//! | code | when |
//! |---|---|
//! | 0 | done; also when the reader of the output closed it early |
//! | 1 | failed: data, compiler or store |
//! | 2 | usage or configuration: nothing was tried |
//! | 3 | conflict: another run was first |
//! | 4 | done, but the result could not be written: the committed version exists |
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
    /// Further fields of `deltic.failure/1`.
    details: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// The reader closed the output: nothing failed.
    Unread,
    /// The output could not be written.
    Unwritten,
    /// The same, for a command that has done its work.
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

    /// The command was asked to stop, and did.
    pub(crate) fn stopped(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Stopped, kind: "stopped", ..Failure::failed(message) }
    }

    /// A file could not be read or written.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
        Failure::failed(format!("{}: {doing}: {error}", path.display()))
    }

    #[cfg(test)]
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Adds a hint.
    #[must_use]
    pub(crate) fn hint(mut self, line: impl Into<String>) -> Failure {
        self.hints.push(line.into());
        self
    }

    /// Sets the kind, by which a program can decide.
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

    /// The fields of `deltic.failure/1`. None if the output failed, or if nobody reads it.
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

    /// Adds what the command had done, if it is the output that failed.
    pub(crate) fn after(self, done: String) -> Failure {
        match self.exit {
            // This is the only message.
            Exit::Unread => Failure { message: format!("the output was not read to its end: {done}"), ..self },
            Exit::Unwritten => Failure { exit: Exit::DoneUnwritten, ..self.hint(done) },
            _ => self,
        }
    }

    /// Whether the command was asked to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.exit == Exit::Stopped
    }

    /// Prints the failure to standard error, and returns the exit code; `stopped` is the code of a command that was stopped.
    pub(crate) fn report(&self, stopped: u8) -> u8 {
        // A message may repeat arguments, the configuration, and messages of compilers.
        let secrets = Secrets::of_environment();
        let label = if matches!(self.exit, Exit::Stopped | Exit::Unread) { "" } else { "error: " };
        let print = |label: &str, line: &str| {
            escape::to_stderr(&format!("{}{}\n", colours::on_error(label), escape::line(&secrets.hide(line))));
        };
        if !self.message.is_empty() {
            print(label, &self.message);
        }
        self.listed.iter().chain(&self.hints).for_each(|line| print("  ", line));
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

// User code's errors and these can be returned in the same way.
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
            // The only error with several lines, each about one partition.
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
    /// Only arguments are checked with this type, so the usage is wrong.
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

/// The failure to write the output.
pub(crate) fn unwritten(error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Failure { exit: Exit::Unread, ..Failure::failed("") };
    }
    let message = format!("the output could not be written: {error}");
    Failure { exit: Exit::Unwritten, ..Failure::failed(message) }
}

/// Removes secrets from all texts of a value.
fn hide(secrets: &Secrets, value: &mut Value) {
    match value {
        Value::String(text) => *text = secrets.hide(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(secrets, item)),
        Value::Object(fields) => fields.values_mut().for_each(|field| hide(secrets, field)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// An error with its causes, each once.
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
    fn causes_are_printed_once() {
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
