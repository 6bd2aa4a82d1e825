//! Drivers over real data. Each module holds the compilers of one example; its `main.rs` runs them over the whole
//! history of a data set.

pub mod history;
pub mod transit;
