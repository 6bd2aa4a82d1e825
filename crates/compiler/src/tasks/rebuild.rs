//! Registers tasks with the settings that a version records, so that the version can be rebuilt.

use std::collections::BTreeMap;

use serde_json::Value;

use super::recorded::{Recorded, RecordedTask};
use super::setup::Setup;
use super::task::Task;
use crate::error::Result;

/// Registers tasks with recorded settings. A section has the first of these values that exists:
///
/// 1. the recorded configuration of the task with this id, now or earlier ([`Task::previously`](crate::Task::previously));
/// 2. the recorded configuration of the plan with this id, now or earlier
///    ([`DataPlan::previously`](crate::DataPlan::previously));
/// 3. the only recorded configuration that belongs to no other section, if the section's type reads it and writes it in the same way;
/// 4. the section in `otherwise`, which are the present sections: nothing is recorded under that name.
///
/// `register` is called once, and a second time where a task has an earlier id or a section has its value by rule 3. Policies are left out:
/// they do not influence a version that can be rebuilt.
///
/// Errors: those of `register` and [`Setup::finish`]. Sections that no code reads are not errors.
pub fn register_recorded(
    tasks: &[RecordedTask],
    otherwise: &BTreeMap<String, Value>,
    register: &mut dyn FnMut(&mut Setup) -> Result<()>,
) -> Result<Vec<Task>> {
    let mut recorded = Recorded::new(tasks);
    let mut setup = Setup::new(otherwise.clone()).with_recorded(recorded.clone());
    register(&mut setup)?;
    if !recorded.learn(setup.effective(), setup.tasks()) {
        return setup.finish();
    }
    let mut setup = Setup::new(otherwise.clone()).with_recorded(recorded);
    register(&mut setup)?;
    setup.finish()
}
