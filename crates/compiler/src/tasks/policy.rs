//! The policy of a task: what a run does when the compiler fails on partitions.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::tasks::config_error::ConfigError;

/// The key of a task's configuration section that sets its policy. The driver reads it; the compiler does not get it.
pub(crate) const KEY: &str = "on_error";

/// The values that the key may have.
const EXPECTED: &str = "\"abort\", \"quarantine\" or { quarantine = 100 }, with the most partitions that may fail";

/// The policy of a task. It is not part of the fingerprint: it does not influence the output of partitions that do not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The run fails, and nothing is published. The error names all partitions that failed.
    #[default]
    Abort,
    /// The run goes on as long as not too many partitions fail; what is published of them stays. The next run tries them again, changed or
    /// not. This holds for failures on single partitions, in front-ends and back-ends. A task that fails on its whole input, or on a key,
    /// fails the run.
    Quarantine {
        /// The most partitions that the task may fail on, inputs and outputs together; beyond that the run fails.
        /// Outputs that a failed input holds back do not count.
        most: u64,
    },
}

impl OnError {
    /// The policy `quarantine` without a number.
    pub const QUARANTINE: OnError = OnError::Quarantine { most: 100 };

    fn read(value: &Value) -> Option<OnError> {
        match value {
            Value::String(policy) if policy == "abort" => Some(OnError::Abort),
            Value::String(policy) if policy == "quarantine" => Some(OnError::QUARANTINE),
            Value::Object(keys) if keys.len() == 1 => {
                keys.get("quarantine").and_then(Value::as_u64).map(|most| OnError::Quarantine { most })
            }
            _ => None,
        }
    }
}

/// As it is written in a configuration.
impl Serialize for OnError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            OnError::Abort => serializer.serialize_str("abort"),
            OnError::Quarantine { most } => serializer.collect_map([("quarantine", most)]),
        }
    }
}

/// Takes the policies out of the sections, by task. Removes a section that has no other key.
pub(crate) fn take(sections: &mut BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut policies = BTreeMap::new();
    sections.retain(|task, section| match section.as_object_mut() {
        Some(keys) => match keys.remove(KEY) {
            Some(policy) => {
                policies.insert(task.clone(), policy);
                !keys.is_empty()
            }
            None => true,
        },
        None => true,
    });
    policies
}

/// Reads the policy of a section.
pub(crate) fn read(task: &str, value: &Value) -> Result<OnError, ConfigError> {
    OnError::read(value).ok_or_else(|| ConfigError {
        path: ["compiler", task, KEY].map(str::to_owned).to_vec(),
        message: format!("`{KEY}` must be {EXPECTED}, not {value}"),
    })
}
