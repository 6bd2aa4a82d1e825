//! Panics: shown where they happen, and an error of the command where they would end the program.
//!
//! What tasks compile is called with its panics caught, and each is an error about a partition. The rest of a user's code, which
//! sets up the tasks, runs as part of the command: without this, a panic there would end the program with an exit code that is
//! none of ours, and without an error.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::progress::Progress;
use crate::shown;

thread_local! {
    /// Where this thread panicked last, as the hook was told.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Shows on standard error what panics, with a backtrace where `RUST_BACKTRACE` asks for one. Not while the
/// types of intermediate values are tried: such a panic is caught and means nothing.
pub(crate) fn watch(progress: &Progress) {
    let progress = progress.clone();
    std::panic::set_hook(Box::new(move |panic| {
        if deltic_compiler::is_probing() {
            return;
        }
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let _ = PLACE.try_with(|known| known.replace(place.clone()));
        let mut text = format!("thread '{}' panicked at {place}", thread.name().unwrap_or("<unnamed>"));
        let message = panic.payload_as_str().map(shown::quoted).filter(|message| !message.is_empty());
        let backtrace = std::backtrace::Backtrace::capture();
        let captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
        text.extend(message.map(|message| format!(":\n{message}")));
        text.extend(captured.then(|| format!("\n{backtrace}")));
        progress.above(&shown::lines(&text));
    }));
}

/// Calls code, and gives what it panicked with as text: where, unless another hook than ours was set, and what it says.
pub(crate) fn caught<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    PLACE.take();
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        match (PLACE.take(), text.unwrap_or_default()) {
            (place, text) if place.is_empty() => format!("panicked: {text}"),
            (place, "") => format!("panicked at {place}"),
            (place, text) => format!("panicked at {place}: {text}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(
            caught(|| panic!("no {}", "luck")),
            Err::<(), _>("panicked: no luck".to_owned()),
            "without our hook"
        );
        assert_eq!(caught(|| std::panic::panic_any(7)), Err::<(), _>("panicked: ".to_owned()));
    }
}
