//! Parts of two versions compared, and layers by their names.

use deltic_core::{Grid, Layer, Name};
use deltic_store::{Catalog, Committed, Entry, ErrorKind, KeyRange, NextVersion, Part, Snapshot, Stores};

use crate::support::{CREATED, begin, build, identity};

/// A version with these layers, each with partitions of the text `x` or another one, and a table `seen` of the state.
fn made(url: &str, layers: &[(Layer, &[(&str, &str)])]) -> Snapshot {
    let settings = layers.iter().map(|(layer, _)| layer.clone()).collect();
    let catalog = Catalog::create(&Stores::new(), url, settings, identity()).unwrap();
    let draft = begin(&catalog.latest().unwrap(), 2);
    let tree = |texts: &[(&str, &str)]| {
        build(&draft, &texts.iter().map(|(name, text)| (name.as_bytes().to_vec(), text.as_bytes().to_vec())).collect())
    };
    let state = [("seen".to_owned(), tree(&[("row", url)]))].into();
    let layers = layers.iter().map(|(layer, texts)| (layer.clone(), tree(texts))).collect();
    let next = NextVersion { layers, state, created: CREATED, ..NextVersion::default() };
    match draft.commit(next).unwrap() {
        Committed::New(snapshot) => snapshot,
        Committed::Unchanged => panic!("nothing to commit"),
    }
}

/// What differs: names with `-` and `+` for what is gone and new.
fn differing(old: &Snapshot, new: &Snapshot, part: &Part) -> Vec<String> {
    let compared = old.compare(new, part);
    let shown = |change: deltic_store::Result<deltic_store::Change>| {
        let change = change.unwrap();
        let sign = match (&change.before, &change.after) {
            (Some(_), Some(_)) => "~",
            (Some(_), None) => "-",
            (None, _) => "+",
        };
        let name = match compared.settings_of(&change) {
            Some(layer) => layer.name_from_bytes(&change.key).unwrap().to_string(),
            None => String::from_utf8(change.key.to_vec()).unwrap(),
        };
        format!("{sign}{name}")
    };
    compared.changes().map(shown).collect()
}

#[test]
fn parts_are_compared_also_where_one_version_lacks_them() {
    let generic = |id| Layer::generic(id).unwrap();
    let tiles = Layer::tiles("names", Grid::Mercator, [1]).unwrap();
    let texts: &[(&str, &str)] = &[("0", "x"), ("1", "x"), ("2", "x")];
    let old = made("memory:old", &[(generic("gone"), texts), (generic("names"), texts), (generic("same"), texts)]);
    let part = |id: &str| Part::Layer(id.parse().unwrap());
    let parts = [part("gone"), part("names"), part("same"), Part::State("seen".to_owned())];
    assert_eq!(old.parts().collect::<Vec<_>>(), parts);

    let edited =
        made("memory:new", &[(generic("names"), &[("0", "x"), ("1", "y"), ("3", "x")]), (generic("same"), texts)]);
    assert_eq!(differing(&old, &edited, &part("gone")), ["-0", "-1", "-2"]);
    assert_eq!(differing(&edited, &old, &part("gone")), ["+0", "+1", "+2"]);
    assert_eq!(differing(&old, &edited, &part("names")), ["~1", "-2", "+3"]);
    assert_eq!(differing(&old, &edited, &part("same")), [""; 0]);
    assert_eq!(differing(&old, &edited, &part("none")), [""; 0]);
    assert_eq!(differing(&old, &edited, &Part::State("seen".to_owned())), ["~row"]);

    // Keys of another scheme are other names, however equal their bytes.
    let rescaled = made("memory:tiles", &[(tiles, texts), (generic("same").with_content_type("text/plain"), texts)]);
    assert_eq!(differing(&old, &rescaled, &part("names")), ["-0", "-1", "-2", "+0", "+1", "+2"]);
    for (new, part, other_settings, other_content) in [
        (&edited, part("gone"), true, true),
        (&edited, part("names"), false, true),
        (&edited, part("same"), false, false),
        (&edited, part("none"), false, false),
        (&rescaled, part("names"), true, true),
        (&rescaled, part("same"), true, false),
    ] {
        let compared = old.compare(new, &part);
        assert_eq!((compared.has_other_settings(), compared.has_other_content()), (other_settings, other_content));
    }
}

#[test]
fn a_layer_is_read_by_names() {
    let tiles = Layer::tiles("tiles", Grid::Mercator, [1, 2]).unwrap();
    let names = Layer::generic("names").unwrap();
    let snapshot = made(
        "memory:view",
        &[(names.clone(), &[("a", "1"), ("ab", "2"), ("b", "3")]), (tiles, &[("0", "x"), ("12", "y"), ("13", "z")])],
    );
    let layer = snapshot.layer(&names.id).unwrap();
    assert_eq!((layer.settings(), layer.tree().count()), (&names, 3));
    let name = |text: &str| Name::generic(text).unwrap();
    assert_eq!(layer.read(&name("ab")).unwrap().unwrap().bytes(), "2");
    assert_eq!(layer.get(&name("ab")).unwrap().unwrap().meta.len, 1);
    assert!(layer.get(&name("c")).unwrap().is_none() && layer.read(&name("c")).unwrap().is_none());
    let found = |found: deltic_store::Result<(Name, Entry)>| found.unwrap().0.to_string();
    assert_eq!(layer.iter().map(found).collect::<Vec<_>>(), ["a", "ab", "b"]);
    assert_eq!(layer.range(KeyRange::prefix(b"a")).map(found).collect::<Vec<_>>(), ["a", "ab"]);
    let tiles = snapshot.layer(&"tiles".parse().unwrap()).unwrap();
    assert_eq!(tiles.range(KeyRange::prefix(b"1")).map(found).collect::<Vec<_>>(), ["12", "13"]);
    assert!(snapshot.layer(&"none".parse().unwrap()).is_none());
}

#[test]
fn a_name_that_its_layer_can_not_have_is_named_with_the_catalog() {
    let tiles = Layer::tiles("tiles", Grid::Mercator, [1, 2]).unwrap();
    let snapshot = made("memory:wrong", &[(tiles, &[("0", "x"), ("9", "y")])]);
    let layer = snapshot.layer(&"tiles".parse().unwrap()).unwrap();
    let found: Vec<_> = layer.iter().collect();
    assert!(found[0].is_ok());
    let error = found[1].as_ref().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().starts_with("memory:wrong: version 1 has a name in layer `tiles`"), "{error}");
}
