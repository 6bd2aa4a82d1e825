//! Feeds wrong bytes to the decoders of this crate: intermediate values of many types, and filters.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deltic_core::{Key, Layer, LayerRef, Name};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::io::codec::{decode, encode};
use crate::tasks::filter::Filter;

#[path = "../../../tests/support/hostile.rs"]
mod harness;

use harness::{Decoder, check, seeds};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Line(Vec<(f64, f64)>),
    Named { name: String, parts: Vec<Shape> },
}

/// Values of a type. The type decides how much memory a byte of the encoding takes, and how much is reserved in advance.
fn values<T>(name: &'static str, values: &[T], times: u64) -> Decoder<'static>
where
    T: Serialize + DeserializeOwned,
{
    let encoded = |value: &T| {
        let mut out = Vec::new();
        encode(value, &mut out).unwrap();
        out
    };
    let headed = |mut bytes: Vec<u8>| {
        bytes.splice(..bytes.len().min(2), [0xD1, 1]);
        bytes
    };
    let valid = values.iter().map(encoded).collect();
    // For each level of nesting, serde reserves at most 1 MiB for an announced length.
    Decoder::new(name, valid, (times, 4 << 20), |bytes| decode::<T>(bytes).is_ok()).sealed(headed)
}

fn filters() -> Decoder<'static> {
    let valid = [
        r#"{"any":[{"allow":{"layers":["in/names"],"partitions":["a","b"]}},{"custom":"recent"}]}"#,
        r#"{"not":{"all":[{"box":{"south":1,"west":1,"north":2,"east":2,"generic":true}}]}}"#,
    ];
    let valid = valid.iter().map(|text| text.as_bytes().to_vec()).collect();
    Decoder::new("a filter's JSON", valid, (64, 1 << 13), |bytes| {
        let Ok(filter) = serde_json::from_slice::<Filter>(bytes) else { return false };
        let key = Key { layer: LayerRef::parse("in/names").unwrap(), name: Name::generic("a").unwrap() };
        filter.matches(&key, &Layer::generic("names").unwrap());
        true
    })
    .with_words(&["{\"not\":", "{\"any\":[", "{\"allow\":{}},", "\"\",", "\"a\",", "1e999", "-0", "[", "}"])
}

fn decoders() -> Vec<Decoder<'static>> {
    let text = |n: usize| "text ".repeat(n);
    let nested = |depth: usize| {
        (0..depth).fold(Shape::Point, |inner, n| Shape::Named {
            name: text(n),
            parts: vec![Shape::Line(vec![(1.5, n as f64); n]), inner],
        })
    };
    vec![
        values("a text", &[text(0), text(9), text(300)], 4),
        values("bytes", &[vec![0u8; 3], vec![7; 3000]], 4),
        values("numbers", &[(1u8, -300i64, u128::MAX, 1.5f64)], 1),
        values("options", &[(Some(7u64), None::<String>, Some(Some('x')))], 1),
        values("rows", &[vec![(text(1), 300u32, Some(1i64)); 40]], 128),
        values("lists in lists", &[vec![vec![vec![1u64, 2], vec![]]; 9]], 128),
        values("a map", &[(0..40u16).map(|n| (n, text(n as usize))).collect::<BTreeMap<_, _>>()], 1024),
        values("a hash map", &[(0..40u16).map(|n| (n, ())).collect::<HashMap<_, _>>()], 256),
        values("a set", &[(0..40u16).collect::<BTreeSet<_>>()], 256),
        values("shapes", &[nested(1), nested(9)], 256),
        filters(),
    ]
}

#[test]
fn decoders_bear_anything() {
    check(&decoders(), 0..1000);
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-compiler --lib -- --ignored hostile:: --nocapture`
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn decoders_bear_much_more() {
    check(&decoders(), seeds("0..1000000"));
}
