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

/// Reads a number that it says is never 1.
struct Picky;

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Picky, D::Error> {
        assert_ne!(u32::deserialize(deserializer)?, 1);
        Ok(Picky)
    }
}

thread_local! {
    static HEARD: Cell<bool> = const { Cell::new(false) };
}

/// Notes whether a hook would have been told that this is a trial, and panics.
struct Heard;

impl<'de> Deserialize<'de> for Heard {
    fn deserialize<D: Deserializer<'de>>(_: D) -> std::result::Result<Heard, D::Error> {
        HEARD.set(is_probing());
        panic!("never read");
    }
}

#[derive(Serialize, Deserialize)]
enum Late {
    A,
    B(Vec<Option<serde_json::Value>>),
}

#[test]
fn what_can_be_written_and_read_back_is_taken() {
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
fn hooks_can_tell_a_panic_of_a_trial_from_others() {
    assert!(!is_probing());
    assert_eq!(needs::<Heard>(), None);
    assert!(HEARD.get() && !is_probing());
}

/// Those that are refused are those that the codec can not write or read back.
#[test]
fn what_can_not_be_read_back_is_refused_and_nothing_else() {
    fn comes_back<T: Serialize + DeserializeOwned>(value: &T) -> bool {
        let mut bytes = Vec::new();
        codec::encode(value, &mut bytes).is_ok() && codec::decode::<T>(&bytes).is_ok()
    }
    let flat = Flat { a: 1, rest: HashMap::from([("b".to_owned(), "c".to_owned())]) };
    let inner = Internal::A { a: 1 };
    let value = serde_json::json!({ "a": [1, "b", null] });
    let late = Late::B(vec![Some(value.clone())]);
    let (a, b) = (needs::<Untagged>(), needs::<Internal>());
    for (refused, back) in [
        (needs::<serde_json::Value>(), comes_back(&value)),
        (a, comes_back(&Untagged::A(1)) || comes_back(&Untagged::B("x".to_owned()))),
        (b, comes_back(&inner)),
        (needs::<Flat>(), comes_back(&flat)),
        (needs::<FlatStruct>(), comes_back(&FlatStruct { rest: Inner { b: 1 } })),
        (needs::<Late>(), comes_back(&late)),
        (needs::<Vec<(u8, Flat)>>(), comes_back(&vec![(1u8, flat)])),
        (needs::<Adjacent>(), comes_back(&Adjacent::A(1)) && comes_back(&Adjacent::B)),
        (needs::<Plain>(), comes_back(&Plain::New(1))),
    ] {
        assert_eq!(refused.is_none(), back, "{refused:?}");
    }
    assert!(needs::<FlatStruct>().is_some_and(|needs| needs.contains("flatten")));
}

/// Holds eight of itself: looked into as far as `VISITS` go, at once.
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
fn types_that_hold_themselves_many_times_are_looked_at_for_a_while() {
    assert_eq!((needs::<Oct>(), needs::<Vec<Oct>>()), (None, None));
    assert_eq!((needs::<Branch>(), needs::<Vec<Branch>>()), (None, None));
}
