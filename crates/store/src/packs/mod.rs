//! Blobs in packs (payloads and nodes): writes, reads, checks and caches them.
//!
//! * `writer`: the packs that a draft is filling; `taken_over`: those of other runs that it may refer to;
//! * `source`: reads blobs and nodes, from the store or from a pack that is still in memory, and caches decoded nodes;
//! * `payload`: reads payloads.
//!
//! Uses `format` and `backend`. Invariant: a node or payload is handed out only after it was checked against the digest that
//! refers to it. This room knows the catalog only through [`source::Origin`].

pub(crate) mod payload;
pub(crate) mod source;
pub(crate) mod taken_over;
pub(crate) mod writer;
