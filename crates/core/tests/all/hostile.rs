//! Everything that is read as text or bytes here, given what is wrong. What is taken has one form, which reads back.

use std::str::FromStr;

use deltic_core::{
    CatalogUuid, Digest, Fields, Grid, Layer, LayerId, LayerRef, Levels, Name, RunId, Scheme, Tile, Version,
};

#[path = "../../../../tests/support/hostile.rs"]
mod harness;

use harness::{Decoder, check, seeds};

/// What is read as text; what is taken must print as something that reads back as the same.
fn text<T: FromStr + ToString + PartialEq>(name: &'static str, valid: &[&str], bound: (u64, u64)) -> Decoder<'static> {
    let valid = valid.iter().map(|text| text.as_bytes().to_vec()).collect();
    let decode = |bytes: &[u8]| {
        let Some(value) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<T>().ok()) else { return false };
        assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value));
        true
    };
    Decoder::new(name, valid, bound, decode).with_words(&["0", "3", "-", ",", ":", "255", "\u{7f}", "\u{10ffff}"])
}

fn layers() -> [Layer; 2] {
    [Layer::generic("names").unwrap(), Layer::tiles("tiles", Grid::Here, 0..=31).unwrap()]
}

fn decoders() -> Vec<Decoder<'static>> {
    let digest = Digest::of(b"x").to_string();
    let mut fields = Fields::default();
    fields.set("name", "value").unwrap();
    fields.set("other", "field").unwrap();
    let fields = fields.as_str().as_bytes().to_vec();
    let json: Vec<Vec<u8>> = layers().iter().map(|layer| serde_json::to_vec(layer).unwrap()).collect();
    vec![
        text::<LayerId>("a layer id", &["names", "a-b.c_d"], (32, 1 << 10)),
        text::<Version>("a version", &["42", "18446744073709551615"], (32, 1 << 10)),
        text::<RunId>("a run id", &["0123456789abcdef"], (32, 1 << 10)),
        text::<CatalogUuid>("a catalog uuid", &["0123456789abcdef0123456789abcdef"], (32, 1 << 10)),
        text::<Digest>("a digest", &[&digest], (32, 1 << 10)),
        text::<Tile>("a tile", &["root", "0123", "1111111111111111111111111111111"], (0, 1 << 12)),
        text::<Grid>("a grid", &["here", "mercator"], (32, 1 << 10)),
        text::<Levels>("levels", &["12,14", "0-8", "31"], (128, 1 << 10)),
        text::<Scheme>("a scheme", &["generic", "tile:here:12,14", "tile:mercator:0-8"], (128, 1 << 10)),
        Decoder::new("a layer's reference", vec![b"in/names".to_vec(), b"names".to_vec()], (64, 1 << 10), |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|text| LayerRef::parse(text).is_ok())
        }),
        Decoder::new("a name's bytes", vec![b"a/b".to_vec(), b"0123".to_vec()], (4, 1 << 13), |bytes| {
            let mut taken = false;
            for layer in layers() {
                if let Ok(name) = layer.name_from_bytes(bytes) {
                    assert_eq!(*name.to_bytes(), *bytes);
                    taken = true;
                }
            }
            taken
        })
        .with_words(&["0", "\u{1}", "x"]),
        Decoder::new(
            "a name as people write it",
            vec![b"0123".to_vec(), b"here:377894440".to_vec()],
            (4, 1 << 13),
            |bytes| {
                let Ok(text) = std::str::from_utf8(bytes) else { return false };
                let names = layers().map(|layer| layer.parse_name(text).ok());
                names.iter().flatten().for_each(|name| assert!(matches!(name, Name::Generic(_) | Name::Tile(_))));
                names[1].is_some()
            },
        )
        .with_words(&["here:", "0", "9"]),
        Decoder::new("user fields", vec![fields], (4, 1 << 13), |bytes| {
            Fields::from_canonical(bytes).is_ok_and(|fields| {
                assert_eq!(fields.as_str().as_bytes(), bytes);
                true
            })
        })
        .with_words(&["\u{1f}", "\u{1e}", "a\u{1f}b\u{1e}"])
        .sealed(|mut bytes| {
            bytes.push(0x1e);
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0x1e).map_or(0, |last| last + 2));
            bytes
        }),
        Decoder::new("a layer's JSON", json, (128, 1 << 13), |bytes| serde_json::from_slice::<Layer>(bytes).is_ok())
            .with_words(&["[", "{\"id\":", "\"", "0-31,"]),
    ]
}

#[test]
fn decoders_bear_anything() {
    check(&decoders(), 0..1000);
}

/// `DELTIC_SEEDS=FROM..TO cargo test --release -p deltic-core --test all -- --ignored hostile:: --nocapture`
#[test]
#[ignore = "long: run with --ignored and DELTIC_SEEDS=FROM..TO"]
fn decoders_bear_much_more() {
    check(&decoders(), seeds("0..1000000"));
}
