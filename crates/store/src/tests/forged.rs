//! Trees that no editor makes: each node matches its digest, but together they are inconsistent. Every walk ends with an error that
//! names the pack, and the check of the catalog reports it.

use std::collections::BTreeMap;

use bytes::Bytes;
use deltic_core::{CatalogUuid, Digest, Fields, Layer, Meta, NameBytes, RunId, Timestamp, Version};

use crate::catalog::publish::publish;
use crate::format::entry::{Codec, Entry, NodePlace, Place};
use crate::format::node::{Columns, MAX_NODE_BYTES, NodeRef, NodeWriter};
use crate::format::object_name::{ObjectName, PackName};
use crate::format::pack::{HEADER, IndexWriter};
use crate::format::record::VersionRecord;
use crate::format::shape::Shape;
use crate::format::tree_root::Root;
use crate::tree::{KeyRange, Tree};
use crate::write::commit::unchanged_successor;
use crate::{
    BlobKind, Catalog, Draft, DraftOptions, Error, ErrorKind, NewCatalog, RepackOptions, Result, Retention, Snapshot,
    Stores,
};

const URL: &str = "memory:forged";

/// A pack that takes any node.
struct Forge {
    name: PackName,
    bytes: Vec<u8>,
    index: IndexWriter,
}

impl Forge {
    fn new(base: u64) -> Forge {
        let name = PackName { base: Version(base), run: RunId(66), seq: 0 };
        Forge { name, bytes: HEADER.to_vec(), index: IndexWriter::default() }
    }

    fn add(&mut self, level: u8, columns: &Columns) -> NodeRef {
        let mut writer = NodeWriter::new().unwrap();
        let (digest, bytes) = (writer.digest(level, columns), writer.encode(level, columns).unwrap());
        let place = NodePlace { pack: self.name, offset: self.bytes.len() as u64, stored: bytes.len() as u64 };
        self.index.add(BlobKind::Node, Codec::Raw, place.stored, &digest);
        self.bytes.extend_from_slice(&bytes);
        let (count, bytes) = columns.totals(level).unwrap();
        NodeRef { digest, level, count, bytes, place }
    }

    fn leaf(&mut self, keys: &[&str]) -> NodeRef {
        let mut columns = Columns::default();
        for key in keys {
            let payload = Bytes::copy_from_slice(key.as_bytes());
            let meta = Meta { digest: Digest::of(&payload), len: payload.len() as u64, fields: Fields::default() };
            columns.push_entry(key.as_bytes(), &Entry { meta, place: Place::Inline(payload) });
        }
        self.add(0, &columns)
    }

    fn inner(&mut self, level: u8, children: &[(&str, NodeRef)]) -> NodeRef {
        let mut columns = Columns::default();
        children.iter().for_each(|(key, child)| columns.push_child(key.as_bytes(), child));
        self.add(level, &columns)
    }

    /// Uploads the pack, and makes a version whose layer has this root.
    fn commit(self, catalog: &Catalog, root: NodeRef) -> Snapshot {
        let pack = [&self.bytes[..], &self.index.finish()].concat();
        assert!(pack.len() < 16 << 10, "{} bytes", pack.len());
        catalog.client().overwrite(&ObjectName::Pack(self.name), &[pack.into()]).unwrap();
        let base = catalog.latest().unwrap();
        let mut record = unchanged_successor(&base, RunId(67), Timestamp(0), String::new()).unwrap();
        record.layers[0].root = Root::from(root);
        record.digest = VersionRecord::catalog_digest(&record.layers);
        publish(catalog, record).unwrap()
    }
}

fn catalog(stores: &Stores) -> Catalog {
    let identity = NewCatalog { uuid: CatalogUuid(5), run: RunId(1), created: Timestamp(0) };
    Catalog::create(stores, URL, vec![Layer::generic("names").unwrap()], identity).unwrap()
}

fn names(snapshot: &Snapshot) -> Tree {
    snapshot.tree(&Layer::generic("names").unwrap().id).unwrap()
}

