//! Tests of several modules together that need private items.

mod forged;
mod hostile;
mod servers;
mod written;
