//! Versioned catalogs of partitioned layers, on any object store.
//!
//! A [`Catalog`] is a sequence of immutable versions. A [`Snapshot`] is a version: its layers and the tables of its
//! state, each a [`Tree`]. A [`Draft`] makes the next version: many workers put payloads into packs, sorted edits make
//! new trees that share every untouched node with the old ones, and one small write, that of the version record,
//! makes all of it visible or none.
//!
//! ```text
//! Stores ── open ──► Catalog ── latest ──► Snapshot ── tree ──► Tree ── get, scan, diff, read
//!                                             │                  ▲
//!                                             └── Draft::begin ──┘ edit, then commit ──► Snapshot
//! ```
//!
//! What holds, whatever the store does:
//!
//! * **Nothing unverified is used.** Records carry a check of all their bytes; a node is checked against the digest its
//!   parent holds, a payload against the digest in its leaf. What does not match is [`ErrorKind::Corrupt`].
//! * **Shape is a function of content.** Equal maps have equal digests, whoever made them in whatever order.
//! * **A version name is created once.** When two runs want to make the same version, one wins. The other gets an error that
//!   names the winner ([`ErrorKind::Conflict`]). A lost acknowledgement does not turn a success into a failure.
//! * **Cost follows change.** Trees are read and written along the paths to what changed.
//!
//! All calls block; async stays inside. Async code may make these calls too: until a call returns, it blocks the other tasks of its
//! thread ([`Stores`]). `docs/format.md` describes every byte that is stored.
//!
//! Inside, each folder is a room, and so is `error.rs`. A room uses only rooms below it in this table; `.ci/rooms` checks it.
//!
//! | room | holds |
//! |---|---|
//! | `maintain` | retention, the sweep, repacking, checks |
//! | `write` | drafts, commits, checkpoints |
//! | `catalog` | versions: found, read, created |
//! | `tree` | sorted maps: looked up, scanned, compared, edited |
//! | `packs` | payloads and nodes in packs: written, read, cached |
//! | `backend` | the stores that objects lie in, and requests to them |
//! | `format` | the bytes of records, packs, nodes and checkpoints |
//! | `error` | what can go wrong, by what the caller does about it |

mod backend;
mod catalog;
mod error;
mod format;
mod maintain;
mod packs;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tree;
mod write;

pub use backend::client::{ObjectRoot, Requests};
pub use backend::secrets::{Secrets, check_url, holds_secret};
pub use backend::stores::Stores;
pub use catalog::compare::Comparison;
pub use catalog::dependencies::transitive_dependencies;
pub use catalog::layer_view::LayerView;
pub use catalog::lineage::{Lineage, Relation};
pub use catalog::snapshot::{Part, Snapshot};
pub use catalog::{Catalog, Log, NewCatalog};
pub use error::{Error, ErrorKind, Result};
pub use format::entry::{Codec, Entry, NodePlace, Place};
pub use format::entry_bytes::{entry_len, meta_of_entry, read_entry, write_entry};
pub use format::object_name::{ListedPack, ObjectName, PackName};
pub use format::pack::{BlobKind, PackBlob, PackIndex};
pub use format::record::{Dependency, LayerRecord, Owner, Packs, StateRecord, Tag, TaskRecord, VersionRecord};
pub use format::shape::Shape;
pub use format::tree_part::TreePart;
pub use format::tree_root::Root;
pub use maintain::doctor::{Assumption, Depth, doctor, doctor_store};
pub use maintain::fsck::{Checked, Damage, Touched};
pub use maintain::gc::{Collected, Objects};
pub use maintain::repack::{RepackOptions, Repacked};
pub use maintain::retention::{Retained, Retention};
pub use packs::payload::{PayloadReader, Payloads};
pub use packs::writer::{DraftOptions, Written};
pub use tree::{Change, Diff, KeyRange, PartEditor, Scan, Tree, TreeEditor};
pub use write::checkpoint_store::CheckpointStore;
pub use write::commit::{Committed, NextVersion};
pub use write::draft::Draft;