/// Every way that goes through a whole tree, each on a catalog that was opened anew.
fn walks(stores: &Stores, keys: &[&str]) -> BTreeMap<&'static str, Result<()>> {
    let tree = || Ok::<_, Error>(names(&Catalog::open(stores, URL)?.latest()?));
    let empty = |tree: &Tree| Tree { root: Root::empty(), ..tree.clone() };
    let diff = |old: &Tree, new: &Tree| old.diff(new).try_for_each(|change| change.map(|_| ()));
    let edit = || {
        let base = Catalog::open(stores, URL)?.latest()?;
        let draft = Draft::begin(&base, RunId(70), DraftOptions::default());
        draft.edit(&names(&base), keys.iter().map(|key| Ok::<_, Error>((NameBytes::from(key.as_bytes()), None))))
    };
    let options = RepackOptions { below_percent: 100, ..RepackOptions::default() };
    [
        ("scan", tree().and_then(|tree| tree.scan(KeyRange::all()).try_for_each(|item| item.map(|_| ())))),
        ("get", tree().and_then(|tree| keys.iter().try_for_each(|key| tree.get(key.as_bytes()).map(|_| ())))),
        ("nth", tree().and_then(|tree| (0..keys.len() as u64).try_for_each(|n| tree.nth(n).map(|_| ())))),
        (
            "read ahead",
            tree().and_then(|tree| tree.read_ahead(&keys.iter().map(|key| key.as_bytes()).collect::<Vec<_>>())),
        ),
        ("diff from nothing", tree().and_then(|tree| diff(&empty(&tree), &tree))),
        ("diff to nothing", tree().and_then(|tree| diff(&tree, &empty(&tree)))),
        ("edit", edit().map(|_| ())),
        ("gc", Catalog::open(stores, URL).and_then(|catalog| catalog.gc(false)).map(|_| ())),
        (
            "repack",
            Catalog::open(stores, URL)
                .and_then(|catalog| catalog.repack(&options, RunId(80), Timestamp(0), false))
                .map(|_| ()),
        ),
    ]
    .into()
}

/// All walks through the latest version fail with an error that names the pack, and the check reports the pack.
fn assert_fails_everywhere(stores: &Stores, pack: PackName, keys: &[&str], lie: &str) {
    let object = ObjectName::Pack(pack).to_string();
    for (walk, ended) in walks(stores, keys) {
        let error = ended.expect_err(&format!("{lie}: {walk} noticed nothing"));
        assert_eq!(*error.kind(), ErrorKind::Corrupt { object: object.clone() }, "{lie}: {walk}: {error}");
    }
    let found = Catalog::open(stores, URL).unwrap().fsck(true).unwrap();
    assert!(found.damage.iter().any(|damage| damage.object == object), "{lie}: {:?}", found.damage);
}

/// 2^60 entries in a few KiB. If a walk met a node twice, it would not end.
#[test]
fn a_child_that_is_named_twice_is_met_once() {
    let stores = Stores::new();
    let catalog = catalog(&stores);
    let mut forge = Forge::new(0);
    let mut node = forge.leaf(&["b"]);
    for level in 1..=60 {
        node = forge.inner(level, &[("a", node), ("b", node)]);
    }
    assert_eq!(node.count, 1 << 60);
    let pack = forge.name;
    forge.commit(&catalog, node);
    assert_fails_everywhere(&stores, pack, &["a", "b"], "a child named twice");
}

