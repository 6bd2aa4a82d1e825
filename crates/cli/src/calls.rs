//! Which user code is running: what a run waits for that is to end.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use deltic_compiler::OutKey;
use deltic_core::{Key, TaskId};
use deltic_driver::{Event, Phase};

/// The calls of user code that have not returned. A thread runs one call at a time.
#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<ThreadId, Call>>);

struct Call {
    task: TaskId,
    what: What,
}

enum What {
    Front(Key),
    Back(OutKey),
    Whole(Phase),
}

impl Calls {
    /// Takes note of an event, on the thread on which it happens.
    pub(crate) fn note(&self, event: &Event<'_>) {
        let call = |task: &TaskId, what| {
            self.running().insert(std::thread::current().id(), Call { task: task.clone(), what });
        };
        match event {
            Event::Front { task, key } => call(task, What::Front((*key).clone())),
            Event::Back { task, key } => call(task, What::Back((*key).clone())),
            Event::Whole { task, phase } => call(task, What::Whole(*phase)),
            Event::Returned { .. } => drop(self.running().remove(&std::thread::current().id())),
            _ => {}
        }
    }

    /// What has not ended yet, a line each, always in the same order.
    pub(crate) fn awaited(&self) -> Vec<String> {
        let running = self.running();
        let line = |call: &Call| match &call.what {
            What::Front(key) => format!("the front-end of {}: {key}", call.task),
            What::Back(key) => format!("the back-end of {}: {key}", call.task),
            What::Whole(Phase::Back) => format!("the back-end of {}: the whole output", call.task),
            What::Whole(_) => format!("the front-end of {}: the whole input", call.task),
        };
        let mut lines: Vec<String> = running.values().map(line).collect();
        lines.sort();
        if lines.is_empty() {
            lines.push("the store".to_owned());
        }
        lines
    }

    fn running(&self) -> MutexGuard<'_, HashMap<ThreadId, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
