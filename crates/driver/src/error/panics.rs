//! Panics of user code, which are errors about what it was called for.
//!
//! Where a panic happened only a hook is told, and hooks are the program's, not a library's: one that reports to
//! [`on_panic`] has the place in the error, and need not show what the error will say.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// Where this thread panicked last, as a hook was told.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// For the hook of a program: notes where this thread panics, and says whether that becomes an error, with the place in it.
pub fn on_panic(place: &str) -> bool {
    let _ = PLACE.try_with(|known| known.replace(place.to_owned()));
    IS_CAUGHT.try_with(Cell::get).unwrap_or(false)
}

/// Calls user code, and gives what it panicked with as text: where, if a hook has noted it, and what it says.
pub fn caught<T>(code: impl FnOnce() -> T) -> std::result::Result<T, String> {
    PLACE.take();
    let before = IS_CAUGHT.replace(true);
    // What the code leaves half done after a panic is its own: nothing of it is looked at afterwards.
    let ran = catch_unwind(AssertUnwindSafe(code));
    IS_CAUGHT.set(before);
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
        assert_eq!(caught(|| 1), Ok(1));
        let text = |code: fn()| caught(code).unwrap_err();
        assert_eq!(text(|| panic!("no {}", "luck")), "panicked: no luck", "no hook has told");
        assert_eq!(text(|| std::panic::panic_any(7)), "panicked without a message");
        let told = |code: fn()| caught(|| (assert!(on_panic("a.rs:1:2")), code())).unwrap_err();
        assert_eq!(told(|| panic!("no luck")), "panicked at a.rs:1:2: no luck");
        assert_eq!(told(|| std::panic::panic_any(7)), "panicked at a.rs:1:2");
        assert!(!on_panic("b.rs:1:2"), "nobody catches it");
        assert_eq!(text(|| panic!("later")), "panicked: later", "a place is of one panic");
        // One within another, whether it panics or not, leaves the outer one caught.
        caught(|| {
            let _ = (caught(|| ()), caught(|| panic!("within")));
            assert!(on_panic("c.rs:1:2"));
        })
        .unwrap();
    }
}
