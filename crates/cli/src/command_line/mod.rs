//! The command line as a whole: its definition, and how it is parsed or refused.
//!
//! Uses `commands`, which define the options, and `terminal`.

pub(crate) mod definition;
pub(crate) mod parse;
