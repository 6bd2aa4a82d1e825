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
//! * **A version name is created once.** Of two runs that want to make the same version one wins, and the other is told
//!   who ([`ErrorKind::Conflict`]). An acknowledgement that got lost does not turn a success into a failure.
//! * **Cost follows change.** Trees are read and written along the paths to what changed.
//!
//! All calls block; async stays inside. `docs/format.md` describes every byte that is stored.

mod cache;
mod catalog;
mod cause;
mod check;
mod commit;
mod dependency;
mod doctor;
mod draft;
mod environment;
mod error;
mod foreign;
mod fsck;
mod gc;
mod inflate;
mod latest;
mod lineage;
#[cfg(unix)]
mod local;
mod mutant;
mod node;
mod object;
mod open;
mod overlay;
mod pack;
mod packing;
mod payload;
mod profile;
mod progress;
mod record;
mod redacted;
mod repack;
mod retention;
mod root;
mod secret;
mod snapshot;
mod source;
mod tags;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod throttle;
mod tree;
mod varint;
mod walk;

pub use catalog::{Catalog, Log, NewCatalog};
pub use commit::{Committed, NextVersion};
pub use dependency::transitive_dependencies;
pub use doctor::{Assumption, doctor};
pub use draft::{Draft, DraftOptions, Written};
pub use error::{Error, ErrorKind, Result};
pub use fsck::{Checked, Damage, Touched};
pub use gc::{Collected, Objects};
pub use lineage::{Lineage, Relation};
pub use object::{ObjectName, PackName};
pub use open::Stores;
pub use pack::{BlobKind, PackBlob, PackIndex};
pub use payload::{PayloadReader, Payloads};
pub use progress::Progress;
pub use record::{Dependency, LayerRecord, Owner, Packs, StateRecord, Tag, TaskRecord, VersionRecord};
pub use repack::{RepackOptions, Repacked};
pub use retention::{Retained, Retention};
pub use root::{ListedPack, ObjectRoot, Requests};
pub use secret::{Secrets, check_url, holds_secret};
pub use snapshot::{Part, Snapshot};
pub use tree::{Change, Codec, Diff, Entry, KeyRange, NodePlace, Place, Root, Scan, Shape, Tree, TreeEditor};
