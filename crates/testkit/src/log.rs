//! A log of which front- and back-ends ran: the first thing to assert of an incremental system.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use deltic_driver::{Event, Observer};

/// Collects what ran. Lines come out sorted, so that a log does not depend on threads.
#[derive(Debug, Default)]
pub struct RunLog {
    lines: Mutex<Vec<(&'static str, String, String)>>,
}

impl RunLog {
    /// The log as text: `front`, `back` or `gone`, the task, and the input or output, in columns.
    pub fn text(&self) -> String {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // By task, then fronts before backs before deletions, then by key.
        let order = |what: &str| ["front", "back", "gone"].iter().position(|known| *known == what);
        lines.sort_by(|a, b| (&a.1, order(a.0), &a.2).cmp(&(&b.1, order(b.0), &b.2)));
        let width = lines.iter().map(|(_, task, _)| task.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (what, task, key) in &lines {
            let _ = writeln!(text, "{what:<6} {task:<width$}  {key}");
        }
        text
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
