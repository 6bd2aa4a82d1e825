//! Tests of several modules together that need what the crate does not show.

mod forged;
mod hostile;
mod servers;
mod written;
