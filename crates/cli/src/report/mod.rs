//! What runs, plans, verifications and rebuilds came to, as people read it.
//!
//! Uses `terminal`. Each has a text, which is public, and its lines, which the commands print.

mod run;
mod statement;
mod verification;

pub use run::{plan, run};
pub(crate) use run::{plan_lines, run_lines};
pub use statement::statement;
pub(crate) use statement::statement_lines;
pub use verification::verification;
pub(crate) use verification::{findings, verification_lines};
