//! Panics: shown where they happen, and an error of the command where they would end the program.
//!
//! What tasks compile is called with its panics caught, and each is an error about a partition, which says where. So is what
//! sets up the tasks, which runs as part of the command: otherwise a panic there would end the program with an exit code
//! that is none of ours, and without an error. What becomes an error is not shown besides, unless with a backtrace.

use crate::progress::Progress;
use crate::shown;

/// Shows on standard error what panics and does not become an error, and with a backtrace, where `RUST_BACKTRACE` asks for
/// one, all that does. Not while the types of intermediate values are tried: such a panic is caught and means nothing.
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
        let message = panic.payload_as_str().map(shown::quoted).filter(|message| !message.is_empty());
        text.extend(message.map(|message| format!(":\n{message}")));
        text.extend(captured.then(|| format!("\n{backtrace}")));
        progress.above(&shown::lines(&text));
    }));
}
