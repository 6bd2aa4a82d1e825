//! Notices when a compiler ends the process while a command is running.
//!
//! A compiler is arbitrary code. It may call [`std::process::exit`], or use a library that does. After `exit(0)` the caller of the process
//! would see success, although nothing was published. A library can not forbid that call, but it can change its effect: while a
//! [`Guard`] lives, an exit that does not come from [`leave`] prints an error, with the calls that were running, and has code 1.
//!
//! `_exit` and signals are not noticed, since they run no handlers. Hardly any code calls `_exit` by accident, and the exit code shows a
//! signal. On systems other than Unix nothing is noticed.
//!
//! This crate exists only for its `unsafe` block, so that `unsafe` can stay forbidden everywhere else: the standard library has no hook for
//! the end of a process.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// The id of the process that must not end yet; 0 for none. A forked child is another process, and may end.
static ARMED: AtomicU32 = AtomicU32::new(0);

/// Describes the running calls, a line each.
type DescribeRunning = Box<dyn Fn() -> Vec<String> + Send>;

/// Called when the process ends.
static DESCRIBE_RUNNING: Mutex<Option<DescribeRunning>> = Mutex::new(None);

/// While it lives, the process ends with a failure, unless [`leave`] ends it.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// From now on an end of the process is an error, until the guard is dropped.
    ///
    /// A handler of `atexit` calls `describe_running` on the thread that ends the process. By then the thread-local variables of that thread
    /// that have a destructor are gone, and other threads are still running. The function must not wait: its own thread may hold a lock
    /// that it needs.
    #[must_use]
    pub fn arm(describe_running: impl Fn() -> Vec<String> + Send + 'static) -> Guard {
        #[cfg(unix)]
        unix::register();
        *DESCRIBE_RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(describe_running));
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

    use super::{ARMED, DESCRIBE_RUNNING};

    const MESSAGE: &str = "error: a compiler, or a library that it uses, called `exit` and ended the process: the command is not \
                           finished\n";
    const HINT: &str = "  the command `log` shows what was committed; a compiler reports a failure as an error\n";

    const FAILED: c_int = 1;

    #[expect(unsafe_code, reason = "functions of the C library, declared as the C standard and POSIX do")]
    // SAFETY: the signatures are those of ISO C and POSIX, and both are sound to call with any argument: `atexit` takes a
    // function that lives as long as the process, and `_exit` takes any number and does not return.
    unsafe extern "C" {
        safe fn atexit(handler: extern "C" fn()) -> c_int;
        safe fn _exit(code: c_int) -> !;
    }

    /// Registers the handler, once. Where the system has no room for another handler, exits are not noticed.
    pub(super) fn register() {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| {
            atexit(ended);
        });
    }

    /// The running calls, if they can be found without waiting. Nothing may unwind out of the handler.
    fn running_calls() -> Vec<String> {
        let Ok(describe) = DESCRIBE_RUNNING.try_lock() else { return Vec::new() };
        let lines = describe.as_ref().map(|describe| catch_unwind(AssertUnwindSafe(describe)));
        lines.and_then(Result::ok).unwrap_or_default()
    }

    extern "C" fn ended() {
        if ARMED.load(Ordering::Acquire) == std::process::id() {
            // Allocating is allowed here: this is not a signal handler.
            let mut message = MESSAGE.to_owned();
            running_calls().iter().for_each(|line| message.push_str(&format!("  {line}\n")));
            message.push_str(HINT);
            // There is no other place to report an error of this write.
            let _ = std::io::stderr().write_all(message.as_bytes());
            _exit(FAILED);
        }
    }
}
