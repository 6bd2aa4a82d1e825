//! The stores that objects lie in.

pub(crate) mod cause;
pub(crate) mod client;
mod environment;
mod file_url;
mod foreign_names;
#[cfg(unix)]
mod local;
mod overlay;
mod redact;
mod remote;
mod retry;
pub(crate) mod secrets;
pub(crate) mod stores;
