//! The command line as a whole: its definition, and how it is parsed or refused.
//!
//! Uses `commands`, whose options it is made of, and `terminal`.

pub(crate) mod definition;
pub(crate) mod parse;
