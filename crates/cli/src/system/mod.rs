//! What only the machine knows: the time, randomness, the running executable, and the signals that the process gets.
//!
//! Uses `terminal`, where a signal shows how the command ended. The rest of the crate reads no clock and draws no randomness.

pub(crate) mod clock;
pub(crate) mod identity;
pub(crate) mod interrupts;
