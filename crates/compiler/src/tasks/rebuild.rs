//! Registers tasks with the settings that a version records, so that it can be made again.

use std::collections::BTreeMap;

use serde_json::Value;

use super::recorded::{Recorded, RecordedTask};
use super::setup::Setup;
use super::task::Task;
use crate::error::Result;

/// Registers tasks with recorded settings. A section is, in this order:
///
/// 1. the recorded configuration of the task that is called so, or was until it got that name
///    ([`Task::previously`](crate::Task::previously));
/// 2. the recorded configuration of the plan that is called so, or was
///    ([`DataPlan::previously`](crate::DataPlan::previously));
/// 3. the only recorded configuration that no other section is, and that the section's type reads and writes just so;
/// 4. that of `otherwise`, which are the sections of the day: nothing is recorded under that name.
///
/// `register` is called once, and once more where a task has an earlier id or a section is found by 3. Policies are left
/// out: what they did is no part of a version that can be rebuilt.
///
/// Errors: those of `register` and [`Setup::finish`]. Sections that nobody reads are none.
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
