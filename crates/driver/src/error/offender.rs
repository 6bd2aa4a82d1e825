//! What does not come out the same when it is compiled twice.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use deltic_core::TaskId;
use serde::Serialize;

use crate::error::difference::FirstDifference;
use crate::{Error, Phase, Result};

/// The most differences and offenders that are listed.
pub(crate) const MOST: usize = 100;

/// Something that came out differently the second time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offender {
    /// The task.
    pub task: TaskId,
    /// Which part of it.
    pub phase: Phase,
    /// The partition that it worked on.
    pub key: String,
    /// What differs, as text.
    pub what: String,
    /// Where the bytes differ first, the first time and the second: of the partition, or of what was said to an output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstDifference>,
}

impl fmt::Display for Offender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Offender { task, phase, key, what, first } = self;
        write!(f, "{task}: {phase} {key}: {what}")?;
        first.as_ref().map_or(Ok(()), |first| write!(f, " {first}"))
    }
}

/// What came out differently: the first by task, part and key, and how many others.
#[derive(Default)]
pub(crate) struct Offenders(Mutex<(Known, u64)>);

type Known = BTreeMap<(TaskId, &'static str, String), Offender>;

impl Offenders {
    pub(crate) fn note(&self, offender: Offender) {
        let key = (offender.task.clone(), offender.phase.id(), offender.key.clone());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.0.entry(key).or_insert(offender);
        if known.0.len() > MOST {
            known.0.pop_last();
            known.1 += 1;
        }
    }

    /// An error if anything was found.
    pub(crate) fn refuse(&self) -> Result<()> {
        match self.take() {
            (offenders, _) if offenders.is_empty() => Ok(()),
            (offenders, more) => Err(Error::not_deterministic(offenders, more)),
        }
    }

    /// What was found, and how much there is besides.
    pub(crate) fn take(&self) -> (Vec<Offender>, u64) {
        let (known, more) = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (known.into_values().collect(), more)
    }
}
