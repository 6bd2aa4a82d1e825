//! The input and output of compilers: layers, partitions, tracked reads, intermediate values, output keys, payloads.
//!
//! Uses `error`. The encoding of intermediate values ([`codec`]) is part of every fingerprint.

pub(crate) mod codec;
pub(crate) mod context;
pub(crate) mod emit;
pub(crate) mod layers;
pub(crate) mod out_key;
pub(crate) mod partition;
pub(crate) mod projection;
pub(crate) mod publish;
pub(crate) mod value_types;
pub(crate) mod values;
pub(crate) mod whole;
