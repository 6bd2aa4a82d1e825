//! Making versions.
//!
//! * `draft`: one attempt at the next version;
//! * `commit`: uploads the draft's packs, then creates the version's record;
//! * `checkpoint_store`: stores the results of a run for a later one, in case the run is interrupted.
//!
//! Uses all rooms below: `format`, `backend`, `packs`, `tree`, `catalog`. Invariant: whatever fails, the catalog is as it was
//! before the commit, or as it is after it.

pub(crate) mod checkpoint_store;
pub(crate) mod commit;
pub(crate) mod draft;
