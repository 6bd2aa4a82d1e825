//! Settings of a stage that a verification or a determinism check runs.

use crate::error::offender::Offenders;
use crate::stage::sample::Sample;

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