type Lie = (&'static str, fn(&mut Forge) -> NodeRef);

const LIES: &[Lie] = &[
    ("a last key that the parent does not have", |forge| {
        let (one, two) = (forge.leaf(&["a", "b"]), forge.leaf(&["d"]));
        forge.inner(1, &[("b", one), ("c", two)])
    }),
    ("children that overlap", |forge| {
        let (one, two) = (forge.leaf(&["a", "c"]), forge.leaf(&["b", "d"]));
        forge.inner(1, &[("c", one), ("d", two)])
    }),
    ("a child that begins with the last key of the one before", |forge| {
        let (one, two) = (forge.leaf(&["a", "b"]), forge.leaf(&["b", "d"]));
        forge.inner(1, &[("b", one), ("d", two)])
    }),
    ("a first grandchild that begins before its parent does", |forge| {
        let leaves = [forge.leaf(&["a", "b"]), forge.leaf(&["a1", "c"]), forge.leaf(&["d"])];
        let one = forge.inner(1, &[("b", leaves[0])]);
        let two = forge.inner(1, &[("c", leaves[1]), ("d", leaves[2])]);
        forge.inner(2, &[("b", one), ("d", two)])
    }),
    ("the same two levels up", |forge| {
        let leaves = [forge.leaf(&["a", "b"]), forge.leaf(&["a1", "c"]), forge.leaf(&["d"])];
        let one = forge.inner(1, &[("b", leaves[0])]);
        let two = forge.inner(1, &[("c", leaves[1]), ("d", leaves[2])]);
        let (one, two) = (forge.inner(2, &[("b", one)]), forge.inner(2, &[("d", two)]));
        forge.inner(3, &[("b", one), ("d", two)])
    }),
    ("a child of a level that is left out", |forge| {
        let (one, two) = (forge.leaf(&["a", "b"]), forge.leaf(&["d"]));
        forge.inner(2, &[("b", one), ("d", two)])
    }),
    ("a child of its own level", |forge| {
        let (one, two) = (forge.leaf(&["a", "b"]), forge.leaf(&["d"]));
        let (one, two) = (forge.inner(1, &[("b", one)]), forge.inner(1, &[("d", two)]));
        forge.inner(1, &[("b", one), ("d", two)])
    }),
    ("a count", |forge| {
        let (one, two) = (forge.leaf(&["a", "b"]), forge.leaf(&["d"]));
        forge.inner(1, &[("b", one), ("d", NodeRef { count: 2, ..two })])
    }),
    ("a sum of lengths", |forge| {
        let (one, two) = (forge.leaf(&["a", "b"]), forge.leaf(&["d"]));
        forge.inner(1, &[("b", NodeRef { bytes: 99, ..one }), ("d", two)])
    }),
    ("keys that do not ascend", |forge| {
        let (one, two) = (forge.leaf(&["b", "a"]), forge.leaf(&["d"]));
        forge.inner(1, &[("b", one), ("d", two)])
    }),
    ("a key that is there twice", |forge| forge.leaf(&["a", "a"])),
    ("children that do not ascend", |forge| {
        let (one, two) = (forge.leaf(&["a", "b"]), forge.leaf(&["d"]));
        forge.inner(1, &[("d", two), ("b", one)])
    }),
    ("the level of the root", |forge| {
        let (one, two) = (forge.leaf(&["a", "b"]), forge.leaf(&["d"]));
        NodeRef { level: 3, ..forge.inner(1, &[("b", one), ("d", two)]) }
    }),
];

#[test]
fn whatever_is_wrong_in_the_nodes_above_is_an_error_on_every_walk() {
    for (lie, forge_root) in LIES {
        let stores = Stores::new();
        let catalog = catalog(&stores);
        let mut forge = Forge::new(0);
        let (root, pack) = (forge_root(&mut forge), forge.name);
        forge.commit(&catalog, root);
        assert_fails_everywhere(&stores, pack, &["a", "a1", "b", "c", "d"], lie);
    }
}

/// The same without a lie: so the tests above find the lie, and nothing else.
#[test]
fn what_is_forged_without_a_lie_is_a_tree() {
    let stores = Stores::new();
    let catalog = catalog(&stores);
    let mut forge = Forge::new(0);
    let leaves = [forge.leaf(&["a", "b"]), forge.leaf(&["c"]), forge.leaf(&["d"])];
    let one = forge.inner(1, &[("b", leaves[0])]);
    let two = forge.inner(1, &[("c", leaves[1]), ("d", leaves[2])]);
    let root = forge.inner(2, &[("b", one), ("d", two)]);
    forge.commit(&catalog, root);
    let keys = ["a", "b", "c", "d"];
    for (walk, ended) in walks(&stores, &keys) {
        ended.unwrap_or_else(|error| panic!("{walk}: {error}"));
    }
    let tree = names(&Catalog::open(&stores, URL).unwrap().snapshot(Version(1)).unwrap());
    let listed: Vec<NameBytes> = tree.scan(KeyRange::all()).map(|item| item.unwrap().0).collect();
    assert_eq!(listed, keys.map(|key| NameBytes::from(key.as_bytes())));
    assert!(keys.iter().all(|key| tree.get(key.as_bytes()).unwrap().is_some()));
}

/// A node that the newest version refers to rightly, and an older one wrongly, in each of the ways above. All leaves end where
/// their keys say, so that nothing else is wrong.
#[test]
fn a_node_that_is_right_in_one_version_is_checked_in_the_others() {
    let end = |from: char| {
        let ends = |key: &String| Shape::FORMAT_1.ends(0, key.as_bytes());
        (0..10_000).map(|number| format!("{from}{number}")).find(ends).unwrap()
    };
    let (low, high) = (&*end('0'), &*end('x'));
    type Refer<'a> = dyn Fn(&mut Forge, NodeRef) -> NodeRef + 'a;
    let rightly: &Refer<'_> = &|forge, leaf| {
        let before = forge.leaf(&[low]);
        forge.inner(1, &[(low, before), ("y", leaf)])
    };
    let wrongly: [(&str, &Refer<'_>); 4] = [
        ("range", &|forge, leaf| {
            let before = forge.leaf(&["a", high]);
            forge.inner(1, &[(high, before), ("y", leaf)])
        }),
        ("last key", &|forge, leaf| {
            let before = forge.leaf(&[low]);
            forge.inner(1, &[(low, before), ("z", leaf)])
        }),
        ("count", &|forge, leaf| {
            let before = forge.leaf(&[low]);
            forge.inner(1, &[(low, before), ("y", NodeRef { count: 3, ..leaf })])
        }),
        ("digest", &|forge, leaf| {
            let before = forge.leaf(&[low]);
            forge.inner(1, &[(low, before), ("y", NodeRef { digest: Digest::of(b"other"), ..leaf })])
        }),
    ];
    for (what, refer) in [("nothing", rightly)].into_iter().chain(wrongly) {
        let stores = Stores::new();
        let catalog = catalog(&stores);
        let (mut first, mut second) = (Forge::new(0), Forge::new(1));
        let leaf = second.leaf(&["w", "y"]);
        let (older, newest) = (refer(&mut first, leaf), rightly(&mut second, leaf));
        first.commit(&catalog, older);
        let pack = ObjectName::Pack(second.name).to_string();
        second.commit(&catalog, newest);
        let found = Catalog::open(&stores, URL).unwrap().fsck(false).unwrap();
        let damaged: Vec<&str> = found.damage.iter().map(|damage| &*damage.object).collect();
        let expected: &[&str] = if what == "nothing" { &[] } else { &[&pack] };
        assert_eq!(damaged, expected, "{what}: {:?}", found.damage);
    }
}

/// What has expired can not come back: its packs may be gone.
#[test]
fn a_version_that_retains_an_expired_one_is_damage() {
    let stores = Stores::new();
    let catalog = catalog(&stores);
    let next = |retained: &[(u64, u64)]| {
        let mut record =
            unchanged_successor(&catalog.latest().unwrap(), RunId(67), Timestamp(0), String::new()).unwrap();
        record.retained = retained.iter().map(|(first, last)| (Version(*first), Version(*last))).collect();
        publish(&catalog, record).unwrap()
    };
    next(&[(0, 1)]);
    next(&[(1, 2)]);
    assert_eq!(Catalog::open(&stores, URL).unwrap().fsck(false).unwrap().damage, []);
    next(&[(0, 3)]);
    let found = Catalog::open(&stores, URL).unwrap().fsck(false).unwrap().damage;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("version 3 retains version 0, which had expired before"), "{found:?}");
}

