//! Settings as JSON, from which the same settings can be read back.
//!
//! A fingerprint covers the recorded text, and a version is rebuilt from it. JSON has no form for some settings: it writes infinity, NaN
//! and an absent value in the same way. A change between these would not be noticed. So the value itself is checked, not its JSON.

mod walk;

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use crate::error::Result;
use walk::{Stopped, Walk};

/// Settings as they are recorded with a version.
///
/// Unlike `serde_json::to_value`, refuses a number that is not finite, a number that needs more than 64 bits, and a value in an option that
/// is written like none.
///
/// Errors: the key, and why it can not be recorded.
pub fn recordable(settings: &impl Serialize) -> Result<Value> {
    let (value, _) = walk(settings).map_err(|refused| match &refused.path[..] {
        [] => anyhow::anyhow!("{}", refused.message),
        path => anyhow::anyhow!("`{}`: {}", path.join("."), refused.message),
    })?;
    Ok(value)
}

/// A setting that can not be recorded.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The keys that lead to it, as far as they are known.
    pub(crate) path: Vec<String>,
    /// Why.
    pub(crate) message: String,
}

/// What a walk has found out about a value.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// Tables with a fixed set of keys.
    structs: BTreeSet<Vec<String>>,
    /// Keys of these tables that are left out because of their value.
    skipped: BTreeSet<Vec<String>>,
}

impl Shape {
    /// Whether a table with a fixed set of keys never writes a key.
    pub(crate) fn leaves_out(&self, path: &[String]) -> bool {
        path.split_last().is_some_and(|(_, table)| self.structs.contains(table)) && !self.skipped.contains(path)
    }
}

/// Settings as they are recorded, read back from their text.
pub(crate) fn walk(settings: &impl Serialize) -> Result<(Value, Shape), Refused> {
    let mut walk = Walk::default();
    let walked = settings.serialize(&mut walk);
    let refused = |error: &dyn Display| Refused { path: Vec::new(), message: format!("can not be recorded: {error}") };
    walked.map_err(|Stopped(message)| Refused { path: walk.path.clone(), message })?;
    let value = serde_json::to_value(settings).map_err(|error| refused(&error))?;
    let value = serde_json::from_str(&value.to_string()).map_err(|error| refused(&error))?;
    Ok((value, walk.shape))
}

/// The first place where two values differ, and both values there as text.
pub(crate) fn first_difference(one: &Value, other: &Value) -> Option<(Vec<String>, String, String)> {
    let below = |key: &str, one: Option<&Value>, other: Option<&Value>| match (one, other) {
        (Some(one), Some(other)) => first_difference(one, other).map(|(mut path, one, other)| {
            path.insert(0, key.to_owned());
            (path, one, other)
        }),
        (one, other) => {
            let text = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), Value::to_string);
            Some((vec![key.to_owned()], text(one), text(other)))
        }
    };
    match (one, other) {
        (one, other) if one == other => None,
        (Value::Object(ones), Value::Object(others)) => {
            let keys: BTreeSet<&String> = ones.keys().chain(others.keys()).collect();
            keys.into_iter().find_map(|key| below(key, ones.get(key), others.get(key)))
        }
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            (0..ones.len()).find_map(|index| below(&index.to_string(), ones.get(index), others.get(index)))
        }
        (one, other) => Some((Vec::new(), one.to_string(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn refused(settings: &impl Serialize) -> String {
        recordable(settings).unwrap_err().to_string()
    }

    #[derive(Serialize)]
    enum Shape {
        Plain,
        Round(f32),
        Edges(u8, f64),
        Box { size: f64 },
    }

    #[test]
    fn settings_without_a_form_in_json_are_refused_with_their_key() {
        let number = |number: f64| BTreeMap::from([("a", BTreeMap::from([("b", vec![Some(1.5), Some(number)])]))]);
        assert_eq!(recordable(&number(-0.0)).unwrap().to_string(), r#"{"a":{"b":[1.5,-0.0]}}"#);
        for other in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let expected = format!("`a.b.1`: the number {other} can not be recorded: ");
            assert!(refused(&number(other)).starts_with(&expected), "{}", refused(&number(other)));
        }
        assert!(refused(&f64::NAN).starts_with("the number NaN "));
        assert!(refused(&[Shape::Plain, Shape::Round(f32::INFINITY)]).starts_with("`1.Round`: the number inf "));
        assert!(
            refused(&[Shape::Edges(1, 2.0), Shape::Edges(1, f64::NAN)]).starts_with("`1.Edges.1`: the number NaN ")
        );
        assert!(
            refused(&[Shape::Box { size: 1.0 }, Shape::Box { size: f64::NAN }])
                .starts_with("`1.Box.size`: the number NaN ")
        );
        let big = |number: u128| BTreeMap::from([("n", number)]);
        assert_eq!(recordable(&big(u128::from(u64::MAX))).unwrap().to_string(), r#"{"n":18446744073709551615}"#);
        assert!(refused(&big(u128::from(u64::MAX) + 1)).starts_with("`n`: the number 18446744073709551616 is too big"));
        assert!(refused(&i128::MIN).contains("too big"));
        assert!(refused(&BTreeMap::from([("o", Some(None::<u8>))])).starts_with("`o`: an option that holds nothing"));
        assert!(refused(&Some(())).starts_with("an option that holds nothing"));
        assert!(refused(&BTreeMap::from([((1, 2), 3)])).contains("key must be a string"));
    }

    /// A number is read back from its text unchanged, however many digits it has.
    #[test]
    fn numbers_are_read_back_to_the_last_bit() {
        let mut bits = 1u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let number = f64::from_bits(bits);
            if number.is_finite() {
                let back = recordable(&number).unwrap().as_f64().unwrap();
                assert_eq!(back.to_bits(), number.to_bits(), "{number:e}");
            }
        }
        for number in [u64::MAX, (1 << 53) + 1] {
            assert_eq!(recordable(&number).unwrap().as_u64(), Some(number));
        }
        assert_eq!(recordable(&0.1f32).unwrap().as_f64(), Some(f64::from(0.1f32)));
    }
}
