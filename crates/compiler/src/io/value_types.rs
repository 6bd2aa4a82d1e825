//! Finds types that can not be intermediate values, before one of them is written.
//!
//! Intermediate values are written without names and types, so a type that asks what comes next can not be read back. It is
//! asked here: a value of the type is read from a source that has an answer to every question but that one. Enums are
//! read as often as there are variants, each time as another one; texts, numbers and lists are as small as they can be. What
//! a type refuses, as it may of numbers or texts that mean nothing to it, is no finding, nor is it that it panics at one.
//!
//! The panic hook is called before a panic can be caught, and asks [`is_probing`] whether to print it; that of the command
//! line does. A program that is built with `panic = "abort"` can not catch it: such a type ends it where its task is set up,
//! and the panic is printed. Its `Deserialize` should return an error.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::value::U64Deserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

/// Types within types that are looked into; deeper ones, and those that hold themselves, are not.
const DEPTH: u32 = 24;

/// Enums are read as each of so many variants.
const VARIANTS: u32 = 64;

/// Values that are looked at, before the rest is taken to be as good: a type that holds several of itself has too many.
const VISITS: u32 = 10_000;

thread_local! {
    static PROBING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread tries a type now, so that a panic will be caught and means nothing. For panic hooks. Never true in a
/// program that is built with `panic = "abort"`.
pub fn is_probing() -> bool {
    cfg!(panic = "unwind") && PROBING.try_with(Cell::get).unwrap_or(false)
}

/// What a type needs that there is not, if it needs something.
pub(crate) fn needs<T: DeserializeOwned>() -> Option<&'static str> {
    let seen = Seen { needs: Cell::new(None), variants: Cell::new(0), visits: Cell::new(0) };
    for variant in 0..VARIANTS {
        PROBING.set(true);
        // What comes of it is no matter.
        let _ = catch_unwind(AssertUnwindSafe(|| T::deserialize(Probe { seen: &seen, variant, depth: 0 }).is_ok()));
        PROBING.set(false);
        if let Some(needs) = seen.needs.get() {
            return Some(needs);
        }
        if variant + 1 >= seen.variants.get() {
            break;
        }
    }
    None
}

struct Seen {
    needs: Cell<Option<&'static str>>,
    /// The most variants that an enum has.
    variants: Cell<u32>,
    visits: Cell<u32>,
}

/// Answers what it is asked with the least there is.
#[derive(Clone, Copy)]
struct Probe<'a> {
    seen: &'a Seen,
    variant: u32,
    depth: u32,
}

/// What ends a probe.
#[derive(Debug)]
struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ended")
    }
}

impl std::error::Error for Ended {}

impl de::Error for Ended {
    fn custom<T: fmt::Display>(_: T) -> Ended {
        Ended
    }
}

type Result<T> = std::result::Result<T, Ended>;

impl<'a> Probe<'a> {
    fn found<T>(self, needs: &'static str) -> Result<T> {
        self.seen.needs.set(Some(needs));
        Err(Ended)
    }

    fn below(self) -> Probe<'a> {
        self.seen.visits.set(self.seen.visits.get() + 1);
        Probe { depth: self.depth + 1, ..self }
    }

    fn goes_on(self) -> bool {
        self.depth < DEPTH && self.seen.visits.get() < VISITS
    }

    fn items(self, left: usize) -> Items<'a> {
        Items { probe: self.below(), left: if self.goes_on() { left } else { 0 } }
    }
}

macro_rules! least {
    ($($method:ident $visit:ident $value:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            visitor.$visit($value)
        })*
    };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Ended;

    least! {
        deserialize_bool visit_bool false;
        deserialize_i8 visit_i8 1;
        deserialize_i16 visit_i16 1;
        deserialize_i32 visit_i32 1;
        deserialize_i64 visit_i64 1;
        deserialize_i128 visit_i128 1;
        deserialize_u8 visit_u8 1;
        deserialize_u16 visit_u16 1;
        deserialize_u32 visit_u32 1;
        deserialize_u64 visit_u64 1;
        deserialize_u128 visit_u128 1;
        deserialize_f32 visit_f32 1.0;
        deserialize_f64 visit_f64 1.0;
        deserialize_char visit_char 'a';
        deserialize_str visit_str "";
        deserialize_string visit_string String::new();
        deserialize_bytes visit_bytes &[];
        deserialize_byte_buf visit_byte_buf Vec::new();
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        self.found(
            "it asks what comes next, as `serde_json::Value` and enums do that are untagged or tagged internally",
        )
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        // Fields come by their place and variants by their number.
        self.found(
            "it asks for names, as structs with `#[serde(flatten)]` do and enums with `#[serde(tag = …, content = …)]`",
        )
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.goes_on() { visitor.visit_some(self.below()) } else { visitor.visit_none() }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        if self.depth < DEPTH { visitor.visit_newtype_struct(self.below()) } else { Err(Ended) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self.items(1))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self.items(len))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self.items(len))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_map(self.items(1))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(self.items(fields.len()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let count = u32::try_from(variants.len()).unwrap_or(VARIANTS);
        self.seen.variants.set(self.seen.variants.get().max(count));
        if self.depth >= DEPTH || count == 0 {
            return Err(Ended);
        }
        visitor.visit_enum(Chosen(self.below(), self.variant % count))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// So many items or entries.
struct Items<'a> {
    probe: Probe<'a>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Ended;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.probe).map(Some)
    }
}

impl<'de> de::MapAccess<'de> for Items<'_> {
    type Error = Ended;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(self.probe)
    }
}

/// A variant by number.
struct Chosen<'a>(Probe<'a>, u32);

impl<'a, 'de> de::EnumAccess<'de> for Chosen<'a> {
    type Error = Ended;
    type Variant = Probe<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Probe<'a>)> {
        let number: U64Deserializer<Ended> = u64::from(self.1).into_deserializer();
        Ok((seed.deserialize(number)?, self.0))
    }
}

impl<'de> de::VariantAccess<'de> for Probe<'_> {
    type Error = Ended;

    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self.items(len))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self.items(fields.len()))
    }
}

#[cfg(test)]
mod tests;
