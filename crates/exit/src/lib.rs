//! Notices that a process is ended from inside while a command is under way.
//!
//! A compiler is any code, and may call [`std::process::exit`], or use a library that does. With `exit(0)` whoever started the
//! process would see success, and nothing was published. A library can not forbid the call, so its end is changed: while a
//! [`Guard`] lives, an exit that did not come from [`leave`] says so on standard error and has code 1.
//!
//! Not noticed are `_exit` and signals, which run no handlers: the first is hardly ever called by chance, the second shows in
//! the exit code. On other systems than Unix nothing is.
//!
//! This crate exists for its `unsafe` block alone, so that it can stay forbidden everywhere else: the standard library has no
//! hook for the end of a process.

use std::sync::atomic::{AtomicU32, Ordering};

/// The id of the process whose end would be too early; 0 for none. A child that was forked is another process, and may
/// end.
static ARMED: AtomicU32 = AtomicU32::new(0);

/// While it lives, the process ends with failure unless by [`leave`].
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// From here on an end of the process is too early.
    #[must_use]
    pub fn arm() -> Guard {
        #[cfg(unix)]
        unix::register();
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
    use std::sync::Once;
    use std::sync::atomic::Ordering;

    use super::ARMED;

    const SAID: &str = "error: the process was ended from inside, by a call of `exit` in a compiler or in what it uses: the command \
                        is not done\n  `deltic log` says what was committed; a compiler reports a failure as an error\n";

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

    extern "C" fn ended() {
        if ARMED.load(Ordering::Acquire) == std::process::id() {
            // What can not be written there can be said nowhere.
            let _ = std::io::stderr().write_all(SAID.as_bytes());
            _exit(FAILED);
        }
    }
}
