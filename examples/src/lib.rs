//! Drivers over real data.
