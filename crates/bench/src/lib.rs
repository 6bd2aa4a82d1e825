//! A workload to measure Deltic with: inputs, compilers, import, and comparison of outputs.
//!
//! N input partitions, named by quadkeys of twelve digits, hold JSON of 8 to 72 records (4.8 KB on average) that is a
//! function of the partition's number and a version. Three jobs run over them:
//!
//! | job | pattern | what |
//! |---|---|---|
//! | `a` | [`Direct`](deltic_compiler::Direct) | one input to one output: parse, filter, score, write |
//! | `b` | [`DirectMany`](deltic_compiler::DirectMany) | the sixteen inputs below one tile of level 10 to one output: aggregate, sort |
//! | `m` | [`MapGroup`](deltic_compiler::MapGroup) | the bytes of `b`, with keys from the content and typed values between |
//!
//! A set of reference programs makes the same inputs and outputs, byte for byte. They only read, hash, compute and write: they have
//! no versions, no commit and no state. They are the floor that Deltic is compared with.
//!
//! The binary `deltic-bench` imports, runs and compares; `docs/benchmarks.md` describes how, and has the results.

mod compilers;
mod import;
mod outputs;
mod packed;
mod session;
mod workload;

pub use compilers::{INPUT, OUTPUT, Workload};
pub use deltic_cli::{new_run_id, now};
pub use import::{import_generated, import_packed};
pub use outputs::{Outputs, expected_outputs};
pub use packed::{Packed, PackedEntry, PackedWriter, generate, generate_on};
pub use session::{Session, open_input};
pub use workload::{GROUP_DIGITS, KEY_DIGITS, Kind, group_of, key, payload, tile};
