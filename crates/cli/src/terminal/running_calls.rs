//! Calls of user code that have not returned: a command that must stop waits for them, and they may have ended the process.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use deltic_compiler::OutKey;
use deltic_core::{Key, TaskId};
use deltic_driver::{Event, Phase};

/// The calls of user code that have not returned, by thread. A thread runs one call at a time.
#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<u64, Call>>);

/// The most calls that are listed when user code ends the process.
const MOST_LISTED: usize = 8;

/// How often the lock is tried then.
const TRIES: usize = 1000;

thread_local! {
    /// The number of a thread; 0 for a thread that never ran a call. Unlike a `ThreadId` it needs no destructor, so it can be read
    /// while the process ends.
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

/// The number of this thread.
fn this_thread() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if THREAD.get() == 0 {
        THREAD.set(LAST.fetch_add(1, Ordering::Relaxed) + 1);
    }
    THREAD.get()
}

struct Call {
    task: TaskId,
    what: What,
}

enum What {
    Front(Key),
    Back(OutKey),
    Whole(Phase),
    Ahead,
}

impl Calls {
    /// Records an event, on the thread on which it happens.
    pub(crate) fn note(&self, event: &Event<'_>) {
        let call = |task: &TaskId, what| {
            self.running().insert(this_thread(), Call { task: task.clone(), what });
        };
        match event {
            Event::Front { task, key } => call(task, What::Front((*key).clone())),
            Event::Back { task, key } => call(task, What::Back((*key).clone())),
            Event::Whole { task, phase } => call(task, What::Whole(*phase)),
            Event::ReadAhead { task } => call(task, What::Ahead),
            Event::Returned { .. } => drop(self.running().remove(&this_thread())),
            _ => {}
        }
    }

    /// The calls that have not returned, a line each, always in the same order.
    pub(crate) fn awaited(&self) -> Vec<String> {
        let running = self.running();
        let mut lines: Vec<String> = running.values().map(Call::line).collect();
        lines.sort();
        if lines.is_empty() {
            lines.push("the store".to_owned());
        }
        lines
    }

    /// The call that runs on this thread, or else those on all threads, a line each. For the end of the process: it does not wait
    /// long for the lock, because a signal handler may end the process on the very thread that holds it.
    pub(crate) fn at_work(&self) -> Vec<String> {
        let running = (0..TRIES).find_map(|_| match self.0.try_lock() {
            Ok(running) => Some(running),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                std::thread::yield_now();
                None
            }
        });
        let Some(running) = running else { return Vec::new() };
        if let Some(call) = running.get(&THREAD.get()) {
            return vec![format!("it came from {}", call.line())];
        }
        let mut lines: Vec<String> = running.values().map(|call| format!("{} was running", call.line())).collect();
        lines.sort();
        let more = lines.len().saturating_sub(MOST_LISTED);
        lines.truncate(MOST_LISTED);
        lines.extend((more > 0).then(|| format!("and {more} more")));
        lines
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u64, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    fn line(&self) -> String {
        match &self.what {
            What::Front(key) => format!("the front-end of {}: {key}", self.task),
            What::Back(key) => format!("the back-end of {}: {key}", self.task),
            What::Ahead => format!("the read-ahead of {}", self.task),
            What::Whole(Phase::Back) => format!("the back-end of {}: the whole output", self.task),
            What::Whole(_) => format!("the front-end of {}: the whole input", self.task),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The call of the asking thread has priority over all others, and a list is short enough to read.
    #[test]
    fn what_is_at_work_is_named() {
        let calls = Calls::default();
        assert!(calls.at_work().is_empty());
        let task = |n: usize| TaskId::new(&format!("t{n:02}")).unwrap();
        for threads in [1, MOST_LISTED, MOST_LISTED + 3] {
            for n in 0..threads {
                let (calls, task) = (&calls, task(n));
                let note = move || calls.note(&Event::Whole { task: &task, phase: Phase::Back });
                std::thread::scope(|scope| scope.spawn(note).join()).unwrap();
            }
            let lines = calls.at_work();
            assert_eq!(lines.len(), (threads).min(MOST_LISTED) + usize::from(threads > MOST_LISTED), "{lines:?}");
            assert_eq!(lines[0], "the back-end of t00: the whole output was running");
            assert_eq!(lines.last().is_some_and(|line| line == "and 3 more"), threads > MOST_LISTED, "{lines:?}");
            calls.note(&Event::Whole { task: &task(99), phase: Phase::Front });
            assert_eq!(calls.at_work(), ["it came from the front-end of t99: the whole input"]);
            calls.running().clear();
        }
        // Another thread holds the lock and does not release it.
        let _held = calls.running();
        assert!(calls.at_work().is_empty());
    }
}
