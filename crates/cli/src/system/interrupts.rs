//! Ctrl-C and SIGTERM: how a command ends early, and what it prints then.
//!
//! While a command runs, it states how it may end at the moment:
//!
//! * anywhere, since every operation of a store is atomic;
//! * soon: by itself if it can do so within a second, else anywhere;
//! * only by itself: where it checks whether it must stop, or when its work is done. After a second it prints what it waits for.
//!
//! A second signal ends the process wherever it is.
//!
//! The last message is always true: the thread that prints it holds a lock, and no command commits without that lock.
//!
//! On systems other than Unix, no signal is caught: Ctrl-C ends the process, which leaves every catalog intact.

#![cfg_attr(not(unix), expect(dead_code, reason = "nothing is caught there"))]

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deltic_driver::Stop;

use crate::terminal::progress::Progress;

/// SIGINT, whatever the system calls it.
const INTERRUPT: i32 = 2;

/// How long a command may take to end before it prints what it waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a command waits for, a line each.
type Awaited = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// The signals that the process gets. Cheap to clone; clones are the same.
#[derive(Clone)]
pub(crate) struct Interrupts(Arc<Shared>);

struct Shared {
    stop: Stop,
    /// The first signal; 0 if there was none yet.
    signal: AtomicI32,
    doing: Mutex<Doing>,
    progress: Progress,
}

/// How a command may end at the moment.
struct Doing {
    end: End,
    /// The message if the process ends here.
    left: String,
}

#[derive(Clone)]
enum End {
    /// At once.
    Anywhere,
    /// By itself, and after a second anywhere.
    Soon,
    /// By itself only.
    After(Awaited),
}

impl Interrupts {
    /// Listens to signals from now on.
    pub(crate) fn listen(progress: &Progress) -> Interrupts {
        let doing = Doing { end: End::Anywhere, left: String::new() };
        let shared = Shared {
            stop: Stop::new(),
            signal: AtomicI32::new(0),
            doing: Mutex::new(doing),
            progress: progress.clone(),
        };
        let interrupts = Interrupts(Arc::new(shared));
        #[cfg(unix)]
        unix::listen(&interrupts);
        interrupts
    }

    /// The request to stop, which the first signal sets.
    pub(crate) fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// The exit code of a command that was stopped: the code that a shell derives from the signal.
    pub(crate) fn exit_code(&self) -> u8 {
        let signal = self.0.signal.load(Ordering::Acquire);
        128 + u8::try_from(if signal == 0 { INTERRUPT } else { signal }).unwrap_or_default()
    }

    /// From here on the process may end anywhere; `left` is the message then.
    pub(crate) fn may_end(&self, left: impl Into<String>) {
        self.is_doing(End::Anywhere, left.into());
        // A signal may have come while it could not end.
        if self.0.stop.is_requested() {
            let doing = self.doing();
            self.leave(&doing);
        }
    }

    /// From here on the command checks whether it must stop. If it does not end within a second, the process may end anywhere.
    pub(crate) fn ends_soon(&self, left: impl Into<String>) {
        self.is_doing(End::Soon, left.into());
    }

    /// From here on the command ends by itself: because it checks whether it must stop, or because it is done.
    pub(crate) fn ends_by_itself(
        &self,
        left: impl Into<String>,
        awaited: impl Fn() -> Vec<String> + Send + Sync + 'static,
    ) {
        self.is_doing(End::After(Arc::new(awaited)), left.into());
    }

    fn is_doing(&self, end: End, left: String) {
        *self.doing() = Doing { end, left };
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.0.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a signal.
    #[cfg(unix)]
    fn caught(&self, signal: i32) {
        let doing = self.doing();
        let is_first = self.0.signal.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire).is_ok();
        self.0.stop.request();
        if !is_first || matches!(doing.end, End::Anywhere) {
            self.leave(&doing);
        }
        drop(doing);
        let late = self.clone();
        // Without a thread, no message about the wait is printed.
        let _ = std::thread::Builder::new().spawn(move || {
            std::thread::sleep(PATIENCE);
            late.is_late();
        });
    }

    /// Prints what a command waits for, a second after it was asked to end.
    #[cfg(unix)]
    fn is_late(&self) {
        let doing = self.doing();
        match doing.end.clone() {
            End::Anywhere | End::Soon => self.leave(&doing),
            End::After(awaited) => {
                drop(doing);
                for line in awaited() {
                    self.0.progress.print(&format!("waiting for {line}"));
                }
                self.0.progress.print("press Ctrl-C again to end at once");
            }
        }
    }

    /// Ends the process. The caller holds the lock, so that the message stays true.
    fn leave(&self, doing: &Doing) -> ! {
        let left = if doing.left.is_empty() { String::new() } else { format!(": {}", doing.left) };
        self.0.progress.above(&crate::terminal::escape::line(&format!("stopped{left}")));
        deltic_exit::leave(i32::from(self.exit_code()))
    }
}

#[cfg(unix)]
mod unix {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    use super::Interrupts;

    /// Starts a thread that takes signals. If that is not possible, signals end the process as usual.
    pub(super) fn listen(interrupts: &Interrupts) {
        let wanted: Vec<i32> = [SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal)).collect();
        let taking = interrupts.clone();
        let started = Signals::new(wanted).and_then(|mut signals| {
            let thread = std::thread::Builder::new().name("signals".to_owned());
            thread.spawn(move || signals.forever().for_each(|signal| taking.caught(signal)))
        });
        if let Err(error) = started {
            tracing::warn!(%error, "signals can not be caught: they end the process at once");
        }
    }

    /// Whether the parent process made a signal ignored, as shells do for background processes.
    fn is_ignored(signal: i32) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
        ignored >> (signal - 1) & 1 == 1
    }
}
