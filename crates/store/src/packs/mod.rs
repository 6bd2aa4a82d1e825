//! Blobs in packs, payloads and nodes: how they are written, read, checked and cached.
//!
//! * `writer`: the packs that a draft is filling; `taken_over`: those of other runs that it may refer to;
//! * `source`: reads blobs and nodes, of the store or of a pack that is still in memory;
//! * `payload`: reads payloads;
//! * `cache`: decoded nodes.
//!
//! Uses `format` and `backend`. Invariant: a node or payload is handed out only after it was checked against the digest that
//! refers to it. What this room must know of the catalog it asks through [`source::Origin`].

pub(crate) mod cache;
pub(crate) mod payload;
pub(crate) mod source;
pub(crate) mod taken_over;
pub(crate) mod writer;
