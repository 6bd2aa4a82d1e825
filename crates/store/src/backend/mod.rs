//! The stores that objects lie in, and the requests to them.
//!
//! * `stores`: from a URL to a client; `file_url` and `remote` for each kind of store;
//! * `client`: the requests, with retries, counters and length checks;
//! * `local`, `overlay`, `redact`, `retry`, `foreign_names`: wrappers around a store, each for one purpose;
//! * `environment`, `secrets`: the variables that clients read, and secrets that must not be printed;
//! * `blocking`: waiting for requests on any thread;
//! * `cause`: why a request failed, in one line.
//!
//! Uses `format` for the names of objects. Invariants: async code ends here, and all calls from above block; an error that
//! leaves this room holds no secret.

pub(crate) mod blocking;
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
