//! The check of a whole catalog: it finds every damage, names it, and says what of which version it touches.

use deltic_core::{Layer, RunId};
use deltic_store::testing::{Operation, RequestLog, with_shape};
use deltic_store::{
    Catalog, Checked, Committed, Draft, DraftOptions, NextVersion, Part, Place, Shape, Stores, Touched,
};

use crate::support::{
    Model, Ops, advance, begin, build, create, edit, layer, names, next, numbered, objects, puts, remove, tampered,
    version, write,
};

const SHAPE: Shape = Shape { leaf_bits: 2, inner_bits: 2 };
const URL: &str = "memory:x";

fn model() -> Model {
    let mut model = numbered(0..40, 0);
    model.insert(b"in a pack".to_vec(), vec![3; 200]);
    model.insert(b"in another".to_vec(), vec![4; 200]);
    model
}

/// Two versions; the second shares all but a path with the first.
fn fill(stores: &Stores) {
    let catalog = with_shape(&create(stores, URL), SHAPE);
    let draft = begin(&catalog.latest().unwrap(), 7);
    let tree = build(&draft, &model());
    let state = [("table".to_owned(), build(&draft, &numbered(0..3, 1)))].into();
    let Committed::New(base) = draft.commit(NextVersion { state, ..next(&tree) }).unwrap() else {
        panic!("nothing to commit")
    };
    let draft = begin(&base, 8);
    let tree = edit(&draft, &names(&base), &Ops::from([(b"000007".to_vec(), Some(vec![8; 150]))])).unwrap();
    let state = [("table".to_owned(), base.state_table("table").unwrap())].into();
    assert!(matches!(draft.commit(NextVersion { state, ..next(&tree) }).unwrap(), Committed::New(_)));
}

fn fsck(stores: &Stores, payloads: bool) -> Checked {
    with_shape(&Catalog::open(stores, URL).unwrap(), SHAPE).fsck(payloads).unwrap()
}

fn part() -> Option<Part> {
    Some(Part::Layer(layer().id))
}

#[test]
fn a_whole_catalog_has_no_damage_and_shared_nodes_count_once() {
    let (_, stores) = tampered();
    fill(&stores);
    let found = fsck(&stores, true);
    assert_eq!((found.damage.clone(), found.versions, found.retained, found.packs.count), (vec![], 3, 3, 2));
    assert!(found.entries < 2 * 42 && found.nodes > 10, "{found:?}");
    assert!(fsck(&stores, false).payloads < found.payloads);
    assert!(fsck(&stores, false).damage.is_empty());
}

#[test]
fn every_flipped_byte_of_every_object_is_damage_of_that_object() {
    let (store, stores) = tampered();
    fill(&stores);
    for (object, bytes) in objects(&store).into_iter().filter(|(object, _)| object != "versions/latest") {
        for at in 0..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1 << (at % 8);
            write(&store, &object, flipped);
            let found = fsck(&stores, true).damage;
            assert!(!found.is_empty(), "{object}: flipped byte {at} was not found");
            assert!(found.iter().all(|damage| damage.object == object), "{object}: byte {at}: {found:?}");
        }
        write(&store, &object, bytes);
    }
    assert!(fsck(&stores, true).damage.is_empty());
}

#[test]
fn a_damaged_payload_touches_one_key_of_the_versions_that_share_it() {
    let (store, stores) = tampered();
    fill(&stores);
    let tree = names(&Catalog::open(&stores, URL).unwrap().latest().unwrap());
    let Place::Pack { pack, offset, .. } = tree.get(b"in a pack").unwrap().unwrap().place else { panic!("inline") };
    let object = format!("packs/{pack}");
    let mut bytes = objects(&store)[&object].to_vec();
    bytes[offset as usize + 5] ^= 1;
    write(&store, &object, bytes);
    assert!(fsck(&stores, false).damage.is_empty(), "payloads are looked at when that is asked for");
    let [damage] = &fsck(&stores, true).damage[..] else { panic!("one damage") };
    assert_eq!((&damage.object, &damage.what[..]), (&object, "bytes of payloads do not match their digests"));
    let touched = Touched {
        versions: vec![(version(1), version(2))],
        part: part(),
        after: Some(b"000039"[..].into()),
        last: Some(b"in a pack"[..].into()),
        entries: 1,
    };
    assert_eq!(damage.touches, [touched]);
}

