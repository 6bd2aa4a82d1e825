//! Results that differ when they are compiled twice.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use deltic_core::TaskId;
use serde::Serialize;

use crate::error::difference::FirstDifference;
use crate::{Error, Phase, Result};

/// The most differences and offenders that are listed.
pub(crate) const MOST: usize = 100;

/// A result that differed the second time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offender {
    /// The task.
    pub task: TaskId,
    /// Which part of it.
    pub phase: Phase,
    /// The partition.
    pub key: String,
    /// What differs, as text.
    pub what: String,
    /// The first place where the bytes differ: of the partition, or of the values emitted to an output.
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

/// The results that differed: the first by task, phase and key, and the number of others.
#[derive(Default)]
pub(crate) struct Offenders(Mutex<(ByPlace, u64)>);

type ByPlace = BTreeMap<(TaskId, &'static str, String), Offender>;

impl Offenders {
    pub(crate) fn record(&self, offender: Offender) {
        let key = (offender.task.clone(), offender.phase.id(), offender.key.clone());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.0.entry(key).or_insert(offender);
        if known.0.len() > MOST {
            known.0.pop_last();
            known.1 += 1;
        }
    }

    /// Returns an error if any result differed.
    pub(crate) fn refuse(&self) -> Result<()> {
        match self.take() {
            (offenders, _) if offenders.is_empty() => Ok(()),
            (offenders, more) => Err(Error::not_deterministic(offenders, more)),
        }
    }

    /// The results that differed, and the number of those that are not listed.
    pub(crate) fn take(&self) -> (Vec<Offender>, u64) {
        let (known, more) = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (known.into_values().collect(), more)
    }
}
