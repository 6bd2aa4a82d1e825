//! Looking after catalogs and stores.
//!
//! * `retention`: which versions can be read;
//! * `mark`, `gc`: what retained versions refer to, and removing the rest;
//! * `repack`: rewriting sparse packs;
//! * `fsck`: checking everything that a catalog holds;
//! * `doctor`, `many_objects`: checking that a store does what catalogs rely on.
//!
//! Uses all other rooms. Invariant: everything here may run beside writers, readers and itself, and may be interrupted.

pub(crate) mod doctor;
pub(crate) mod fsck;
pub(crate) mod gc;
mod many_objects;
pub(crate) mod mark;
pub(crate) mod repack;
pub(crate) mod retention;
