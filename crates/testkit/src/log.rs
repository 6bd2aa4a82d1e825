//! A log of the front- and back-ends that ran: the first thing that a test of an incremental system should check.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use deltic_driver::{Event, Observer};

/// Collects the calls that ran. Its lines are sorted, so that a log does not depend on threads.
#[derive(Debug, Default)]
pub struct RunLog {
    lines: Mutex<Vec<(&'static str, String, String)>>,
}

impl RunLog {
    /// The log as text: `front`, `back` or `gone`, the task, and the input or output, in columns.
    pub fn text(&self) -> String {
        let lines = self.sorted();
        let width = lines.iter().map(|(_, task, _)| task.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (what, task, key) in &lines {
            let _ = writeln!(text, "{what:<6} {task:<width$}  {key}");
        }
        text
    }

    /// The differences between the log and the expected lines, in any order and with any number of blanks. Lines that were not
    /// expected, or not as often, begin with `+`; missing lines begin with `-`.
    pub(crate) fn difference(&self, expected: &[&str]) -> Vec<String> {
        let mut missing: Vec<String> = expected.iter().map(|line| with_single_blanks(line)).collect();
        let mut difference = Vec::new();
        for (what, task, key) in self.sorted() {
            let line = with_single_blanks(&format!("{what} {task} {key}"));
            match missing.iter().position(|expected| *expected == line) {
                Some(found) => drop(missing.remove(found)),
                None => difference.push(format!("+ {line}")),
            }
        }
        difference.extend(missing.iter().map(|line| format!("- {line}")));
        difference
    }

    /// By task, then fronts before backs before deletions, then by key.
    fn sorted(&self) -> Vec<(&'static str, String, String)> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let order = |what: &str| ["front", "back", "gone"].iter().position(|known| *known == what);
        lines.sort_by(|a, b| (&a.1, order(a.0), &a.2).cmp(&(&b.1, order(b.0), &b.2)));
        lines
    }

    fn add(&self, what: &'static str, task: &dyn ToString, key: &dyn ToString) {
        let line = (what, task.to_string(), key.to_string());
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Observer for RunLog {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Front { task, key } => self.add("front", task, key),
            Event::Back { task, key } => self.add("back", task, key),
            Event::Deleted { task, key } => self.add("gone", task, key),
            _ => {}
        }
    }
}

fn with_single_blanks(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_held_against_what_was_expected() {
        let log = RunLog::default();
        for (what, key) in [("gone", "x"), ("back", "b"), ("front", "a"), ("back", "b")] {
            log.add(what, &"t", &key);
        }
        assert_eq!(log.difference(&["back  t  b", "front t a", "gone t x", "back t b"]), [""; 0]);
        assert_eq!(log.difference(&["front t a", "back t b", "back t c"]), ["+ back t b", "+ gone t x", "- back t c"]);
        assert_eq!(RunLog::default().difference(&[]), [""; 0]);
        assert_eq!(RunLog::default().difference(&["gone t x"]), ["- gone t x"]);
    }
}
