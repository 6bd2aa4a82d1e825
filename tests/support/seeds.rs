//! The seeds of a long mode.

use std::ops::Range;

/// `DELTIC_SEEDS=FROM..TO`, or these.
pub(crate) fn seeds(otherwise: &str) -> Range<u64> {
    let seeds = std::env::var("DELTIC_SEEDS").unwrap_or_else(|_| otherwise.to_owned());
    let (from, to) = seeds.split_once("..").expect("DELTIC_SEEDS=FROM..TO");
    from.parse().expect("a number")..to.parse().expect("a number")
}
