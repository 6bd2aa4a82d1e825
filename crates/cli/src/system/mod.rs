//! Everything that only the machine knows: the time, randomness, the running executable, and signals.
//!
//! Uses `terminal`, to print how a signal ended the command. The rest of the crate reads no clock and draws no randomness.

pub(crate) mod clock;
pub(crate) mod identity;
pub(crate) mod interrupts;
