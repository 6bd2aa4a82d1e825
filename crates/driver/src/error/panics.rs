//! Panics of user code, which become errors of the partition it was called for.
//!
//! Only a panic hook knows the place of a panic, and hooks belong to the program, not to a library. If the program's hook
//! calls [`on_panic`], the error contains the place, and the hook need not print what the error will report.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// Where this thread panicked last, as the hook reported it.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// To be called by the program's panic hook. Records where this thread panics; returns whether the panic becomes an error,
/// which then contains the place.
pub fn on_panic(place: &str) -> bool {
    let _ = PLACE.try_with(|known| known.replace(place.to_owned()));
    IS_CAUGHT.try_with(Cell::get).unwrap_or(false)
}

/// Calls user code. If it panics, returns the place, if a hook has recorded it, and the message.
pub fn catch_panic<T>(code: impl FnOnce() -> T) -> std::result::Result<T, String> {
    PLACE.take();
    let outer = IS_CAUGHT.replace(true);
    // Unwind-safe: after a panic nothing that the code has changed is used.
    let ran = catch_unwind(AssertUnwindSafe(code));
    IS_CAUGHT.set(outer);
    ran.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        match (PLACE.take(), text.unwrap_or_default()) {
            (place, "") if place.is_empty() => "panicked without a message".to_owned(),
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
        assert_eq!(catch_panic(|| 1), Ok(1));
        let text = |code: fn()| catch_panic(code).unwrap_err();
        assert_eq!(text(|| panic!("no {}", "luck")), "panicked: no luck", "no hook has reported it");
        assert_eq!(text(|| std::panic::panic_any(7)), "panicked without a message");
        let reported = |code: fn()| catch_panic(|| (assert!(on_panic("a.rs:1:2")), code())).unwrap_err();
        assert_eq!(reported(|| panic!("no luck")), "panicked at a.rs:1:2: no luck");
        assert_eq!(reported(|| std::panic::panic_any(7)), "panicked at a.rs:1:2");
        assert!(!on_panic("b.rs:1:2"), "nobody catches it");
        assert_eq!(text(|| panic!("later")), "panicked: later", "a place is of one panic");
        // One within another, whether it panics or not, leaves the outer one caught.
        catch_panic(|| {
            let _ = (catch_panic(|| ()), catch_panic(|| panic!("within")));
            assert!(on_panic("c.rs:1:2"));
        })
        .unwrap();
    }
}
