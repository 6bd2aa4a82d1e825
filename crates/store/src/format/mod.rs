//! What a catalog's objects are made of, byte by byte. `docs/format.md` describes the same for people. What two of the files
//! describe is in no object of a catalog, and so not in there: `entry_bytes` and `tree_part`.
//!
//! * `object_name`: the path of every object;
//! * `checked_json`, `record`: `catalog.json`, and the records of versions;
//! * `pack`, `entry`, `node`, `shape`, `tree_root`: packs, and the trees in them;
//! * `progress`: the checkpoints of runs;
//! * `tree_part`: the result of editing a range of keys, for another process; `entry_bytes`: entries in it, and in the
//!   driver's rows;
//! * `varint`, `inflate`: how the others encode numbers and compress.
//!
//! Uses `error`. Invariants: nothing here makes a request; a decoder accepts any bytes, never panics, and allocates at most
//! a fixed multiple of their length.

pub(crate) mod checked_json;
pub(crate) mod entry;
pub(crate) mod entry_bytes;
pub(crate) mod inflate;
pub(crate) mod node;
pub(crate) mod object_name;
pub(crate) mod pack;
pub(crate) mod progress;
pub(crate) mod record;
pub(crate) mod shape;
pub(crate) mod tree_part;
pub(crate) mod tree_root;
pub(crate) mod varint;