#[test]
fn a_damaged_leaf_touches_its_range_and_a_missing_pack_all_that_lies_in_it() {
    let (store, stores) = tampered();
    fill(&stores);
    let catalog = Catalog::open(&stores, URL).unwrap();
    let first = catalog.snapshot(version(1)).unwrap().listed_packs().unwrap()[0].name;
    let second = catalog.latest().unwrap().listed_packs().unwrap()[0].name;
    // Of the second pack version 2 alone needs something: the path to the key that it changed.
    let object = format!("packs/{second}");
    let bytes = objects(&store)[&object].clone();
    remove(&store, &object);
    let found = fsck(&stores, false).damage;
    assert!(found.iter().all(|damage| damage.object == object && damage.what.contains("missing")), "{found:?}");
    let touched: Vec<&Touched> = found.iter().flat_map(|damage| &damage.touches).collect();
    assert!(touched.iter().all(|one| one.versions == [(version(2), version(2))] && one.part == part()));
    assert_eq!(touched.iter().map(|one| one.entries).sum::<u64>(), 42, "the root lies in it, and so all is touched");
    write(&store, &object, bytes);

    // A leaf that both share is damaged.
    let object = format!("packs/{first}");
    let bytes = objects(&store)[&object].to_vec();
    let at = bytes.windows(4).position(|window| window == b"DLTN").unwrap();
    let mut flipped = bytes.clone();
    flipped[at + 20] ^= 1;
    write(&store, &object, flipped);
    let [damage] = &fsck(&stores, false).damage[..] else { panic!("one damage") };
    assert!(damage.what.contains(&format!("at {at}")) && damage.what.contains("check"), "{damage:?}");
    let [touched] = &damage.touches[..] else { panic!("{damage:?}") };
    assert_eq!((&touched.part, &touched.versions[..]), (&part(), &[(version(1), version(2))][..]));
    assert!(touched.entries > 0 && touched.entries < 30 && touched.last.is_some());
}

#[test]
fn records_that_do_not_follow_one_another_are_damage() {
    let (store, stores) = tampered();
    fill(&stores);
    let all = objects(&store);
    let (other_store, other) = tampered();
    let catalog = with_shape(&create(&other, URL), SHAPE);
    advance(&catalog, 9, &puts(&numbered(0..3, 3)));
    let object = "versions/00000000000000000001";
    // Another version 1 of a catalog with the same uuid: only its parent's digest gives it away.
    write(&store, object, objects(&other_store)[object].clone());
    let found = fsck(&stores, false).damage;
    assert!(
        found.iter().any(|damage| damage.object == object && damage.what.contains("not the parent that version 2")),
        "{found:?}"
    );
    remove(&store, object);
    let found = fsck(&stores, false);
    assert_eq!(found.damage.len(), 1);
    assert!(
        found.damage[0].what.contains("missing") && found.damage[0].touches[0].versions == [(version(1), version(1))]
    );
    write(&store, object, all[object].clone());
    remove(&store, "catalog.json");
    assert_eq!(fsck(&stores, false).damage[0].object, "catalog.json");
}

/// Digests and counts may be right and the tree wrong all the same.
#[test]
fn a_tree_of_another_shape_is_damage() {
    let (_, stores) = tampered();
    fill(&stores);
    let found = Catalog::open(&stores, URL).unwrap().fsck(false).unwrap();
    assert!(found.damage.iter().any(|damage| damage.what.contains("does not end where its keys require")), "{found:?}");
}

#[test]
fn cost_follows_what_there_is_and_not_how_many_versions_share_it() {
    let log = RequestLog::new();
    let stores = Stores::new().with_wrapper(log.wrapper());
    let catalog = create(&stores, URL);
    let draft =
        Draft::begin(&catalog.latest().unwrap(), RunId(7), DraftOptions { inline_bytes: 0, ..DraftOptions::default() });
    let tree = build(&draft, &numbered(0..20_000, 0));
    crate::support::commit(draft, &tree);
    let cost = |payloads| {
        let catalog = Catalog::open(&stores, URL).unwrap();
        log.take();
        let found = catalog.fsck(payloads).unwrap();
        assert!(found.damage.is_empty());
        // All of them, under a root with more children than are read together.
        assert!(found.entries >= 20_000 && (found.payloads >= 20_000) == payloads, "{found:?}");
        (log.count(Operation::Get), log.bytes(Operation::Get))
    };
    let (gets, bytes) = cost(false);
    let (with_payloads, _) = cost(true);
    assert!(with_payloads <= gets + 4, "20,000 payloads of one pack are read together: {with_payloads} after {gets}");
    for number in 0..10u32 {
        advance(&catalog, 100 + u64::from(number), &puts(&numbered(number * 1000..number * 1000 + 1, 1)));
    }
    let (more, more_bytes) = cost(false);
    assert!(
        more <= gets + 10 * 8 && more_bytes <= bytes + 10 * 64 * 1024,
        "{more} after {gets}, {more_bytes} after {bytes}"
    );
}

