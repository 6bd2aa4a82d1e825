//! Why a key is in a set of affected inputs or outputs.

use bitflags::bitflags;

bitflags! {
    /// The reasons for which a key was added, all of them together.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct Marks: u8 {
        /// An input that the base was made from claims the output, in whatever content.
        const CLAIMED_BEFORE = 1;
        /// An input that the base knows nothing of claims the output.
        const CLAIMED_ANEW = 2;
        /// Its back-end read something that changed.
        const READ = 4;
        /// A front-end emits something else to it than before.
        const EMITTED = 8;
        /// It was in quarantine. Also of an input.
        const RETRIED = 16;
        /// It is held back: an input that went into it failed.
        const HELD = 32;
    }
}
