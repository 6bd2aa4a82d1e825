//! Notices that a process is ended from inside while a command is under way.
//!
//! A compiler is any code, and may call [`std::process::exit`], or use a library that does. With `exit(0)` whoever started the
//! process would see success, and nothing was published. A library can not forbid the call, so its end is changed: while a
//! [`Guard`] lives, an exit that did not come from [`leave`] says so on standard error, with what was at work, and has code 1.
//!
//! Not noticed are `_exit` and signals, which run no handlers: the first is hardly ever called by chance, the second shows in
//! the exit code. On other systems than Unix nothing is.
//!
//! This crate exists for its `unsafe` block alone, so that it can stay forbidden everywhere else: the standard library has no
//! hook for the end of a process.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// The id of the process whose end would be too early; 0 for none. A child that was forked is another process, and may
/// end.
static ARMED: AtomicU32 = AtomicU32::new(0);

/// What says what is at work, a line each.
type AtWork = Box<dyn Fn() -> Vec<String> + Send>;

/// What is asked when the process ends.
static AT_WORK: Mutex<Option<AtWork>> = Mutex::new(None);

/// While it lives, the process ends with failure unless by [`leave`].
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// From here on an end of the process is too early.
    ///
    /// `at_work` is called on the thread that ends the process, by a handler of `atexit`: the thread-local variables of that
    /// thread that have a destructor are gone by then, and other threads still run. It must wait for nobody: a lock that it
    /// needs may be held by its own thread.
    #[must_use]
    pub fn arm(at_work: impl Fn() -> Vec<String> + Send + 'static) -> Guard {
        #[cfg(unix)]
        unix::register();
        *AT_WORK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(at_work));
        ARMED.store(std::process::id(), Ordering::Release);
        Guard(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        ARMED.store(0, Ordering::Release);
    }
}

/// Ends the process on purpose.
pub fn leave(code: i32) -> ! {
    ARMED.store(0, Ordering::Release);
    std::process::exit(code)
}

#[cfg(unix)]
mod unix {
    use std::ffi::c_int;
    use std::io::Write;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Once;
    use std::sync::atomic::Ordering;

    use super::{ARMED, AT_WORK};

    const SAID: &str = "error: the process was ended from inside, by a call of `exit` in a compiler or in what it uses: the command \
                        is not done\n";
    const HINT: &str = "  the command `log` shows what was committed; a compiler reports a failure as an error\n";

    const FAILED: c_int = 1;

    #[expect(unsafe_code, reason = "functions of the C library, declared as the C standard and POSIX do")]
    // SAFETY: the signatures are those of ISO C and POSIX, and both are sound to call with any argument: `atexit` takes a
    // function that lives as long as the process, and `_exit` takes any number and does not return.
    unsafe extern "C" {
        safe fn atexit(handler: extern "C" fn()) -> c_int;
        safe fn _exit(code: c_int) -> !;
    }

    /// Has the end of the process looked at, once. Where there is no room for one more handler, it is not.
    pub(super) fn register() {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| {
            atexit(ended);
        });
    }

    /// What was at work, if that can be known without waiting. Nothing may unwind out of the handler.
    fn at_work() -> Vec<String> {
        let Ok(at_work) = AT_WORK.try_lock() else { return Vec::new() };
        let lines = at_work.as_ref().map(|at_work| catch_unwind(AssertUnwindSafe(at_work)));
        lines.and_then(Result::ok).unwrap_or_default()
    }

    extern "C" fn ended() {
        if ARMED.load(Ordering::Acquire) == std::process::id() {
            // Memory may be taken here: this is no handler of a signal.
            let mut said = SAID.to_owned();
            at_work().iter().for_each(|line| said.push_str(&format!("  {line}\n")));
            said.push_str(HINT);
            // What can not be written there can be said nowhere.
            let _ = std::io::stderr().write_all(said.as_bytes());
            _exit(FAILED);
        }
    }
}
