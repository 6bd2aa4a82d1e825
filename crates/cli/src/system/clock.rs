//! The clock of the machine. It is read here and nowhere else: everything else takes the time as a parameter.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deltic_core::Timestamp;
use deltic_driver::Checkpoint;

/// The time.
#[expect(clippy::disallowed_methods, reason = "everything else takes the time as a parameter, and it is read here")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// When a run writes a checkpoint: a given time after the last one, by the machine's clock.
pub fn checkpoint(every: Duration) -> Checkpoint {
    let start = Instant::now();
    Checkpoint { every, clock: Arc::new(move || start.elapsed()) }
}
