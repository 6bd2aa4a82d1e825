//! Intervals in a configuration: `"1m"`, or `false` for never.
//!
//! What is printed is read back as the same interval.

use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// The time between two events; none for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval(pub(crate) Option<Duration>);

/// Its form.
pub(super) const EXPECTED: &str = "a time in quotes, as in \"90s\" or \"5m\", or false for never";

impl Interval {
    /// Reads a value; `None` if it is no interval.
    pub(super) fn read(value: &Value) -> Option<Interval> {
        match value {
            Value::Bool(false) => Some(Interval(None)),
            Value::String(text) => humantime::parse_duration(text).ok().map(|every| Interval(Some(every))),
            _ => None,
        }
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(every) => serializer.collect_str(&humantime::format_duration(every)),
            None => serializer.serialize_bool(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_printed() {
        for (text, milliseconds) in [("0s", 0), ("250ms", 250), ("90s", 90_000), ("1m 30s", 90_000), ("2h", 7_200_000)]
        {
            let every = Interval::read(&text.into()).unwrap();
            assert_eq!(every, Interval(Some(Duration::from_millis(milliseconds))));
            assert_eq!(Interval::read(&serde_json::to_value(every).unwrap()), Some(every));
        }
        let never = Interval::read(&false.into()).unwrap();
        assert_eq!((never, serde_json::to_value(never).unwrap()), (Interval(None), false.into()));
        for bad in [Value::from(true), 60.into(), "".into(), "1".into(), "soon".into(), "-1s".into(), Value::Null] {
            assert_eq!(Interval::read(&bad), None, "{bad}");
        }
    }
}
