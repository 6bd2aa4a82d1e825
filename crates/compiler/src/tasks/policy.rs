//! The policy of a task: what a run does about partitions that its compiler fails on.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::tasks::config_error::ConfigError;

/// The key of a task's configuration section that says its policy. It is the driver's, not the compiler's.
pub(crate) const KEY: &str = "on_error";

/// What the key may be.
const EXPECTED: &str = "\"abort\", \"quarantine\" or { quarantine = 100 }, with the most partitions that may fail";

/// The policy of a task. It is no part of the fingerprint: what comes out of partitions that do not fail is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The run fails, and nothing is published. All partitions that fail are named.
    #[default]
    Abort,
    /// What is published of them stays and the run goes on, as long as there are not too many. They are tried again by
    /// the next run, changed or not. For what a task says of single partitions: front-ends and back-ends; a task that
    /// fails on its input as a whole, or on a key, fails the run.
    Quarantine {
        /// The most partitions that the task may fail on, inputs and outputs together; beyond that the run fails.
        /// Outputs that a failed input holds back do not count.
        most: u64,
    },
}

impl OnError {
    /// What `quarantine` means where no number is given.
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

/// As a configuration says it.
impl Serialize for OnError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            OnError::Abort => serializer.serialize_str("abort"),
            OnError::Quarantine { most } => serializer.collect_map([("quarantine", most)]),
        }
    }
}

/// The policies that sections say, taken out of them by task. A section that holds nothing else goes.
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

/// The policy that a section says.
pub(crate) fn read(task: &str, value: &Value) -> Result<OnError, ConfigError> {
    OnError::read(value).ok_or_else(|| ConfigError {
        path: ["compiler", task, KEY].map(str::to_owned).to_vec(),
        message: format!("`{KEY}` must be {EXPECTED}, and this is {value}"),
    })
}
