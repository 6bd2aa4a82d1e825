//! Maintenance.

pub(crate) mod doctor;
pub(crate) mod fsck;
pub(crate) mod gc;
pub(crate) mod mark;
pub(crate) mod repack;
pub(crate) mod retention;