/// Two leaves that name one payload with different lengths or digests can not both be right.
#[test]
fn a_payload_that_is_referred_to_in_two_ways_is_damage() {
    let payload = Bytes::from_static(b"a payload of some length");
    let packed = zstd::bulk::compress(&payload, 1).unwrap();
    let honest = Meta { digest: Digest::of(&payload), len: payload.len() as u64, fields: Fields::default() };
    let lies = [Meta { len: 7, ..honest.clone() }, Meta { digest: Digest::of(b"other"), ..honest.clone() }];
    for (metas, damaged) in [
        (vec![honest.clone(), honest.clone()], false),
        (vec![lies[0].clone()], true),
        (vec![honest.clone(), lies[0].clone()], true),
        (vec![lies[1].clone(), honest.clone()], true),
    ] {
        let stores = Stores::new();
        let catalog = catalog(&stores);
        let mut forge = Forge::new(0);
        let offset = forge.bytes.len() as u64;
        forge.index.add(BlobKind::Payload, Codec::Zstd, packed.len() as u64, &metas[0].digest);
        forge.bytes.extend_from_slice(&packed);
        let place = Place::Pack { pack: forge.name, offset, stored: packed.len() as u64, codec: Codec::Zstd };
        let mut columns = Columns::default();
        for (meta, key) in metas.iter().zip(["a", "b"]) {
            columns.push_entry(key.as_bytes(), &Entry { meta: meta.clone(), place: place.clone() });
        }
        let root = forge.add(0, &columns);
        forge.commit(&catalog, root);
        let tree = names(&Catalog::open(&stores, URL).unwrap().latest().unwrap());
        let read = |key: &str| tree.read(&tree.get(key.as_bytes()).unwrap().unwrap());
        let all = ["a", "b"].iter().take(metas.len()).map(|key| read(key)).collect::<Result<Vec<_>>>();
        let found = Catalog::open(&stores, URL).unwrap().fsck(true).unwrap();
        assert_eq!((all.is_err(), !found.damage.is_empty()), (damaged, damaged), "{metas:?}: {:?}", found.damage);
    }
}

