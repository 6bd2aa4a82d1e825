//! Settings of a stage that a verification or a determinism check runs.

use deltic_core::Hasher;

use crate::error::offender::Offenders;

/// How a stage is checked. By default it is not.
#[derive(Clone, Copy, Default)]
pub(crate) struct Checks<'a> {
    /// User code runs twice, and results that differ are recorded here.
    pub(crate) offenders: Option<&'a Offenders>,
    /// The order of work within a batch is shuffled, the first time too.
    pub(crate) shuffled: bool,
    /// At most this number of failures is put in quarantine, whatever the policy of the task is.
    pub(crate) failures: Option<usize>,
    /// The stage compiles this sample, and not what a change affects.
    pub(crate) sample: Option<&'a Sample>,
}

/// The most failures of a task after which a verification goes on.
pub(crate) const MOST_FAILURES: usize = 10_000;

/// A share of all keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    seed: u64,
    /// A key is taken if the first eight bytes of its digest, as a number, are below this.
    below: u128,
}

impl Sample {
    /// About this number of a million keys.
    pub(crate) fn new(millionths: u32, seed: u64) -> Sample {
        Sample { seed, below: u128::from(millionths) * (1 << 64) / 1_000_000 }
    }

    /// The number by which a key is taken or not.
    pub(crate) fn number(&self, layer: &str, name: &[u8]) -> u64 {
        let mut hasher = Hasher::new("deltic sample 1");
        let digest = hasher.number(self.seed).text(layer).bytes(name).finish();
        u64::from_be_bytes(digest.as_bytes().first_chunk::<8>().copied().unwrap_or_default())
    }

    pub(crate) fn takes(&self, number: u64) -> bool {
        u128::from(number) < self.below
    }
}
