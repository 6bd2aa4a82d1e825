//! Finds types that can not be intermediate values, before a value of such a type is written.
//!
//! Intermediate values are written without names and types. So a type whose `Deserialize` needs to know what comes next can not be read
//! back. To find out, a probe reads a value of the type from a made-up source. The source can answer every request except that one. An
//! enum is read once for each variant; texts, numbers and lists are as small as possible. When the type refuses a number or a text,
//! or panics at one, that is no finding: the made-up value may be illegal for the type.
//!
//! The panic hook runs before a panic can be caught. It can call [`is_probing`] to find out whether to print the panic; the hook of the
//! command line does. A program that is built with `panic = "abort"` can not catch panics: a type that panics ends it when its task is
//! set up, and the panic is printed. Such a `Deserialize` should return an error instead.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::value::U64Deserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

/// The greatest depth of nested types that is probed. Limits types that hold themselves.
const DEPTH: u32 = 24;

/// The most variants of an enum that are probed.
const VARIANTS: u32 = 64;

/// The most values that are probed; the rest is not. A type that holds itself several times would have too many.
const VISITS: u32 = 10_000;

thread_local! {
    static PROBING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is probing a type now, so that a panic will be caught and has no meaning. For panic hooks. Never true in a program
/// that is built with `panic = "abort"`.
pub fn is_probing() -> bool {
    cfg!(panic = "unwind") && PROBING.try_with(Cell::get).unwrap_or(false)
}

/// What a type needs that the encoding does not have, if it needs something.
pub(crate) fn needs<T: DeserializeOwned>() -> Option<&'static str> {
    let seen = Seen { needs: Cell::new(None), variants: Cell::new(0), visits: Cell::new(0) };
    for variant in 0..VARIANTS {
        PROBING.set(true);
        // Only what the probe records counts.
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

/// A source that answers every request with the smallest value.
#[derive(Clone, Copy)]
struct Probe<'a> {
    seen: &'a Seen,
    variant: u32,
    depth: u32,
}

/// The error that ends a probe.
#[derive(Debug)]
struct ProbeEnded;

impl fmt::Display for ProbeEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the probe has ended")
    }
}

impl std::error::Error for ProbeEnded {}

impl de::Error for ProbeEnded {
    fn custom<T: fmt::Display>(_: T) -> ProbeEnded {
        ProbeEnded
    }
}

type Result<T> = std::result::Result<T, ProbeEnded>;

impl<'a> Probe<'a> {
    fn found<T>(self, needs: &'static str) -> Result<T> {
        self.seen.needs.set(Some(needs));
        Err(ProbeEnded)
    }

    fn below(self) -> Probe<'a> {
        self.seen.visits.set(self.seen.visits.get() + 1);
        Probe { depth: self.depth + 1, ..self }
    }

    fn may_descend(self) -> bool {
        self.depth < DEPTH && self.seen.visits.get() < VISITS
    }

    fn items(self, left: usize) -> Items<'a> {
        Items { probe: self.below(), left: if self.may_descend() { left } else { 0 } }
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
    type Error = ProbeEnded;

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
            "it needs self-describing data, like `serde_json::Value` and enums that are untagged or tagged internally",
        )
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        // Fields come by their place and variants by their number.
        self.found(
            "it needs the names of fields, like structs with `#[serde(flatten)]` and enums with `#[serde(tag = …, content = …)]`",
        )
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.may_descend() { visitor.visit_some(self.below()) } else { visitor.visit_none() }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        if self.depth < DEPTH { visitor.visit_newtype_struct(self.below()) } else { Err(ProbeEnded) }
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
            return Err(ProbeEnded);
        }
        visitor.visit_enum(Chosen(self.below(), self.variant % count))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// This many items or entries.
struct Items<'a> {
    probe: Probe<'a>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = ProbeEnded;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.probe).map(Some)
    }
}

impl<'de> de::MapAccess<'de> for Items<'_> {
    type Error = ProbeEnded;

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
    type Error = ProbeEnded;
    type Variant = Probe<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Probe<'a>)> {
        let number: U64Deserializer<ProbeEnded> = u64::from(self.1).into_deserializer();
        Ok((seed.deserialize(number)?, self.0))
    }
}

impl<'de> de::VariantAccess<'de> for Probe<'_> {
    type Error = ProbeEnded;

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
