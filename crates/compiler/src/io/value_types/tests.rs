use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::*;
use crate::io::codec;

#[derive(Serialize, Deserialize)]
enum Plain {
    Unit,
    New(u8),
    Tuple(String, Vec<u8>),
    Struct { a: Option<f64>, b: BTreeMap<String, Box<Plain>> },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    A(u8),
    B(String),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    A { a: u8 },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "value")]
enum Adjacent {
    A(u8),
    B,
}

#[derive(Serialize, Deserialize)]
struct Flat {
    a: u8,
    #[serde(flatten)]
    rest: HashMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct FlatStruct {
    #[serde(flatten)]
    rest: Inner,
}

#[derive(Serialize, Deserialize)]
struct Inner {
    b: u8,
}

/// Panics at the number 1.
struct Picky;

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Picky, D::Error> {
        assert_ne!(u32::deserialize(deserializer)?, 1);
        Ok(Picky)
    }
}

thread_local! {
    static WAS_PROBING: Cell<bool> = const { Cell::new(false) };
}

/// Records whether a panic hook would see that this is a probe, and panics.
struct Panics;

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: Deserializer<'de>>(_: D) -> std::result::Result<Panics, D::Error> {
        WAS_PROBING.set(is_probing());
        panic!("never read");
    }
}

#[derive(Serialize, Deserialize)]
enum Late {
    A,
    B(Vec<Option<serde_json::Value>>),
}

#[test]
fn types_that_can_be_read_back_are_accepted() {
    assert_eq!(needs::<(u8, i128, f32, char, bool, String, ())>(), None);
    assert_eq!(needs::<Vec<Option<(NonZeroU32, [u8; 3])>>>(), None);
    assert_eq!(needs::<BTreeMap<(u8, String), Vec<Plain>>>(), None);
    assert_eq!(needs::<Option<Picky>>(), None);
    assert_eq!(needs::<HashMap<String, std::time::Duration>>(), None);
    assert_eq!(needs::<std::net::IpAddr>(), None);
    assert_eq!(needs::<std::collections::BTreeSet<std::path::PathBuf>>(), None);
    let _ = (Plain::Unit, Plain::New(1), Plain::Tuple(String::new(), vec![]));
    let _ = Plain::Struct { a: None, b: BTreeMap::new() };
}

#[test]
fn hooks_can_recognise_a_panic_of_a_probe() {
    assert!(!is_probing());
    assert_eq!(needs::<Panics>(), None);
    assert!(WAS_PROBING.get() && !is_probing());
}

/// Exactly those types are refused that the codec can not write or read back.
#[test]
fn only_types_that_can_not_be_read_back_are_refused() {
    fn is_read_back<T: Serialize + DeserializeOwned>(value: &T) -> bool {
        let mut bytes = Vec::new();
        codec::encode(value, &mut bytes).is_ok() && codec::decode::<T>(&bytes).is_ok()
    }
    let flat = Flat { a: 1, rest: HashMap::from([("b".to_owned(), "c".to_owned())]) };
    let inner = Internal::A { a: 1 };
    let value = serde_json::json!({ "a": [1, "b", null] });
    let late = Late::B(vec![Some(value.clone())]);
    let (a, b) = (needs::<Untagged>(), needs::<Internal>());
    for (refused, back) in [
        (needs::<serde_json::Value>(), is_read_back(&value)),
        (a, is_read_back(&Untagged::A(1)) || is_read_back(&Untagged::B("x".to_owned()))),
        (b, is_read_back(&inner)),
        (needs::<Flat>(), is_read_back(&flat)),
        (needs::<FlatStruct>(), is_read_back(&FlatStruct { rest: Inner { b: 1 } })),
        (needs::<Late>(), is_read_back(&late)),
        (needs::<Vec<(u8, Flat)>>(), is_read_back(&vec![(1u8, flat)])),
        (needs::<Adjacent>(), is_read_back(&Adjacent::A(1)) && is_read_back(&Adjacent::B)),
        (needs::<Plain>(), is_read_back(&Plain::New(1))),
    ] {
        assert_eq!(refused.is_none(), back, "{refused:?}");
    }
    assert!(needs::<FlatStruct>().is_some_and(|needs| needs.contains("flatten")));
}

/// Holds itself eight times: probed up to `VISITS` values.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Oct {
    below: [Option<Box<Oct>>; 8],
    number: u32,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Branch {
    below: Option<Box<Branch>>,
    rest: Vec<Branch>,
}

#[test]
fn probing_types_that_hold_themselves_ends() {
    assert_eq!((needs::<Oct>(), needs::<Vec<Oct>>()), (None, None));
    assert_eq!((needs::<Branch>(), needs::<Vec<Branch>>()), (None, None));
}
