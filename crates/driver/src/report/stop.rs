//! Stopping a run early.
//!
//! A run checks for it between batches and before each call of user code, and no more once the version is being committed.
//! So a run that was stopped has published nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to end early, which is not made yet. Cheap to clone; all clones are one request.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A request that is not made yet.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Makes the request. It can not be withdrawn.
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the request was made.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
