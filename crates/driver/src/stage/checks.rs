//! What a stage does besides its work while it is being checked.

use deltic_core::Hasher;

use crate::error::offender::Offenders;

/// How a stage is checked: not at all, unless told otherwise.
#[derive(Clone, Copy, Default)]
pub(crate) struct Checks<'a> {
    /// User code runs twice, and what comes out differently is noted here.
    pub(crate) twice: Option<&'a Offenders>,
    /// The order of work within a batch is not the usual one, the first time either.
    pub(crate) shuffled: bool,
    /// What user code fails on is in quarantine, so much of it at most, whatever the task's policy is.
    pub(crate) failures: Option<usize>,
    /// This takes the place of what a change affects.
    pub(crate) sample: Option<&'a Sample>,
}

/// The most failures of a task that a verification goes on after.
pub(crate) const MOST_FAILURES: usize = 10_000;

/// A share of all keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    seed: u64,
    /// Digests whose first eight bytes are a number below this are taken.
    below: u128,
}

impl Sample {
    /// So many of a million keys, more or less.
    pub(crate) fn new(millionths: u32, seed: u64) -> Sample {
        Sample { seed, below: u128::from(millionths) * (1 << 64) / 1_000_000 }
    }

    /// What decides about a key.
    pub(crate) fn number(&self, layer: &str, name: &[u8]) -> u64 {
        let mut hasher = Hasher::new("deltic sample 1");
        let digest = hasher.number(self.seed).text(layer).bytes(name).finish();
        u64::from_be_bytes(digest.as_bytes().first_chunk::<8>().copied().unwrap_or_default())
    }

    pub(crate) fn takes(&self, number: u64) -> bool {
        u128::from(number) < self.below
    }
}