#[test]
fn layers_that_are_new_or_gone_are_checked() {
    let (_, stores) = tampered();
    let catalog = create(&stores, URL);
    let base = advance(&catalog, 7, &puts(&numbered(0..300, 0)));
    let draft = begin(&base, 8);
    let other = Layer::generic("other").unwrap();
    let layers = vec![(other, build(&draft, &numbered(0..300, 1)))];
    assert!(matches!(draft.commit(NextVersion { layers, ..NextVersion::default() }).unwrap(), Committed::New(_)));
    let found = catalog.fsck(true).unwrap();
    assert_eq!((found.damage.len(), found.entries), (0, 600));
}

/// What `ls`, `get`, `run` and `export` refuse in a layer is damage; in a table of the state keys are anything.
#[test]
fn names_that_commands_refuse_are_damage() {
    let tiles = || Layer::tiles("names", deltic_core::Grid::Mercator, [2, 3]).unwrap();
    let long = "x".repeat(501);
    let bad: [(Layer, &[u8]); 8] = [
        (layer(), b""),
        (layer(), b"a\x01b"),
        (layer(), "a\u{9b}b".as_bytes()),
        (layer(), b"a\xffb"),
        (layer(), long.as_bytes()),
        (tiles(), b"0"),
        (tiles(), b"04"),
        (tiles(), b"name"),
    ];
    for (layer, name) in bad {
        let good: &[u8] = if layer == tiles() { b"01" } else { b"good" };
        let (_, stores) = tampered();
        let catalog = create(&stores, URL);
        let draft = begin(&catalog.latest().unwrap(), 7);
        let mixed = build(&draft, &[(name.to_vec(), vec![1]), (good.to_vec(), vec![2])].into());
        let state = [("table".to_owned(), mixed.clone())].into();
        let next = NextVersion { layers: vec![(layer.clone(), mixed)], state, ..NextVersion::default() };
        let Committed::New(made) = draft.commit(next).unwrap() else { panic!("nothing to commit") };
        let [damage] = &Catalog::open(&stores, URL).unwrap().fsck(true).unwrap().damage[..] else {
            panic!("{name:?}: one damage")
        };
        assert_eq!(damage.object, format!("packs/{}", made.listed_packs().unwrap()[0].name), "{name:?}");
        assert!(damage.what.contains("a name that layer `names` can not have"), "{name:?}: {damage:?}");
        assert!(!damage.what.chars().any(char::is_control), "{damage:?}");
        assert!(damage.touches.iter().any(|touched| touched.part == part()), "{damage:?}");
    }
}

/// A tree that one version has in a layer of one scheme and another in one of another scheme: nodes are shared, names are
/// legal in one of them.
#[test]
fn names_are_checked_in_every_layer_that_shares_a_tree() {
    let tiles = Layer::tiles("names", deltic_core::Grid::Mercator, [5]).unwrap();
    for layers in [[layer(), tiles.clone()], [tiles, layer()]] {
        let (_, stores) = tampered();
        let catalog = create(&stores, URL);
        let model: Model = (0..200u32).map(|n| (format!("{n:03}").into_bytes(), vec![1])).collect();
        for (run, layer) in layers.into_iter().enumerate() {
            let base = catalog.latest().unwrap();
            let draft = begin(&base, 7 + run as u64);
            let tree = if run == 0 { build(&draft, &model) } else { draft.adopt(&names(&base)) };
            let next = NextVersion { layers: vec![(layer, tree)], ..NextVersion::default() };
            assert!(matches!(draft.commit(next).unwrap(), Committed::New(_)));
        }
        let found = Catalog::open(&stores, URL).unwrap().fsck(false).unwrap();
        assert!(found.damage.iter().any(|damage| damage.what.contains("can not have")), "{:?}", found.damage);
    }
}
