//! Looking after catalogs and stores.
//!
//! * `retention`: which versions can be read;
//! * `mark`, `gc`: what retained versions refer to, and removing the rest;
//! * `repack`: writing sparse packs anew;
//! * `fsck`: checking everything that a catalog holds;
//! * `doctor`: checking that a store does what catalogs rely on; `conformance`: more of it, for whoever has another store.
//!
//! Uses all other rooms. Invariant: everything here may run beside writers, readers and itself, and may be interrupted.

pub mod conformance;
pub(crate) mod doctor;
pub(crate) mod fsck;
pub(crate) mod gc;
pub(crate) mod mark;
pub(crate) mod repack;
pub(crate) mod retention;
