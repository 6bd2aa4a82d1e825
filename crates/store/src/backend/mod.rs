//! The stores that objects lie in.

pub(crate) mod cause;
pub(crate) mod client;
mod environment;
mod foreign;
#[cfg(unix)]
mod local;
mod overlay;
mod profile;
mod redact;
mod retry;
pub(crate) mod secrets;
pub(crate) mod stores;
