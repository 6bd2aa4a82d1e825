//! Panics of user code: which are printed, and which become an error of the command.
//!
//! The driver catches the panics of compilers: each is an error about a partition. The set-up of the tasks is called in the same
//! way, and a panic there is an error of the command: otherwise it would end the program with another exit code and without an
//! error. A panic that becomes an error is not also printed, unless with a backtrace.

use crate::terminal::escape;
use crate::terminal::progress::Progress;

/// Prints panics that do not become an error to standard error. If `RUST_BACKTRACE` asks for backtraces, it prints all panics,
/// each with one. It prints none while the types of intermediate values are tried: such a panic is caught and means nothing.
pub(crate) fn watch(progress: &Progress) {
    let progress = progress.clone();
    std::panic::set_hook(Box::new(move |panic| {
        if deltic_compiler::is_probing() {
            return;
        }
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        let captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
        if deltic_driver::on_panic(&place) && !captured {
            return;
        }
        let mut text = format!("thread '{}' panicked at {place}", thread.name().unwrap_or("<unnamed>"));
        let message = panic.payload_as_str().map(escape::quoted).filter(|message| !message.is_empty());
        text.extend(message.map(|message| format!(":\n{message}")));
        text.extend(captured.then(|| format!("\n{backtrace}")));
        progress.above(&escape::lines(&text));
    }));
}
