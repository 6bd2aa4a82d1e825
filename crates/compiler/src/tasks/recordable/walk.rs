//! Walks through a value with serde, and stops at the first part that JSON has no form for.

use std::fmt::{self, Display};

use serde::Serialize;
use serde::ser::{self, Serializer};

use super::Shape;

/// Walks through a value, and stops at the first part that can not be recorded. The path leads there.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) path: Vec<String>,
    pub(super) shape: Shape,
    /// Whether the next value is inside of an option.
    within_option: bool,
}

/// Why it stopped.
#[derive(Debug)]
pub(super) struct Stopped(pub(super) String);

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
                "the number {number} can not be recorded: use an option where there is no limit, or a finite number"
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

/// The items of a list or a table. With `variant`, the path has one more level, which ends with them.
pub(super) struct Items<'a> {
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