/// A record may name any numbers: every walk through them ends where objects end.
#[test]
fn versions_that_a_record_names_and_are_not_there_are_not_counted_through() {
    const NUMBER: u64 = 1 << 62;
    let stores = Stores::new();
    let first = catalog(&stores);
    let mut record = unchanged_successor(&first.latest().unwrap(), RunId(67), Timestamp(9), String::new()).unwrap();
    record.version = Version(NUMBER);
    record.retained = vec![(Version(0), Version(NUMBER))];
    publish(&first, record).unwrap();
    let open = || Catalog::open(&stores, URL).unwrap();
    assert_eq!(open().latest().unwrap().version(), Version(NUMBER));
    let object = |number| ObjectName::Version(Version(number)).to_string();
    let missing = Some(ErrorKind::Corrupt { object: object(NUMBER - 1) });
    let kind = |result: Result<()>| result.err().map(|error| error.kind().clone());
    let retain = |rules: &Retention| open().retain(rules, RunId(68), Timestamp(10), false);
    for rules in [
        Retention { last: Some(u64::MAX), ..Retention::default() },
        Retention { last: Some(2), ..Retention::default() },
        Retention { since: Some(Timestamp(5)), ..Retention::default() },
    ] {
        assert_eq!(kind(retain(&rules).map(|_| ())), missing, "{rules:?}");
    }
    assert_eq!(kind(open().gc(false).map(|_| ())), missing);
    let repack = open().repack(&RepackOptions::default(), RunId(80), Timestamp(0), false);
    assert_eq!(kind(repack.map(|_| ())), missing);
    assert_eq!(open().log().count(), 3, "the latest, the one before it that is missing, and the first");
    assert_eq!(kind(open().snapshot(Version(5)).map(|_| ())), Some(ErrorKind::Corrupt { object: object(5) }));

    let found = open().fsck(true).unwrap();
    assert_eq!(found.versions, 2);
    let [damage] = &found.damage[..] else { panic!("{:?}", found.damage) };
    assert_eq!(damage.object, object(1));
    assert!(damage.what.contains(&format!("all versions up to {}", NUMBER - 1)), "{damage:?}");
    assert_eq!(damage.touches[0].versions, [(Version(1), Version(NUMBER - 1))]);

    // What needs none of them goes on.
    let latest_alone = Retention { last: Some(1), ..Retention::default() };
    let kept = open().retain(&latest_alone, RunId(68), Timestamp(10), true).unwrap();
    assert_eq!((kept.version, kept.expired), (None, vec![(Version(0), Version(NUMBER - 1))]));
    let kept = retain(&Retention { keep: [Version(0)].into(), ..Retention::default() }).unwrap();
    assert_eq!(kept.expired, [(Version(1), Version(NUMBER - 1))]);
    assert_eq!(kept.version, Some(Version(NUMBER + 1)));
}

/// Offsets and lengths of any size are errors, and nothing is read of them.
#[test]
fn a_node_that_would_be_longer_than_any_is_not_read() {
    let stores = Stores::new();
    let catalog = catalog(&stores);
    let mut forge = Forge::new(0);
    let (root, pack) = (forge.leaf(&["a"]), forge.name);
    let place = NodePlace { stored: MAX_NODE_BYTES + 1, ..root.place };
    forge.commit(&catalog, NodeRef { place, ..root });
    let before = catalog.requests().gets;
    let error = names(&catalog.latest().unwrap()).get(b"a").unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt { object: ObjectName::Pack(pack).to_string() }, "{error}");
    assert_eq!(catalog.requests().gets, before + 1, "whether there is a later version");
}
