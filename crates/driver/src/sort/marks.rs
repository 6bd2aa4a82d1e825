//! The reasons for which a key is in a set of affected inputs or outputs.

use bitflags::bitflags;

bitflags! {
    /// The reasons for which a key was added, all of them together.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct Marks: u8 {
        /// An input that existed in the base maps to the output.
        const CLAIMED_BEFORE = 1;
        /// An input that did not exist in the base maps to the output.
        const CLAIMED_ANEW = 2;
        /// Its back-end read something that changed.
        const READ = 4;
        /// A front-end emits other values to it than before.
        const EMITTED = 8;
        /// It was in quarantine. Inputs have this mark too.
        const RETRIED = 16;
        /// It is held back: an input that contributes to it failed.
        const HELD = 32;
    }
}
