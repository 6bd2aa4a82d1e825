//! The texts of runs, plans, verifications and rebuilds.
//!
//! Uses `terminal`. Each has a function for its text, which is public, and one for its lines, which the commands print.

mod run;
mod statement;
mod verification;

pub use run::{plan, run};
pub(crate) use run::{plan_lines, run_lines};
pub use statement::statement;
pub(crate) use statement::statement_lines;
pub use verification::verification;
pub(crate) use verification::{findings, verification_lines};
