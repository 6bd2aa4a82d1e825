//! Whether settings can be recorded: as JSON, from which the very same settings are read again.
//!
//! The recorded text is what a fingerprint covers and what a version is rebuilt from, so a setting that JSON has no form
//! for would change unseen. JSON writes infinity, a number that is none, and an absent value alike. So the value itself is
//! walked, and not what was written of it.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use serde::Serialize;
use serde::ser::{self, Serializer};
use serde_json::Value;

use crate::Result;

/// Settings as they are recorded with a version.
///
/// Unlike `serde_json::to_value`, refuses a number that is not finite, one that has more than 64 bits, and a value within
/// an option that is written like none.
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

/// What is known of a value that was walked.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// Tables with a fixed set of keys.
    structs: BTreeSet<Vec<String>>,
    /// Keys of these that are left out because of the value that they have.
    skipped: BTreeSet<Vec<String>>,
}

impl Shape {
    /// Whether a key of a table with a fixed set of keys is not among those that are written.
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

/// Where two values differ first, and both as text.
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

/// Goes through a value and stops at what can not be recorded; the path leads there.
#[derive(Default)]
struct Walk {
    path: Vec<String>,
    shape: Shape,
    /// Whether the next value is that of an option.
    within_option: bool,
}

#[derive(Debug)]
struct Stopped(String);

impl Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stopped {}

impl ser::Error for Stopped {
    fn custom<T: Display>(message: T) -> Stopped {
        Stopped(format!("can not be recorded: {message}"))
    }
}

impl Walk {
    fn number(&mut self, number: f64) -> Result<(), Stopped> {
        self.within_option = false;
        match number.is_finite() {
            true => Ok(()),
            false => Err(Stopped(format!(
                "the number {number} can not be recorded: let an option say that there is no limit, or use a finite number"
            ))),
        }
    }

    fn nothing(&mut self) -> Result<(), Stopped> {
        match std::mem::take(&mut self.within_option) {
            true => Err(Stopped("an option that holds nothing is recorded like none: use an enum".to_owned())),
            false => Ok(()),
        }
    }

    fn below<T: Serialize + ?Sized>(&mut self, key: impl Into<String>, value: &T) -> Result<(), Stopped> {
        self.within_option = false;
        self.path.push(key.into());
        value.serialize(&mut *self)?;
        self.path.pop();
        Ok(())
    }
}

/// The items of a list or a table; `variant` is a level above them that ends with them.
struct Items<'a> {
    walk: &'a mut Walk,
    next: usize,
    key: String,
    variant: bool,
}

impl<'a> Items<'a> {
    fn new(walk: &'a mut Walk, variant: Option<&'static str>) -> Items<'a> {
        walk.within_option = false;
        walk.path.extend(variant.map(str::to_owned));
        Items { walk, next: 0, key: String::new(), variant: variant.is_some() }
    }

    fn fields(walk: &'a mut Walk, variant: Option<&'static str>) -> Items<'a> {
        let items = Items::new(walk, variant);
        items.walk.shape.structs.insert(items.walk.path.clone());
        items
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
        let index = self.next;
        self.next += 1;
        self.walk.below(index.to_string(), value)
    }

    fn skip(&mut self, key: &'static str) {
        let path = [&self.walk.path[..], &[key.to_owned()]].concat();
        self.walk.shape.skipped.insert(path);
    }

    fn finish(self) {
        if self.variant {
            self.walk.path.pop();
        }
    }
}

macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, _: $type) -> Result<(), Stopped> {
            self.within_option = false;
            Ok(())
        })*
    };
}

macro_rules! wide {
    ($($method:ident: $type:ty => $narrow:ty),*) => {
        $(fn $method(self, number: $type) -> Result<(), Stopped> {
            self.within_option = false;
            match <$narrow>::try_from(number) {
                Ok(_) => Ok(()),
                Err(_) => Err(Stopped(format!("the number {number} is too big to be recorded: use a text"))),
            }
        })*
    };
}

impl<'a> Serializer for &'a mut Walk {
    type Ok = ();
    type Error = Stopped;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    scalars!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_char: char,
        serialize_str: &str, serialize_bytes: &[u8]
    );
    wide!(serialize_i128: i128 => i64, serialize_u128: u128 => u64);

    fn serialize_f32(self, number: f32) -> Result<(), Stopped> {
        self.number(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), Stopped> {
        self.number(number)
    }

    fn serialize_none(self) -> Result<(), Stopped> {
        self.nothing()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stopped> {
        self.within_option = true;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Stopped> {
        self.nothing()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Stopped> {
        self.nothing()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Stopped> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Stopped> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Stopped> {
        self.below(variant, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Stopped> {
        Ok(Items::new(self, None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, Stopped> {
        Ok(Items::new(self, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Stopped> {
        Ok(Items::new(self, None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Stopped> {
        Ok(Items::new(self, Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Items<'a>, Stopped> {
        Ok(Items::new(self, None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Stopped> {
        Ok(Items::fields(self, None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Stopped> {
        Ok(Items::fields(self, Some(variant)))
    }
}

macro_rules! lists {
    ($($of:ident: $method:ident),*) => {
        $(impl ser::$of for Items<'_> {
            type Ok = ();
            type Error = Stopped;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
                self.item(value)
            }

            fn end(self) -> Result<(), Stopped> {
                self.finish();
                Ok(())
            }
        })*
    };
}

macro_rules! structs {
    ($($of:ident),*) => {
        $(impl ser::$of for Items<'_> {
            type Ok = ();
            type Error = Stopped;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Stopped> {
                self.walk.below(key, value)
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), Stopped> {
                self.skip(key);
                Ok(())
            }

            fn end(self) -> Result<(), Stopped> {
                self.finish();
                Ok(())
            }
        })*
    };
}

lists!(
    SerializeSeq: serialize_element, SerializeTuple: serialize_element, SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);
structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Items<'_> {
    type Ok = ();
    type Error = Stopped;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Stopped> {
        let key = serde_json::to_value(key).map_err(|error| Stopped(format!("can not be recorded: {error}")))?;
        self.key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
        let key = std::mem::take(&mut self.key);
        self.walk.below(key, value)
    }

    fn end(self) -> Result<(), Stopped> {
        self.finish();
        Ok(())
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
    fn what_json_has_no_form_for_is_refused_with_its_key() {
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

    /// A number is read back from its text as it was, whatever digits it takes.
    #[test]
    fn numbers_come_back_to_the_last_bit() {
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
